"""Tables of the figure `remedies` with a known answer, for the claim about them."""

import numpy as np
import pandas as pd
from claim_tables import played

from plasticity.analysis.claims.evidence import Evidence

GAP = 10.0
EPOCHS = 10
STEPS = 4


class MadeRemedies:
    """A gap of ten points, of which arms regain some.

    The best arm has `effect` more than half of it; the others, of which one is a start, `others`.
    Plain cold and warm runs have a deviation of 0.3 points over seeds, the rest of `scatter`.
    """

    def __init__(self, effect, others, seeds, scatter, generator):
        self.effect, self.others, self.seeds, self.scatter = effect, others, seeds, scatter
        self.generator = generator

    def around(self, mean, scatter):
        return mean + self.generator.normal(0, scatter, self.seeds)

    def evidence(self, claim="remedy", **passes):
        half = 80 - GAP / 2
        levels = {
            "cold": self.around(80, 0.3),
            "cold-best": self.around(80, 0.3),
            "cold-pull": self.around(80, 0.3),
            "warm": self.around(80 - GAP, 0.3),
            "warm-best": self.around(half + self.effect, self.scatter),
            "warm-last": self.around(half + self.others, self.scatter),
            "warm-pull": self.around(half + self.others, self.scatter),
        }
        return evidence_of(levels, **passes)


def evidence_of(levels, passes=()):
    """Evidence of runs with these final accuracies in points, float [seeds], by role.

    They have them from the eighth of ten epochs on; `passes` are those of a step, by role.
    """
    passes = dict(passes)
    tables, curves = [], []
    for role, accuracy in levels.items():
        rows = played("remedies", role, accuracy)
        rows["run"] = [f"d/m/seed{seed}/{role}" for seed in rows["seed"]]
        about = {"begins": 0, "batch": 1, "start_passes": 0, "passes": passes.get(role, 1)}
        tables.append(rows.assign(**about, validation_accuracy=np.nan))
        epochs = np.tile(np.arange(1, EPOCHS + 1), len(accuracy))
        repeated = rows.loc[rows.index.repeat(EPOCHS), ["run", "role", "seed", "test_accuracy"]]
        reached = np.where(epochs >= 8, repeated["test_accuracy"], 0.1)
        curves.append(
            repeated.assign(
                kind="tune", epoch=epochs, iteration=STEPS * epochs, test_accuracy=reached
            )
        )
    return Evidence({"remedies": pd.concat(tables)}, {"remedies": pd.concat(curves)})
