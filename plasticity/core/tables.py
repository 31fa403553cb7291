"""Parquet files that explain themselves: a table of one schema, and what it is about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from plasticity.core import files
from plasticity.core.errors import UserError


def write(path: str | Path, table: pa.Table, schema: pa.Schema, about: Mapping[str, Any]) -> None:
    """Write `table`, which is of `schema`, with `about` (its run and circumstances) as metadata."""
    described = schema.with_metadata({"plasticity": json.dumps(about, sort_keys=True)})
    with files.whole(path) as partial:
        pq.write_table(table.cast(described), partial, write_page_checksum=True)


def read(path: str | Path, schema: pa.Schema, kind: str) -> tuple[pa.Table, dict[str, Any]]:
    """The table in `path`, of `schema`, and what it is about; `kind` says in a word what it holds.

    Raises `UserError` where it cannot be read or holds something else.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        about: dict[str, Any] = json.loads(table.schema.metadata[b"plasticity"])
        return table.cast(schema), about
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a readable {kind} file ({error}); delete it and run again to make it anew"
        ) from error
