"""Figures with made-up numbers, to be looked at before anything is trained.

What a figure shows, its panels, series and labels, follows from its runs; only the numbers come of
their training. So a figure that cannot be drawn from its runs says so in a minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from plasticity import metrics, summary
from plasticity.cadence import Cadence
from plasticity.figures import Tables
from plasticity.figures.telemetry import TRACE
from plasticity.spec import Run, ancestors
from plasticity.spec.workload import clock, updates_an_epoch
from plasticity.streams import numpy_generator
from plasticity.summary import Measured

NOTE = "made-up numbers"
"""What is written across each of them."""

QUANTITIES = (
    "weight_magnitude",
    "nonzero_share",
    "sign_change_share",
    "gradient_magnitude",
    "gradient_norm",
    "distance_to_initial",
    "cosine_to_initial",
    "distance_to_final",
    "cosine_to_final",
    "test_loss",
    "test_accuracy",
)
"""Those of `plasticity.telemetry`, which needs torch."""

TRACES = 6
"""Single weights whose course is made up."""

PERTURBED = ("signs", "magnitudes", "scope", "deviations")
"""Options of starts that move weights."""


def made_up_tables(
    title: str,
    roles: Mapping[str, list[str]],
    labels: Mapping[str, str],
    observe: str | None,
    settings: Mapping[str, int],
) -> Tables:
    """What a figure is drawn from, with invented numbers: the same ones each time.

    `roles` gives the runs of each role. `observe` is ``telemetry``, with the `settings` of a
    `Cadence`; or ``connectivity``, with that of ``points`` on the line; or neither. Raises
    `UserError` for a data set that is not known in numbers.
    """
    runs = [Run.parse(path) for path in dict.fromkeys(chain.from_iterable(roles.values()))]
    tuned = {run: made_up(run) for run in runs}
    pretrained = {run: made_up(run) for run in ancestors(runs)}
    observations = None
    if observe == "telemetry":
        observations = made_up_telemetry(runs, Cadence(**settings))
    elif observe == "connectivity":
        observations = made_up_connectivity(runs, settings["points"])
    return Tables.of(
        title,
        summary.runs_table(tuned, pretrained).to_pandas(),
        pa.concat_tables(summary.curves(tuned, pretrained)).to_pandas(),
        roles,
        labels,
        observations,
    )


def made_up(run: Run) -> Measured:
    """What the training of the last stage of `run` might measure."""
    begin, end = clock(run)
    steps = max(1, updates_an_epoch(run))
    epochs = np.arange(begin // steps, -(-end // steps)) + 1
    iterations = np.minimum(epochs * steps, end)
    # Alike for all seeds, a little apart from other settings, and lower after a warm start.
    setting = numpy_generator(0, "preview", replace(run, seed=0))
    own = numpy_generator(run.seed, "preview", run)
    level = 0.6 + 0.1 * setting.random() - 0.05 * (len(run.stages) > 1) + 0.01 * own.normal()
    learnt = 1 - np.exp(-6 * iterations / end)
    noise = 0.003 * own.normal(size=len(epochs))
    values = {
        "epoch": epochs,
        "iteration": iterations,
        "train_loss": 2.3 * (1 - learnt),
        "train_accuracy": np.minimum(1.0, 1.2 * learnt),
        "test_loss": 2.3 - learnt,
        "test_accuracy": np.clip(level * learnt + noise, 0, 1),
        "seconds": np.ones(len(epochs)),
    }
    table = pa.table({name: pa.array(column) for name, column in values.items()})
    return Measured(
        table.cast(metrics.SCHEMA),
        {
            "begins": begin,
            "ends": end,
            "density": density_of(run),
            "perturbation": 0.05 * (0.5 + own.random()) * is_perturbed(run),
            "training_examples": steps * run.stage.optimiser.options["batch"],
            "parameters": None,
            **dict.fromkeys(("device", "precision", "torch", "code", "data_checksum"), ""),
        },
    )


def density_of(run: Run) -> float:
    """The share of weights that pruning leaves, about: each level takes the same share of them."""
    if run.ticket is None:
        return 1.0
    options = run.ticket.stage.start.options
    return float((1 - options["share"]) ** options["level"])


def is_perturbed(run: Run) -> bool:
    """Whether the start of the last stage of `run` moves weights."""
    options = run.stage.start.options
    return any(options.get(name) for name in PERTURBED)


def made_up_telemetry(runs: Iterable[Run], cadence: Cadence) -> pd.DataFrame:
    """What the first updates of `runs` might show, at the iterations that are looked at."""
    iterations = np.array(cadence.observed())
    evaluated = np.isin(iterations, cadence.evaluated())
    course = 1 - np.exp(-4 * iterations / cadence.iterations)
    pieces = []
    for run in runs:
        own = numpy_generator(run.seed, "preview", "telemetry", run)
        for name in (*QUANTITIES, *(f"{TRACE}weight[{number}]" for number in range(TRACES))):
            low, high = np.sort(own.normal(size=2)) if name.startswith(TRACE) else (0.1, 0.8)
            values = low + (high - low) * course + 0.01 * own.normal(size=len(iterations))
            if name.startswith("test_"):
                values[~evaluated] = np.nan
            columns: dict[str, Any] = {"run": str(run), "seed": run.seed, "iteration": iterations}
            pieces.append(pd.DataFrame({**columns, "quantity": name, "value": values}))
    return pd.concat(pieces, ignore_index=True)


def made_up_connectivity(runs: Iterable[Run], points: int) -> pd.DataFrame:
    """What the line between each of `runs` and its twin might show: a barrier, lower later on."""
    alpha = np.linspace(0, 1, points)
    pieces = []
    for run in runs:
        own = numpy_generator(run.seed, "preview", "connectivity", run)
        height = (0.3 + 0.05 * own.random()) / (1 + clock(run)[0] / 100)
        error = 0.3 + height * np.sin(np.pi * alpha) ** 2
        columns: dict[str, Any] = {"run": str(run), "seed": run.seed, "alpha": alpha}
        for part, easier in (("train", 0.5), ("test", 1.0)):
            columns |= {f"{part}_loss": easier * error, f"{part}_accuracy": 1 - easier * error}
        pieces.append(pd.DataFrame(columns))
    return pd.concat(pieces, ignore_index=True)
