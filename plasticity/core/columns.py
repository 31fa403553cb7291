"""Columns of numbers in parquet files, made and read without pandas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def column(values: Sequence[float] | np.ndarray, kind: pa.DataType) -> pa.Array:
    """`values`, numbers without gaps, as a column of `kind`.

    pyarrow's own `array` imports pandas, to ask whether they are its: a third of a second.
    """
    numbers = np.ascontiguousarray(values, dtype=kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A copy of `column`, numbers without gaps; `to_numpy` imports pandas as well."""
    return np.from_dlpack(column.combine_chunks()).copy()
