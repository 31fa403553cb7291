"""What is measured at the end of every epoch, and its parquet file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa

from plasticity.core import tables


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch of training, or a part of one, and the evaluation that follows it.

    `epoch` and `iteration`, the number of steps, are told by the clock of the stage, at the end.
    Losses are mean cross-entropies in nats, accuracies are fractions in 0 .. 1. Those of training
    are taken over the epoch's batches as they pass, each before its step and in training mode;
    those of testing over the whole test set, after the epoch and in evaluation mode, and those of
    validation over what is held out for it. They are None after an epoch that is not evaluated, and
    where nothing is held out. `seconds` is the wall time of both and the only column that differs
    between two executions of the same run.
    """

    epoch: int
    iteration: int
    train_loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    seconds: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None


EVALUATED = ("test_loss", "test_accuracy", "validation_loss", "validation_accuracy")
"""What is measured only where an epoch is evaluated."""

FINAL_PART = 5
"""The final accuracy is the mean over the last fifth of tuning: the last 100 of 500 epochs, as in
Berariu et al., section 2, and in proportion where a study is shorter."""


def final_epochs(epochs: int) -> int:
    """Over how many of the last of `epochs` on the clock the final accuracy is taken."""
    return max(1, epochs // FINAL_PART)


def is_evaluated(epoch: int, epochs: int, every: int) -> bool:
    """Whether `epoch`, of `epochs` on the clock, is evaluated where `every` so many are.

    All of those are that the final accuracy is taken over.
    """
    return epoch % every == 0 or epoch > epochs - final_epochs(epochs)


def evaluated_epochs(before: int, epochs: int, every: int) -> int:
    """How many of the epochs after the one `before` are evaluated; see `is_evaluated`."""
    window = max(before, epochs - final_epochs(epochs))
    return window // every - before // every + epochs - window


def as_evaluated(history: Sequence[EpochMetrics], epochs: int, every: int) -> list[EpochMetrics]:
    """`history` as a stage of `epochs` on the clock evaluates it itself; see `is_evaluated`.

    A shorter training that it goes on from was evaluated in its own last epochs besides.
    """
    unmeasured: dict[str, Any] = dict.fromkeys(EVALUATED)
    return [
        one if is_evaluated(one.epoch, epochs, every) else replace(one, **unmeasured)
        for one in history
    ]


def reaches(accuracy: float, percent: float | None) -> bool:
    """Whether an `accuracy`, in 0 .. 1, is at least so many `percent`; never where that is None.

    They are compared as decimals are read, so that 999 of 1000 reach 99.9 percent.
    """
    return percent is not None and accuracy >= float(Fraction(str(percent)) / 100)


ADVICE = "delete it and run again to train anew"

COUNTS = {"epoch": pa.int32(), "iteration": pa.int64()}
SCHEMA = pa.schema(
    [
        pa.field(field.name, COUNTS.get(field.name, pa.float64()), field.name in EVALUATED)
        for field in fields(EpochMetrics)
    ]
)


def as_rows(history: Sequence[EpochMetrics]) -> list[tuple[float, ...]]:
    """`history` as plain numbers, to be stored beside tensors; NaN where there is none."""
    rows = map(astuple, history)
    return [tuple(math.nan if number is None else number for number in row) for row in rows]


def from_rows(rows: Sequence[Sequence[float]]) -> list[EpochMetrics]:
    """The inverse of `as_rows`; rows from before there was validation lack its numbers."""
    found = []
    for row in rows:
        numbers: dict[str, Any] = dict(zip(SCHEMA.names, row, strict=False))
        numbers |= {name: int(numbers[name]) for name in COUNTS}
        gaps = [name for name in EVALUATED if math.isnan(numbers.get(name, math.nan))]
        found.append(EpochMetrics(**{**numbers, **dict.fromkeys(gaps)}))
    return found


def write(path: str | Path, history: Sequence[EpochMetrics], about: Mapping[str, Any]) -> None:
    """Write `history`, an epoch a row, with `about` (the run and its circumstances) as metadata."""
    columns = [[getattr(metrics, name) for metrics in history] for name in SCHEMA.names]
    tables.write(path, tables.of_numbers(columns, SCHEMA), SCHEMA, about)


def about(path: str | Path) -> dict[str, Any]:
    """What the file in `path` says about its run, without its table; raises `UserError`."""
    return tables.read_about(path, "metrics file", ADVICE)


def read(path: str | Path) -> tuple[pa.Table, dict[str, Any]]:
    """The table in `path` and what it says about its run; raises `UserError`."""
    return tables.read(path, SCHEMA, "metrics file", ADVICE)
