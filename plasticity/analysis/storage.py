"""What the analysis writes: tables in parquet files, and pages of HTML."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from plasticity.core import files, tables

TEXT, COUNT, REAL, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
"""The types of columns."""


def write_table(path: str | Path, table: pa.Table) -> None:
    """Write `table`, whole or not at all."""
    tables.write_pieces(path, table.schema, [table])


def write_page(path: str | Path, page: str) -> None:
    """Write `page`, a text of HTML, whole or not at all."""
    with files.whole(path) as partial:
        partial.write_text(page, encoding="utf-8")
