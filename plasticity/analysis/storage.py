"""What the analysis reads and writes: tables in parquet files, and pages of HTML."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from plasticity.core import files
from plasticity.core.errors import UserError

TEXT, COUNT, REAL, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
"""The types of columns."""


def read_table(path: str | Path, schema: pa.Schema | None = None) -> pa.Table:
    """The table in `path` without metadata, cast to `schema` where one is given.

    Raises `UserError` where there is none.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True).replace_schema_metadata(None)
        return table.cast(schema) if schema else table
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(
            f"{path}: not a readable table ({error}); delete it and run again to make it anew"
        ) from error


def write_table(path: str | Path, table: pa.Table) -> None:
    """Write `table`, whole or not at all."""
    write_pieces(path, table.schema, [table])


def write_pieces(path: str | Path, schema: pa.Schema, pieces: Iterable[pa.Table]) -> None:
    """Write a table of this `schema` that comes in `pieces`, whole or not at all."""
    with files.whole(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        for piece in pieces:
            writer.write_table(piece)


def write_page(path: str | Path, page: str) -> None:
    """Write `page`, a text of HTML, whole or not at all."""
    with files.whole(path) as partial:
        partial.write_text(page, encoding="utf-8")
