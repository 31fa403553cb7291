"""The table of curves: every epoch of every run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from plasticity.analysis.storage import COUNT, TEXT
from plasticity.analysis.summary.runs import Measured
from plasticity.runs import Run, metrics

CURVES = pa.schema(
    [("run", TEXT), ("kind", TEXT), ("seed", COUNT), *((f.name, f.type) for f in metrics.SCHEMA)]
)

ROWS_AT_ONCE = 500_000
"""About so many epochs of curves are held as rows: each repeats the path of its run."""


def curves(tuned: Mapping[Run, Measured], pretrained: Mapping[Run, Measured]) -> Iterator[pa.Table]:
    """Every epoch of every run, by `CURVES`, in pieces; `kind` is ``tune`` or ``pretrain``."""
    waiting: list[pa.Table] = []
    rows = 0
    for kind, runs in (("pretrain", pretrained), ("tune", tuned)):
        for run, measured in runs.items():
            waiting.append(_curve(run, kind, measured.table))
            rows += len(measured.table)
            if rows >= ROWS_AT_ONCE:
                yield pa.concat_tables(waiting)
                waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting)


def _curve(run: Run, kind: str, table: pa.Table) -> pa.Table:
    constant = {"run": str(run), "kind": kind, "seed": run.seed}
    columns = {name: pa.repeat(value, len(table)) for name, value in constant.items()}
    return pa.table({**columns, **{n: table[n] for n in table.column_names}}).cast(CURVES)
