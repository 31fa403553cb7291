"""The table of what was observed of a figure's runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from plasticity.core import tables

OPTIONAL = {"reason"}
"""Columns that not every version writes."""


def observations_table(paths: Iterable[str | Path]) -> pa.Table:
    """What was observed of several runs, in one table; raises `UserError` for what is none."""
    advice = "delete it and run again to make it anew"
    whole: pa.Table | None = None
    for path in paths:
        table = tables.load(path, None, "table", advice)
        with tables.readable(path, "table of observations like the others", advice):
            # One of an earlier version may lack a column, which is empty then.
            lacking = set(table.column_names) ^ set((whole or table).column_names)
            if lacking - OPTIONAL:
                raise ValueError(f"only some have the columns {', '.join(sorted(lacking))}")
            parts = [table] if whole is None else [whole, table]
            whole = pa.concat_tables(parts, promote_options="default")
    assert whole is not None
    return whole
