"""The table of what was observed of a figure's runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from plasticity.analysis.storage import read_table


def observations_table(paths: Iterable[str | Path]) -> pa.Table:
    """What was observed of several runs, in one table; raises `UserError` for what is none."""
    tables: list[pa.Table] = []
    for path in paths:
        tables.append(read_table(path, tables[0].schema if tables else None))
    return pa.concat_tables(tables)
