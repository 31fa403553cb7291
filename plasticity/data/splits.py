"""Splits: the examples that a data selection takes, drawn by the seed, and their file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from plasticity.core import tables
from plasticity.core.errors import UserError
from plasticity.core.rng import numpy_generator
from plasticity.runs import SelectionFacts, Term

WHAT, ADVICE = "split", "delete it and run again to draw it anew"

SCHEMA = pa.schema([pa.field("index", pa.int64(), nullable=False)])


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
    components: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Draw `selection` by the code in `components` and write its indices.

    The class counts go into the file's metadata. Raises `UserError` where it takes no example.
    """
    indices = draw(selection, labels, seed)
    if len(indices) == 0:
        raise UserError(
            f"data selection '{selection}' takes none of {len(labels)} training examples; take a "
            "larger data set (-n) or another selection"
        )
    counts = np.bincount(labels[indices], minlength=len(classes))
    about = {
        "selection": str(selection),
        "seed": seed,
        "examples": len(indices),
        "of": len(labels),
        "class_counts": {name: int(n) for name, n in zip(classes, counts, strict=True)},
        "components": dict(components),
    }
    tables.write(path, tables.of_numbers([indices], SCHEMA), SCHEMA, about)


def read(path: str | Path, examples: int) -> np.ndarray:
    """The indices in `path`, int64 [n], for a data set of `examples`; raises `UserError`."""
    table = tables.load(path, SCHEMA, WHAT, ADVICE)
    indices = tables.numbers(table["index"])
    if len(indices) == 0 or indices.min() < 0 or indices.max() >= examples:
        raise UserError(
            f"{path}: its indices do not fit a data set of {examples} examples; {ADVICE}"
        )
    return indices


def made_by(path: str | Path) -> Mapping[str, str]:
    """The digests of the code that drew the split in `path`; raises `UserError`."""
    found: Mapping[str, str] = tables.read_about(path, WHAT, ADVICE).get("components", {})
    return found
