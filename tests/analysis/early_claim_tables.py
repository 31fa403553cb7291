"""Tables with a known answer for the claims of Frankle et al., on the early phase."""

import math

import claim_tables
import numpy as np
import pandas as pd
from claim_tables import evidence_of

from plasticity.analysis.claims.early import TELEMETRY
from plasticity.analysis.claims.evidence import Evidence
from plasticity.analysis.reported import BORDERS

ITERATIONS = np.unique([*range(101), *np.rint(10 ** np.arange(2, 3.61, 0.05)).astype(int), 500])
FEW_ITERATIONS = np.array([0, 1, 10, 11, 500, 4000])


def played(figure, role, accuracy, **factors):
    """Rows of a figure's runs in `role`, float [seeds] in points, at 16.8% of the weights."""
    usual = {
        "level": 8,
        "density": 0.8**8,
        "signs": None,
        "magnitudes": None,
        "scope": None,
        "length": "e160",
        # Without momentum, which would bend the way from the initial weights by itself.
        "optimiser": "sgd-lr0.1-drop80x120",
        "optimiser_name": "sgd",
        "momentum": 0.0,
        "epochs": 160,
        "iterations": 62400,
        "pretrain_views": None,
        "pretrain_iterations": 0,
    }
    return claim_tables.played(figure, role, accuracy, **usual | factors)


def observations(curves, iterations=ITERATIONS):
    """A table of curves, a function of the iterations for each quantity and seed."""
    rows = [
        (f"early_telemetry/dense/seed{seed}", "dense", seed, iteration, quantity, value)
        for seed, quantities in enumerate(curves)
        for quantity, curve in quantities.items()
        for iteration, value in zip(iterations, curve(np.maximum(iterations, 0.1)), strict=True)
    ]
    return pd.DataFrame(rows, columns=["run", "role", "seed", "iteration", "quantity", "value"])


def broken(first, second):
    """A power law whose exponent changes at the later borders: to `first`, `second`, then 0."""
    ten, late = BORDERS
    return lambda n: np.minimum(n / ten, 1) ** first * np.clip(n / ten, 1, late / ten) ** second


def falling(exponent):
    """Falls by this exponent up to the first border and is 1 after it."""
    return lambda n: np.minimum(n / BORDERS[0], 1) ** -exponent


class EarlyMade(claim_tables.Made):
    """Tables for one claim: its weakest case has the mean `effect`, the other cases `others`.

    Rewinding gains ten points, from 80 to 90, and half of them end at 85.
    """

    def rewind(self):
        figure = "early_tickets"
        rewound = {"pretrain_iterations": 500, "length": "till160"}
        tables = [
            played(figure, "dense", self.level(99), level=None, density=math.nan),
            played(figure, "start", self.level(80)),
            played(figure, "rewound", self.around(80 + self.effect), **rewound),
        ]
        for level in (7, 9):
            other = {"level": level, "density": 0.8**level}
            tables.append(played(figure, "start", self.level(80), **other))
            tables.append(played(figure, "rewound", self.around(99), **rewound | other))
        for k in (100, 2000):
            late = rewound | {"pretrain_iterations": k}
            tables.append(played(figure, "rewound", self.around(99), **late))
        return evidence_of(*tables)

    def perturbed(self, role, **factors):
        figure = "early_perturbations"
        tables = [played(figure, "start", self.level(80))]
        for k, effect in ((500, self.effect), (2000, self.others)):
            rewound = {"pretrain_iterations": k, "length": "till160"}
            tables.append(played(figure, "unchanged", self.level(90), **rewound))
            tables.append(played(figure, role, self.around(85 - effect), **rewound | factors))
            for name, other in (
                ("mixed", {"signs": "init", "magnitudes": "fresh"}),
                ("mixed", {"signs": "k", "magnitudes": "init"}),
                ("shuffled", {"scope": "global"}),
                ("signshuffled", {"scope": "layer"}),
            ):
                tables.append(
                    played(figure, name, self.around(50 + self.others), **rewound, **other)
                )
        return evidence_of(*tables)

    def signs(self):
        return self.perturbed("mixed", signs="k", magnitudes="fresh")

    def iid(self):
        return self.perturbed("shuffled", scope="layer")

    def data(self, *pretrained):
        """Those of `pretrained`: views, iterations and accuracy, and others to be left alone."""
        figure = "early_data"
        tables = [
            played(figure, "start", self.level(80)),
            played(figure, "rewound", self.level(90), pretrain_iterations=500, length="till160"),
            played(figure, "rewound", self.level(50), pretrain_iterations=100, length="till160"),
        ]
        for views, iterations, accuracy in pretrained:
            run = {"pretrain_views": f"{views}+augment", "pretrain_iterations": iterations}
            tables.append(played(figure, "pretrained", accuracy, **run))
            late = {"length": "till160", **run}
            tables.append(played(figure, "pretrained", accuracy - 50, **late))
        return evidence_of(*tables)

    def blur_selfsup(self):
        return self.data(
            ("rotation", 391, self.around(99)),
            ("rotation", 3910, self.around(85 + self.effect)),
            ("blur4", 391, self.around(10)),
            ("blur4", 3910, self.around(85 + self.others)),
            ("blur4+rotation", 3910, self.around(10)),
            ("randomlabels", 3910, self.around(10)),
        )

    def labels(self):
        return self.data(
            ("rotation", 391, self.around(99)),
            ("rotation", 782, self.around(90 - self.effect)),
            ("rotation", 3910, self.around(99)),
            ("blur4", 391, self.around(99)),
            ("blur4", 782, self.around(90 - self.others)),
            ("blur4", 3910, self.around(99)),
            ("blur4+rotation", 500, self.around(99)),
        )

    def random_labels(self):
        return self.data(
            ("randomlabels", 391, self.around(99)),
            ("randomlabels", 3910, self.around(85 - self.effect)),
            ("rotation", 3910, self.around(99)),
        )

    def phases(self):
        height, late, early = (
            self.around(mean) for mean in (self.others, self.effect, self.effect + self.others)
        )
        curves = [
            {
                "gradient_magnitude": falling(height[seed]),
                "distance_to_initial": broken(early[seed], late[seed]),
                "weight_magnitude": lambda n: n,
            }
            for seed in range(self.seeds)
        ]
        runs = played("early_telemetry", "dense", self.level(90)).assign(
            run=[f"early_telemetry/dense/seed{seed}" for seed in range(self.seeds)]
        )
        # So many seeds are for simulations.
        iterations = ITERATIONS if self.seeds < 100 else FEW_ITERATIONS
        return Evidence({TELEMETRY: runs}, {}, {TELEMETRY: observations(curves, iterations)})


def phases_of(*curves, **factors):
    runs = played("early_telemetry", "dense", np.full(len(curves), 90.0), **factors).assign(
        run=[f"early_telemetry/dense/seed{seed}" for seed in range(len(curves))]
    )
    return Evidence({TELEMETRY: runs}, {}, {TELEMETRY: observations(curves)})
