"""The table of what was observed of a figure's runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from plasticity.core import tables


def observations_table(paths: Iterable[str | Path]) -> pa.Table:
    """What was observed of several runs, in one table; raises `UserError` for what is none."""
    found: list[pa.Table] = []
    for path in paths:
        schema = found[0].schema if found else None
        found.append(tables.load(path, schema, "table", "delete it and run again to make it anew"))
    return pa.concat_tables(found)
