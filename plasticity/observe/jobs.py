"""What is observed of a run besides its metrics, as jobs: its first steps, and its valley."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from torch import Tensor

from plasticity.core import files
from plasticity.core.rng import torch_generator
from plasticity.observe import connectivity, telemetry
from plasticity.observe.connectivity import Line
from plasticity.runs import Run
from plasticity.runs.cadence import Cadence
from plasticity.runs.provenance import Code
from plasticity.training import checkpoint
from plasticity.training.hardware import Hardware, Log
from plasticity.training.stages import Inputs, Stage, describe, prepare
from plasticity.training.train import within_memory

STATISTICS = 50
"""Batches of training examples from which the statistics of normalisation are taken; fewer where
there are not so many. Ours: the sources do not say."""


def observe_telemetry(
    run: Run,
    inputs: Inputs,
    final: Path,
    output: Path,
    hardware: Hardware,
    cadence: Cadence,
    code: Code,
    log: Log,
) -> None:
    """Train the first steps of the last stage of `run` again and write what happens in them.

    `final` is the state at its end, from which distances are measured. Raises `UserError` for
    inputs that cannot be used.
    """
    with files.held(output.with_name(".lock"), log), within_memory(run):
        stage = prepare(run, inputs, hardware, code, log)
        table = telemetry.observe(stage, final_state(run, final, stage), cadence, log)
        telemetry.write(output, table, describe(stage, hardware))


def observe_connectivity(
    run: Run,
    inputs: Inputs,
    ends: tuple[Path, Path],
    output: Path,
    hardware: Hardware,
    points: int,
    examples: int,
    code: Code,
    log: Log,
) -> None:
    """Write loss and accuracy on the line between the ends of `run` and of the reordered run.

    `points` on the line, ends included, each evaluated on the test set and on at most so many
    training `examples`, which are seen as they are, without augmentation. Raises `UserError` for
    inputs that cannot be used.
    """
    with files.held(output.with_name(".lock"), log), within_memory(run):
        stage = prepare(run, inputs, hardware, code, log)
        one, other = (
            final_state(one, path, stage)
            for one, path in zip((run, run.reordered_run), ends, strict=True)
        )
        batch = run.stage.optimiser.options["batch"]
        line = Line(points, min(STATISTICS, len(stage.train) // batch), batch, examples)
        table = connectivity.barrier(
            stage.train_state.network,
            one,
            other,
            stage.train,
            stage.test,
            line,
            torch_generator(run.seed, "connectivity"),
            hardware.precision,
        )
        barrier = connectivity.barrier_of(table)
        log(f"the error on the line rises by {barrier:.2%} above the mean of its ends")
        columns: dict[str, Any] = {"run": [str(run)] * len(table), "seed": [run.seed] * len(table)}
        named = pa.table({**columns, **{name: table[name] for name in table.column_names}})
        connectivity.write(output, named, describe(stage, hardware))


def final_state(run: Run, path: Path, stage: Stage) -> Mapping[str, Tensor]:
    """The network in the checkpoint in `path`, which must be of `run` and as `stage` trains."""
    found = checkpoint.load(path)
    identity = stage.identity
    expected = {
        "run": str(run),
        "data": identity.data,
        "precision": identity.precision,
        "device": identity.device,
    }
    checkpoint.require(path, found, expected)
    return found.network
