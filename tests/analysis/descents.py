"""Telemetry of descents with momentum through made-up gradients, whose sub-phases are known."""

import numpy as np
import pandas as pd
from early_claim_tables import ITERATIONS, played

from plasticity.analysis import stats
from plasticity.analysis.claims.early import TELEMETRY
from plasticity.analysis.claims.evidence import Evidence
from plasticity.analysis.claims.phases import growth
from plasticity.analysis.claims.verdict import Weighed

MOMENTUM = 0.9
WEIGHTS = 50

NULLS = {
    "stationary": (lambda n: 1.0, 0.0),
    "stationary, with a mean": (lambda n: 1.0, 0.1),
    "power law": (lambda n: n**-0.3, 0.0),
    "power law, with a mean": (lambda n: n**-0.3, 0.1),
    "exponential": (lambda n: np.exp(-n / 500), 0.1),
    "hyperbolic": (lambda n: 1 / (1 + n / 30), 0.0),
}
"""Gradients without a border, by iteration, and the mean of each entry in deviations."""


def phased(n):
    """Gradients that fall to iteration 10, and again from 500 on."""
    return min(n / 10, 1) ** -1 * max(n / 500, 1) ** -3


def descents(scale, mean, seeds, seed=0):
    """Evidence of SGD with momentum in as many `seeds`.

    An entry of the gradient is normal with this `mean` and deviation 1, times `scale` of n.
    """
    generator = np.random.default_rng(seed)
    moved = velocity = np.zeros((seeds, WEIGHTS))
    found = {"gradient_magnitude": [], "distance_to_initial": []}
    for iteration in range(1, ITERATIONS[-1] + 1):
        gradient = scale(iteration) * (mean + generator.normal(size=moved.shape))
        velocity = MOMENTUM * velocity + gradient
        moved = moved - velocity
        if iteration in ITERATIONS:
            found["gradient_magnitude"].append(np.abs(gradient).mean(axis=1))
            found["distance_to_initial"].append(np.linalg.norm(moved, axis=1))
    parts = [
        pd.DataFrame(values, ITERATIONS[1:]).melt(var_name="seed", ignore_index=False)
        for values in found.values()
    ]
    observed = pd.concat(parts, keys=found.keys(), names=["quantity", "iteration"]).reset_index()
    runs = played("early_telemetry", "dense", np.full(seeds, 90.0), momentum=MOMENTUM)
    return Evidence({TELEMETRY: runs}, {}, {TELEMETRY: observed.assign(role="dense")})


def by_the_former_rule(evidence, seeds):
    """The p values for sub-phases as they were judged before, of each `seeds` of `evidence`.

    By the means of gradients before and after iteration 10, and by movement as if there were no
    momentum.
    """
    observed = evidence.observations[TELEMETRY]
    curves = {
        quantity: table.pivot(index="iteration", columns="seed", values="value")
        for quantity, table in observed.groupby("quantity")
    }
    every = np.arange(1, 501)
    cases = []
    for seed in curves["gradient_magnitude"]:
        gradient, way = curves["gradient_magnitude"][seed], curves["distance_to_initial"][seed]
        filled = np.interp(every, gradient.index, gradient)
        slower = (growth(way, 1, 10), growth(way, 10, 500), growth(way, 500, way.index[-1]))
        larger = np.log10(filled[:10].mean() / filled[10:].mean())
        cases.append([larger, slower[0] - slower[1], slower[1] - slower[2]])
    for study in np.array(cases).reshape(-1, seeds, 3):
        above = np.array([stats.p_above(case, 0.0) for case in study.T])
        yield Weighed(above, 1 - above)
