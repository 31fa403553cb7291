"""Parquet files that explain themselves: a table of one schema, and what it is about.

Numbers are read and written without pandas, `pyarrow.compute` and `pyarrow.dataset`, whose loading
takes as long as a short stage; pyarrow's own `array`, `cast` and `read_table` load them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plasticity.core import files
from plasticity.core.tensors import KEY


def write(path: str | Path, table: pa.Table, schema: pa.Schema, about: Mapping[str, Any]) -> None:
    """Write `table`, which fits `schema`, with `about` (its run and circumstances) as metadata."""
    described = schema.with_metadata({KEY: json.dumps(about, sort_keys=True)})
    table = _as(schema, table).replace_schema_metadata(described.metadata)
    write_pieces(path, described, [table])


def write_pieces(path: str | Path, schema: pa.Schema, pieces: Iterable[pa.Table]) -> None:
    """Write a table of `schema` that comes in `pieces`, whole or not at all."""
    with (
        files.whole(path) as partial,
        pq.ParquetWriter(partial, schema, write_page_checksum=True) as writer,
    ):
        for piece in pieces:
            writer.write_table(piece)


def read(
    path: str | Path, schema: pa.Schema, what: str, advice: str
) -> tuple[pa.Table, dict[str, Any]]:
    """The table in `path`, of `schema`, and what it is about.

    Raises `UserError`, which says that `path` is not `what` and gives `advice`, where it cannot be
    read or holds something else.
    """
    with readable(path, what, advice):
        table = _checked(path, schema)
        about: dict[str, Any] = json.loads(table.schema.metadata[KEY.encode()])
        return table.replace_schema_metadata(None), about


def read_about(path: str | Path, what: str, advice: str) -> dict[str, Any]:
    """What the table in `path` is about, without reading it; raises `UserError` as `read`."""
    with readable(path, what, advice):
        about: dict[str, Any] = json.loads(pq.read_schema(path).metadata[KEY.encode()])
        return about


def load(path: str | Path, schema: pa.Schema | None, what: str, advice: str) -> pa.Table:
    """The table in `path`, of `schema` where there is one, its pages checked; as `read`."""
    with readable(path, what, advice):
        return _checked(path, schema).replace_schema_metadata(None)


@contextmanager
def readable(path: str | Path, what: str, advice: str) -> Iterator[None]:
    """Raise `UserError` where the table in `path` cannot be read in this block."""
    try:
        yield
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise files.unreadable(path, f"not a readable {what} ({error})", advice) from error


def of_numbers(
    columns: Sequence[Sequence[float | None] | np.ndarray], schema: pa.Schema
) -> pa.Table:
    """A table of `schema` with these `columns`, numbers; None is a gap, where there may be one."""
    arrays = []
    for values, field in zip(columns, schema, strict=True):
        gaps = [value is None for value in values] if field.nullable else []
        filled = [0 if value is None else value for value in values] if any(gaps) else values
        numbers = np.ascontiguousarray(filled, dtype=field.type.to_pandas_dtype())
        valid = np.packbits(np.logical_not(gaps), bitorder="little") if any(gaps) else None
        buffers = [None if valid is None else pa.py_buffer(valid), pa.py_buffer(numbers)]
        arrays.append(pa.Array.from_buffers(field.type, len(numbers), buffers))
    return pa.Table.from_arrays(arrays, schema=schema)


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A copy of `column`, numbers without gaps; `to_numpy` loads pandas as well."""
    return np.from_dlpack(column.combine_chunks()).copy()


def _checked(path: str | Path, schema: pa.Schema | None) -> pa.Table:
    """The table in `path` with its metadata; raises what `readable` takes for unreadable."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        table = file.read()
    if schema is None:
        return table
    metadata = table.schema.metadata
    for field in schema:  # columns that tables of before lack
        if field.nullable and field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    table = _as(schema, table.replace_schema_metadata(None))
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise ValueError(f"gaps in {field.name}")
    return table.replace_schema_metadata(metadata)


def _as(schema: pa.Schema, table: pa.Table) -> pa.Table:
    return table if table.schema == schema else table.cast(schema)
