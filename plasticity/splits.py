"""Data selections: which training examples a stage may use, drawn by the seed.

To add one, declare a function of the labels and a generator that returns example indices.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plasticity import files
from plasticity.errors import UserError
from plasticity.spec import Term, data_selections
from plasticity.streams import numpy_generator

SCHEMA = pa.schema([pa.field("index", pa.int64(), nullable=False)])


@data_selections.member("full")
def full(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Every training example."""
    return np.arange(len(labels))


@data_selections.member("half")
def half(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Half of the training examples, drawn uniformly (Berariu et al., section 2)."""
    return generator.permutation(len(labels))[: len(labels) // 2]


def draw(selection: Term, labels: np.ndarray, seed: int) -> np.ndarray:
    """The ascending indices, int64 [n], that `selection` takes of the examples with `labels`."""
    generator = numpy_generator(seed, "split", selection)
    return np.sort(selection(labels, generator)).astype(np.int64)


def write(
    path: str | Path, selection: Term, labels: np.ndarray, classes: list[str], seed: int
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
    schema = SCHEMA.with_metadata({"plasticity": json.dumps(about)})
    with files.whole(path) as partial:
        table = pa.table({"index": indices}, schema=schema)
        pq.write_table(table, partial, write_page_checksum=True)


def read(path: str | Path, examples: int) -> np.ndarray:
    """The indices in `path`, int64 [n], for a data set of `examples`; raises `UserError`."""
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        if table.schema.names != SCHEMA.names or table["index"].null_count:
            raise ValueError(f"expected one column without gaps, {SCHEMA.names[0]}")
        indices: np.ndarray = table.cast(SCHEMA)["index"].to_numpy().copy()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(
            f"{path}: not a readable split ({error}); delete it and run again to draw it anew"
        ) from error
    if len(indices) == 0 or indices.min() < 0 or indices.max() >= examples:
        raise UserError(
            f"{path}: its indices do not fit a data set of {examples} examples; "
            "delete it and run again to draw it anew"
        )
    return indices
