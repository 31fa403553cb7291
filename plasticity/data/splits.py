"""Data selections: which training examples a stage may use, drawn by the seed.

To add one, declare a function of the labels and a generator that returns example indices; what it
may tell of itself is in `plasticity.runs.facts.SelectionFacts`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from plasticity.core import tables
from plasticity.core.errors import UserError
from plasticity.core.rng import numpy_generator
from plasticity.data.arrivals import arrivals
from plasticity.runs import Integer, Number, SelectionFacts, Term, data_selections

SCHEMA = pa.schema([pa.field("index", pa.int64(), nullable=False)])


@data_selections.member("full")
def full(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Every training example."""
    return np.arange(len(labels))


@data_selections.member("half", facts=SelectionFacts(size=lambda total: total // 2))
def half(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Half of the training examples, drawn uniformly (Berariu et al., section 2)."""
    return _random_half(len(labels), generator)


def _random_half(total: int, generator: np.random.Generator) -> np.ndarray:
    chosen: np.ndarray = generator.permutation(total)[: total // 2]
    return chosen


def _drifting_fraction(progress: float, *, gamma: float) -> float:
    """The formula of Berariu et al., appendix A.2; `progress` is n / N."""
    return 1.0 - float(gamma ** (50.0 * progress))


@data_selections.member(
    "drift{gamma}",
    facts=SelectionFacts(stream="half", fraction_of_all=_drifting_fraction),
    gamma=Number(above=0.0, below=1.0),
)
def drift(labels: np.ndarray, generator: np.random.Generator, *, gamma: float) -> np.ndarray:
    """The same half, from which sampling drifts to all examples (Berariu et al., figure 3)."""
    return _random_half(len(labels), generator)


@data_selections.member("resampled", facts=SelectionFacts(fraction_of_all=lambda progress: 1.0))
def resampled(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Every training example, but drawn with replacement: the control of figure 3."""
    return np.arange(len(labels))


def _stage_size(total: int, *, stage: int, stages: int, ratio: float) -> int:
    """Exact for a ratio of 1; for smaller ones as nearly as the classes are of one size."""
    pieces, longer = divmod(total, stages + 1)
    return pieces * stage + min(stage, longer)


def _classes_needed(*, stage: int, stages: int, ratio: float) -> int:
    return stages + 1 if ratio < 1.0 else 1


def _check_stage(*, stage: int, stages: int, ratio: float) -> None:
    if stage > stages:
        raise ValueError(
            f"stage: expected at most {stages}, the number of stages before the last, got {stage}"
            "; the last stage has every example and is written 'full'"
        )


@data_selections.member(
    "stage{stage}of{stages}r{ratio}",
    facts=SelectionFacts(
        # Without the stage, as each holds those before it, and without the ratio, so that ratios
        # are compared on the same deal of the classes.
        stream="stages of {stages}",
        size=_stage_size,
        classes=_classes_needed,
    ),
    check=_check_stage,
    stage=Integer(at_least=1),
    stages=Integer(at_least=1, at_most=1000),
    ratio=Number(at_least=0.0, at_most=1.0),
)
def stage(
    labels: np.ndarray, generator: np.random.Generator, *, stage: int, stages: int, ratio: float
) -> np.ndarray:
    """What has arrived by one of several stages of pretraining (Berariu et al., appendix A.3)."""
    return np.flatnonzero(arrivals(labels, generator, stages, ratio) <= stage)


def draw(selection: Term[SelectionFacts], labels: np.ndarray, seed: int) -> np.ndarray:
    """The ascending indices, int64 [n], that `selection` takes of the examples with `labels`."""
    stream = (selection.facts.stream or str(selection)).format(**selection.options)
    generator = numpy_generator(seed, "split", stream)
    return np.sort(selection(labels, generator)).astype(np.int64)


def write(
    path: str | Path,
    selection: Term[SelectionFacts],
    labels: np.ndarray,
    classes: list[str],
    seed: int,
) -> None:
    """Draw `selection` and write its indices; the class counts go into the file's metadata."""
    indices = draw(selection, labels, seed)
    counts = np.bincount(labels[indices], minlength=len(classes))
    about = {
        "selection": str(selection),
        "seed": seed,
        "examples": len(indices),
        "of": len(labels),
        "class_counts": {name: int(n) for name, n in zip(classes, counts, strict=True)},
    }
    tables.write(path, tables.of_numbers([indices], SCHEMA), SCHEMA, about)


def read(path: str | Path, examples: int) -> np.ndarray:
    """The indices in `path`, int64 [n], for a data set of `examples`; raises `UserError`."""
    table = tables.load(path, SCHEMA, "split", "delete it and run again to draw it anew")
    indices = tables.numbers(table["index"])
    if len(indices) == 0 or indices.min() < 0 or indices.max() >= examples:
        raise UserError(
            f"{path}: its indices do not fit a data set of {examples} examples; "
            "delete it and run again to draw it anew"
        )
    return indices
