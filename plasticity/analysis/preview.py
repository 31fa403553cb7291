"""Figures with made-up numbers, to be looked at before anything is trained.

What a figure shows, its panels, series and labels, follows from the paths of its runs; the numbers
come of their training. So a figure whose grid does not fit what draws it says so in a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from plasticity.analysis.figures import Tables
from plasticity.analysis.summary.curves import curves
from plasticity.analysis.summary.remedies import remedies_tables
from plasticity.analysis.summary.runs import Measured, runs_table
from plasticity.core.rng import numpy_generator
from plasticity.measures.quantities import QUANTITIES, TRACE, TRACES
from plasticity.runs import Run, ancestors, metrics
from plasticity.runs.cadence import Cadence
from plasticity.runs.workload import examples, require_a_batch, step_range, steps_per_epoch

NOTE = "made-up numbers"
"""What is written across each of them."""

MULTIPLY_ADDS = 1e8
"""Those of a forward pass, about as many as of a small network on small images."""

PLAIN = ("init", "keep", "continue", "ticket", "random")
"""Starts that leave the weights that are trained as they were."""


def made_up_tables(
    title: str,
    roles: Mapping[str, list[str]],
    labels: Mapping[str, str],
    observe: str | None,
    settings: Mapping[str, int],
    arms: bool = False,
) -> Tables:
    """What a figure is drawn from, with invented numbers: the same ones each time.

    `roles` gives the runs of each role. `observe` is one of `OBSERVATIONS`, with its `settings`
    in the study, or None; `arms` is whether they are compared as arms. Raises `UserError` for a
    data set that is not known in numbers, and for runs that could not be trained.
    """
    runs = [Run.parse(path) for path in dict.fromkeys(chain.from_iterable(roles.values()))]
    tuned = {run: made_up(run) for run in runs}
    pretrained = {run: made_up(run) for run in ancestors(runs)}
    table = runs_table(tuned, pretrained).to_pandas()
    epochs = pa.concat_tables(curves(tuned, pretrained)).to_pandas()
    return Tables.of(
        title,
        table,
        epochs,
        roles,
        labels,
        OBSERVATIONS[observe](runs, settings) if observe else None,
        remedies_tables(table, epochs, roles, MULTIPLY_ADDS)[0].to_pandas() if arms else None,
    )


def made_up(run: Run) -> Measured:
    """What the training of the last stage of `run` might measure; raises `UserError`."""
    require_a_batch(run, examples(run))
    begin, end = step_range(run)
    steps = steps_per_epoch(run)
    epochs = np.arange(begin // steps, -(-end // steps)) + 1
    iterations = np.minimum(epochs * steps, end)
    # Alike for all seeds, and a little apart from other settings.
    setting = numpy_generator(0, "preview", "setting", replace(run, seed=0))
    own = numpy_generator(run.seed, "preview", "own", run)
    level = 0.6 + 0.1 * setting.random() + 0.01 * own.normal()
    noise = 0.003 * own.normal(size=len(epochs))
    learnt = 1 - np.exp(-6 * iterations / end)
    fitted = np.minimum(1.0, 1.2 * (1 - np.exp(-epochs / 15)))
    values = {
        "epoch": epochs,
        "iteration": iterations,
        "train_loss": 2.3 * (1 - fitted),
        "train_accuracy": fitted,
        "test_loss": 2.3 - learnt,
        "test_accuracy": np.clip(level * learnt + noise, 0, 1),
        "seconds": np.ones(len(epochs)),
    }
    for name in ("loss", "accuracy"):
        shown = values[f"test_{name}"]
        is_held = run.dataset.options["validation"]
        values[f"validation_{name}"] = shown if is_held else np.full_like(shown, np.nan)
    table = pa.table({name: pa.array(column, from_pandas=True) for name, column in values.items()})
    return Measured(
        table.cast(metrics.SCHEMA),
        {
            "begins": begin,
            "ends": end,
            "density": density_of(run),
            "perturbation": 0.05 * (0.5 + own.random()) * moves_weights(run),
            "training_examples": examples(run),
            "parameters": parameters_of(run),
            **dict.fromkeys(("device", "precision", "torch", "code", "data_checksum"), ""),
        },
    )


def density_of(run: Run) -> float:
    """The fraction of weights that is left, about: each level of pruning takes the same one."""
    pruning = [stage.start.options for stage in run.stages if stage.prunes]
    return float((1 - pruning[-1]["fraction"]) ** pruning[-1]["level"]) if pruning else 1.0


def moves_weights(run: Run) -> bool:
    """Whether the start of the last stage of `run` changes weights that are then trained."""
    start = run.stage.start
    return start.member.name not in PLAIN and start.options.get("std") != 0


def parameters_of(run: Run) -> int:
    """As many as the network of `run` might have."""
    return int(10 ** numpy_generator(0, "preview", "network", run.model).uniform(5, 7))


def made_up_telemetry(runs: Iterable[Run], cadence: Cadence) -> pd.DataFrame:
    """What the first updates of `runs` might show, at the iterations that are looked at."""
    iterations = np.array(cadence.observed())
    evaluated = np.isin(iterations, cadence.evaluated())
    course = 1 - np.exp(-4 * iterations / cadence.iterations)
    pieces = []
    for run in runs:
        own = numpy_generator(run.seed, "preview", "telemetry", run)
        # Other seeds follow other weights.
        places = own.choice(10_000, size=TRACES, replace=False)
        for name in (*QUANTITIES, *(f"{TRACE}layer.weight[{place}]" for place in places)):
            low, high = np.sort(own.normal(size=2)) if name.startswith(TRACE) else (0.1, 0.8)
            values = low + (high - low) * course + 0.01 * own.normal(size=len(iterations))
            if name.startswith("test_"):
                values[~evaluated] = np.nan
            if name.startswith("gradient_"):
                values[0] = np.nan
            columns: dict[str, Any] = {"run": str(run), "seed": run.seed, "iteration": iterations}
            pieces.append(pd.DataFrame({**columns, "quantity": name, "value": values}))
    return pd.concat(pieces, ignore_index=True)


def made_up_connectivity(runs: Iterable[Run], points: int) -> pd.DataFrame:
    """What the line between each of `runs` and its twin might show: a barrier, lower later on."""
    alpha = np.linspace(0, 1, points)
    pieces = []
    for run in runs:
        own = numpy_generator(run.seed, "preview", "connectivity", run)
        height = (0.3 + 0.05 * own.random()) / (1 + step_range(run)[0] / 100)
        error = 0.3 + height * np.sin(np.pi * alpha) ** 2
        columns: dict[str, Any] = {"run": str(run), "seed": run.seed, "alpha": alpha}
        columns["reason"] = None  # there is a line
        for part, easier in (("train", 0.5), ("test", 1.0)):
            columns |= {f"{part}_loss": easier * error, f"{part}_accuracy": 1 - easier * error}
        pieces.append(pd.DataFrame(columns))
    return pd.concat(pieces, ignore_index=True)


OBSERVATIONS: Mapping[str, Callable[[Iterable[Run], Mapping[str, int]], pd.DataFrame]] = {
    "telemetry": lambda runs, settings: made_up_telemetry(runs, Cadence(**settings)),
    "connectivity": lambda runs, settings: made_up_connectivity(runs, settings["points"]),
}
"""What invents the numbers of each kind of observation, given the study's settings for it."""
