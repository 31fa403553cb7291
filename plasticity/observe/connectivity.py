"""Linear mode connectivity: the networks on the line between two trained states.

Two copies of a network that were trained on different orders of the data are connected where the
error on the line between them does not rise (Frankle et al. 2020, "Linear mode connectivity and the
lottery ticket hypothesis"). Statistics of normalisation belong to the weights that they were taken
with and are taken anew at each point.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import SGD

from plasticity.core import files, tables
from plasticity.core.errors import UserError, shown
from plasticity.core.rng import torch_generator
from plasticity.models.network import Network
from plasticity.observe.final_states import final_state
from plasticity.runs import Run
from plasticity.runs.compute import Precision
from plasticity.runs.provenance import Code
from plasticity.training.batches import shuffled
from plasticity.training.examples import Batch, Examples
from plasticity.training.explained import explained
from plasticity.training.hardware import Hardware, Log
from plasticity.training.loop import TrainState, evaluate
from plasticity.training.stages import Inputs, describe, prepare

STATISTICS = 50
"""Batches of training examples from which the statistics of normalisation are taken; fewer where
there are not so many. Ours: the sources do not say."""

LINE = pa.schema(
    [
        pa.field(name, pa.float64(), nullable=name != "alpha")
        for name in ("alpha", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
    ]
)
SCHEMA = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        *LINE,
        pa.field("reason", pa.string()),
    ]
)
"""A row for each point of the line, from `alpha` 0, one end, to 1, the other.

Losses are mean cross-entropies in nats, accuracies are fractions; all in evaluation mode. There are
none where the loss is not finite, and nowhere on a line of which an end diverged; the line then has
no barrier, and `reason` says why in each of its rows.
"""


@dataclass(frozen=True)
class Line:
    """How to look at a line: at so many evenly spaced `points`, ends included.

    Statistics are the mean over `batches` batches of `batch` training examples, without augmenting
    them; the training error is taken over at most `train_examples`. Raises `ValueError` for a
    number out of bounds.
    """

    points: int = 11
    batches: int = 50
    batch: int = 128
    train_examples: int = 10_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value, low = getattr(self, field.name), 2 if field.name == "points" else 1
            if type(value) is not int or value < low:
                raise ValueError(
                    f"{field.name}: {shown(value)}, expected a whole number of at least {low}"
                )

    @property
    def alphas(self) -> list[float]:
        """How far from the one end each point is, as a fraction of the whole line."""
        return [point / (self.points - 1) for point in range(self.points)]


def barrier(
    network: Network,
    one: Mapping[str, Tensor],
    other: Mapping[str, Tensor],
    train: Examples,
    test: Examples,
    line: Line,
    generator: torch.Generator,
    precision: Precision,
) -> pa.Table:
    """Loss and accuracy on `line` from the state `one` to the state `other`, as `LINE` says.

    `network`, on the device of the examples, gives the architecture and is left as it was.
    `generator`, on the CPU, draws the batches that the statistics are taken from and the training
    examples that are evaluated: the same at each point. Raises `UserError` for states of another
    network, or where `train` has too few examples.
    """
    device = train.device
    network = deepcopy(network)
    require_state(network, one, "the one end")
    require_state(network, other, "the other end")
    take_buffers(network, one, other)
    if len(train) < line.batches * line.batch:
        raise UserError(
            f"batches: {line.batches} of {line.batch} asked for to take the statistics of "
            f"normalisation from, but there are {len(train)} training examples; take fewer"
        )
    drawn = shuffled(torch.arange(len(train)), line.batch, generator)
    batches = drawn[: line.batches].to(device)
    taken = torch.randperm(len(train), generator=generator)[: line.train_examples].to(device)
    images = train.images[taken.to(train.images.device)]
    some = replace(train, images=images, labels=train.labels[taken])
    # No step is made: the optimiser is there because a train state has one.
    train_state = TrainState(network, SGD(network.parameters(), lr=0.0), precision)

    found = []
    for alpha in line.alphas:
        interpolate(network, one, other, alpha)
        estimate_statistics(train_state, train, batches)
        for examples in (some, test):
            sums = evaluate(train_state, examples)
            assert sums is not None  # nothing stops an evaluation here
            found.append(sums[:2] / sums[2])
    # The one place where the host waits for the device.
    rows = torch.cat(found).view(line.points, 2, 2).tolist()
    values = [
        value if math.isfinite(loss) else None
        for row in rows
        for loss, accuracy in row
        for value in (loss, accuracy)
    ]
    return pa.table([line.alphas, *(values[column::4] for column in range(4))], schema=LINE)


def no_line(line: Line) -> pa.Table:
    """The table of a `line` that is not looked at, as `LINE` says."""
    return pa.table([line.alphas, *([[None] * line.points] * 4)], schema=LINE)


def barrier_of(table: pa.Table, part: str = "test") -> float:
    """The height of the barrier in `table`, of ``test`` or ``train``, in fractions of the examples.

    The highest error on the line less the mean of the errors at its two ends. As the ends are on
    the line, it is at least half of the difference between them, and never below zero.
    """
    accuracies: list[float] = table.sort_by("alpha")[f"{part}_accuracy"].to_pylist()
    return (accuracies[0] + accuracies[-1]) / 2 - min(accuracies)


def require_state(network: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Raise `UserError` where `state`, which is `what`, lacks a parameter of `network`."""
    for name, parameter in network.named_parameters():
        if name not in state or state[name].shape != parameter.shape:
            raise UserError(
                f"{what} of the line has no {name} of shape {list(parameter.shape)}; "
                "give two states of one network"
            )


@torch.no_grad()
def take_buffers(
    network: nn.Module, one: Mapping[str, Tensor], other: Mapping[str, Tensor]
) -> None:
    """Give `network` what both ends hold besides parameters and statistics of normalisation.

    Such as a table of positions. Raises `UserError` where they differ, as what a layer gathers in
    training does: nobody knows what it would be on the line.
    """
    for name, layer in network.named_modules():
        for entry, buffer in layer.named_buffers(name, recurse=False):
            if isinstance(layer, _NormBase) or entry not in one:
                continue
            if entry not in other or not torch.equal(one[entry], other[entry]):
                raise UserError(
                    f"the ends of the line differ in {entry}, a buffer of {type(layer).__name__} "
                    "that training changes: what it would be between them is not known; observe "
                    "the connectivity of a network without"
                )
            buffer.copy_(one[entry])


@torch.no_grad()
def interpolate(
    network: nn.Module, one: Mapping[str, Tensor], other: Mapping[str, Tensor], alpha: float
) -> None:
    """Set every parameter of `network` to (1 - alpha) `one` + alpha `other`; buffers stay.

    Both ends come out exactly, and so does a parameter that is the same in both: the sum is made in
    float64.
    """
    for name, parameter in network.named_parameters():
        ends = [state[name].to(parameter.device, torch.float64) for state in (one, other)]
        parameter.copy_(ends[0] * (1 - alpha) + ends[1] * alpha)


@torch.no_grad()
def estimate_statistics(train_state: TrainState, examples: Examples, batches: Tensor) -> None:
    """Set the statistics of all normalisation to their mean over `batches`, indices int64 [n, b].

    What they were before does not matter. The same as torch's cumulative average (a `momentum` of
    None), to the bit.
    """
    layers = [
        layer
        for layer in train_state.network.modules()
        if isinstance(layer, _NormBase) and layer.running_mean is not None
    ]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
    train_state.network.train()
    for number, indices in enumerate(batches, start=1):
        for layer in layers:
            # Not by torch.optim.swa_utils.update_bn, whose momentum of None waits for the device.
            layer.momentum = 1 / number
        images, _ = examples.batch(Batch(indices))
        with train_state.autocast(images.device):
            train_state.network(images)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def write(path: str | Path, table: pa.Table, about: Mapping[str, Any]) -> None:
    """Write `table` with `about` (the two runs and their circumstances) as metadata."""
    tables.write(path, table, SCHEMA, about)


def read(path: str | Path) -> tuple[pa.Table, dict[str, Any]]:
    """The table in `path` and what it says about its runs; raises `UserError`."""
    return tables.read(path, SCHEMA, "connectivity file", "delete it and run again to make it anew")


# As a job


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
    with files.held(output.with_name(".lock"), log), explained(run, log):
        stage = prepare(run, inputs, hardware, code, log)
        states = {
            each: final_state(each, path, stage)
            for each, path in zip((run, run.reordered_run), ends, strict=True)
        }
        reason = "; ".join(
            f"{each} diverged at step {state.diverged.step}"
            for each, state in states.items()
            if state.diverged
        )
        batch = run.stage.optimiser.options["batch"]
        line = Line(points, min(STATISTICS, len(stage.train) // batch), batch, examples)
        if reason:
            table = no_line(line)
        else:
            one, other = (state.weights for state in states.values())
            table = barrier(
                stage.train_state.network,
                one,
                other,
                stage.train,
                stage.test,
                line,
                torch_generator(run.seed, "connectivity"),
                hardware.precision,
            )
        if not reason and any(table[name].null_count for name in table.column_names):
            reason = "the loss is not finite everywhere on the line"
        if reason:
            log(f"no barrier: {reason}")
        else:
            rise = barrier_of(table)
            log(f"the error on the line rises by {rise:.2%} above the mean of its ends")
        about = {"run": str(run), "seed": run.seed}
        columns = {name: pa.array([value] * len(table)) for name, value in about.items()}
        columns |= {name: table[name] for name in table.column_names}
        reasons = pa.array([reason or None] * len(table), pa.string())
        write(output, pa.table({**columns, "reason": reasons}), describe(stage, hardware))
