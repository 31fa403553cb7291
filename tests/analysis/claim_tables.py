"""Tables with a known answer for the claims of Berariu et al."""

import math

import numpy as np
import pandas as pd

from plasticity.analysis.claims.evidence import Evidence

EPOCHS = 40
OPTIMISERS = ("fig02", "fig08", "fig09", "fig10")


def played(figure, role, accuracy, **factors):
    """Rows of a figure's runs in `role`; `accuracy`, float [seeds], is in points."""
    point = "-".join(f"{key}{value}" for key, value in factors.items())
    return pd.DataFrame(
        {
            "run": [f"{figure}/{role}/{point}/seed{seed}" for seed in range(len(accuracy))],
            "role": role,
            "seed": range(len(accuracy)),
            "test_accuracy": accuracy / 100,
            "diverged": False,
            "stages": 1,
            "stages_below_full_train_accuracy": 0,
            "data_checksum": "feed",
            "precision": "float32",
            "device": "cpu",
            "pretrain_epochs": 0,
            "pretrain_best_train_accuracy": math.nan,
            "reset_modules": None,
            **factors,
        }
    )


def evidence_of(*tables, curves=None):
    runs = {}
    for rows in tables:
        name = rows["run"].iloc[0].split("/")[0]
        runs[name] = pd.concat([runs[name], rows]) if name in runs else rows
    return Evidence(runs, {"fig11": curves} if curves is not None else {})


class Made:
    """Tables for one claim: its weakest case has the mean `effect`, the other cases `others`.

    What is compared with, such as cold, has a deviation of 0.3 points over seeds, the rest of
    `scatter`.
    """

    def __init__(self, effect, others, seeds, scatter, generator):
        self.effect, self.others, self.seeds, self.scatter = effect, others, seeds, scatter
        self.generator = generator

    def around(self, mean):
        return mean + self.generator.normal(0, self.scatter, self.seeds)

    def level(self, mean):
        return mean + self.generator.normal(0, 0.3, self.seeds)

    def evidence(self, claim):
        return getattr(self, claim.replace("-", "_"))()

    def gap(self):
        return evidence_of(
            played("fig01", "cold", self.level(80)),
            played("fig01", "warm", self.around(80 - self.effect)),
            played("fig01", "warm-shrunk", self.around(99)),  # a remedy is no evidence
        )

    def gap_optimisers(self):
        tables = []
        for figure in OPTIMISERS:
            gap = self.effect if figure == "fig09" else self.others
            tables += [
                played(figure, "cold", self.level(80)),
                played(figure, "warm", self.around(80 + 50), pretrain_epochs=10),
                played(figure, "warm", self.around(80 - gap), pretrain_epochs=350),
            ]
        return evidence_of(*tables)

    def gap_early(self):
        best = "pretrain_best_train_accuracy"
        return evidence_of(
            played("fig02", "cold", self.level(80)),
            played("fig02", "warm", self.around(130), pretrain_epochs=1, **{best: 0.5}),
            played(
                "fig02", "warm", self.around(80 - self.effect), pretrain_epochs=5, **{best: 0.9}
            ),
            played("fig02", "warm", self.around(130), pretrain_epochs=10, **{best: 1.0}),
            played("fig02", "warm", self.around(130), pretrain_epochs=50, **{best: 0.9}),
        )

    def trend(self, figure, role, factor, levels, means):
        """Accuracies by level whose noise runs on from one level to the next."""
        noise = np.cumsum(self.generator.normal(0, self.scatter, (len(levels), self.seeds)), axis=0)
        return [
            played(figure, role, mean + row, **{factor: level})
            for level, mean, row in zip(levels, means, noise, strict=True)
        ]

    def gap_early_all(self):
        best = {"pretrain_best_train_accuracy": 0.9}
        tables = []
        for figure in OPTIMISERS:
            gap = self.effect if figure == "fig09" else self.others
            tables += [
                played(figure, "cold", self.level(80)),
                played(figure, "warm", self.around(130), pretrain_epochs=1, **best),
                played(figure, "warm", self.around(80 - gap), pretrain_epochs=10, **best),
                played(figure, "warm", self.around(130), pretrain_epochs=50, **best),
            ]
        return evidence_of(*tables)

    def grows(self, figure, slope):
        lengths = np.array([1, 10, 100])
        means = 80 - slope * np.log10(lengths)
        warm = self.trend(figure, "warm", "pretrain_epochs", lengths, means)
        return [played(figure, "cold", self.level(80)), *warm]

    def gap_grows(self):
        return evidence_of(*self.grows("fig02", self.effect))

    def gap_grows_all(self):
        slopes = dict.fromkeys(OPTIMISERS, self.others) | {"fig09": self.effect}
        return evidence_of(*(row for each in slopes.items() for row in self.grows(*each)))

    def gap_drift(self):
        return evidence_of(
            played("fig03", "cold", self.level(70 + self.others), gamma=math.nan),
            played("fig03", "resampled", self.level(70 + self.effect), gamma=math.nan),
            played("fig03", "drift", self.around(70), gamma=0.1),
            played("fig03", "drift", self.around(70 - self.others + self.effect), gamma=0.9),
        )

    def gap_stages(self):
        stages = np.array([2, 3, 5, 11])
        uniform = self.trend("fig04", "uniform", "stages", stages, 80 - self.effect * stages)
        # Far above: the step from no pretraining to one stage is no part of the trend.
        return evidence_of(played("fig04", "cold", self.level(99), stages=1), *uniform)

    def retrain(self):
        gaps = {2: self.others, 4: self.effect, 11: self.others}
        return evidence_of(
            played("fig04", "cold", self.level(80)),
            *(
                played("fig04", "uniform", self.around(80 - gap), stages=stages)
                for stages, gap in gaps.items()
            ),
            played("fig04", "imbalanced", self.around(130), stages=5, ratio=0.5),
        )

    def gap_imbalance(self):
        shares = np.array([0, 0.5, 1])
        return evidence_of(
            *self.trend("fig04", "imbalanced", "ratio", shares, 70 + self.effect * shares)
        )

    def gap_capacity(self):
        tables = []
        for depth in (1, 2):
            for width in (16, 32):
                gap = self.effect if (depth, width) == (2, 16) else self.others
                level = 60 + 5 * depth + width / 8
                size = {"depth": depth, "width": width}
                tables.append(played("fig05", "cold", self.level(level), **size))
                tables.append(played("fig05", "warm", self.around(level - gap), **size))
        return evidence_of(*tables)

    def resets(self, **regained):
        """A gap of ten points, of which each subset regains some."""
        tables = [played("fig06", "cold", self.level(80)), played("fig06", "none", self.level(70))]
        for name, points in regained.items():
            role, modules = name.split("_")
            subset = "+".join(modules)
            tables.append(played("fig06", role, self.around(70 + points), reset_modules=subset))
        return evidence_of(*tables)

    def reset_few(self):
        return self.resets(
            alone_6=10 - self.others,
            top_56=10 - self.effect,
            bottom_12=10 - self.others,
            top_3456=50,
        )

    def reset_top_needed(self):
        return self.resets(
            alone_6=7.5 - self.others,
            top_456=7.5 - self.effect,
            bottom_12345=7.5 - self.others,
            top_3456=50,
            top_123456=50,
        )

    def reset_top(self):
        return self.resets(
            top_56=-50, top_3456=7.5 + self.effect, top_23456=7.5 + self.others, bottom_123=-50
        )

    def reset_speed(self):
        """Accuracy leaps to its final value after as many epochs as wanted, a whole number."""
        cold = np.full(self.seeds, 20)
        keep = {
            role: 18 + np.rint(self.generator.normal(mean, self.scatter, self.seeds))
            for role, mean in (("keep1", self.others), ("keep2", self.effect))
        }
        reached = {"cold": cold, **keep}
        tables = [played("fig11", role, np.full(self.seeds, 80.0)) for role in reached]
        return evidence_of(*tables, curves=leaps(reached))

    def rate_fixed(self):
        return self.rates(80, 80)

    def rate_each(self):
        return self.rates(78, 70)

    def rates(self, *controls):
        """Half of a gap of ten points, and what is left of it, to `controls`, at tenfold rates."""
        tables = [
            played("fig07", "cold", self.level(mean), lr=lr)
            for lr, mean in ((0.00056, 80), (0.0018, 80), (0.0056, 78), (0.018, 70))
        ]
        rates = ((0.00056, 0.0056), (0.0018, 0.018))
        for (before, tenfold), level in zip(rates, controls, strict=True):
            warm = {before: self.level(80 - 10), tenfold: self.around(level - 5 + self.effect)}
            tables += [
                played("fig07", "warm", accuracy, pretrain_lr=before, lr=lr)
                for lr, accuracy in warm.items()
            ]
        tables.append(played("fig07", "warm", self.around(0), pretrain_lr=0.0056, lr=0.0056))
        return evidence_of(*tables)


def leaps(reached):
    """Curves of tuning with 80% from the epoch in `reached`, int [seeds] by role, on."""
    parts = []
    for role, first in reached.items():
        epochs = np.tile(np.arange(1, EPOCHS + 1), len(first))
        parts.append(
            pd.DataFrame(
                {
                    "role": role,
                    "seed": np.repeat(np.arange(len(first)), EPOCHS),
                    "epoch": epochs,
                    "test_accuracy": np.where(epochs >= np.repeat(first, EPOCHS), 0.8, 0.1),
                }
            )
        )
    return pd.concat(parts)


def two_by_hand():
    """Gaps of 1, 2 and 3 points; the cold run of seed 3 and the warm one of seed 4 are single."""
    cold = played("fig01", "cold", np.array([80.0, 80.0, 80.0, 50.0]))
    warm = played("fig01", "warm", np.array([79.0, 78.0, 77.0, 0.0, 50.0]))
    warm["stages"] = 2
    warm.loc[0, "stages_below_full_train_accuracy"] = 1
    return cold, warm[warm["seed"] != 3]
