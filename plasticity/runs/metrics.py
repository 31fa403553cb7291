"""What is measured at the end of every epoch, and its parquet file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
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
    those of testing over the whole test set, after the epoch and in evaluation mode. `seconds` is
    the wall time of both and the only column that differs between two executions of the same run.
    """

    epoch: int
    iteration: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float


def reaches(accuracy: float, percent: float | None) -> bool:
    """Whether an `accuracy`, in 0 .. 1, is at least so many `percent`; never where that is None.

    They are compared as decimals are read, so that 999 of 1000 reach 99.9 percent.
    """
    return percent is not None and accuracy >= float(Fraction(str(percent)) / 100)


ADVICE = "delete it and run again to train anew"

COUNTS = {"epoch": pa.int32(), "iteration": pa.int64()}
SCHEMA = pa.schema(
    [
        pa.field(field.name, COUNTS.get(field.name, pa.float64()), nullable=False)
        for field in fields(EpochMetrics)
    ]
)


def as_rows(history: Sequence[EpochMetrics]) -> list[tuple[float, ...]]:
    """`history` as plain numbers, to be stored beside tensors."""
    return [astuple(metrics) for metrics in history]


def from_rows(rows: Sequence[Sequence[float]]) -> list[EpochMetrics]:
    """The inverse of `as_rows`."""
    return [EpochMetrics(int(epoch), int(iteration), *rest) for epoch, iteration, *rest in rows]


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
