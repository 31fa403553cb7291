"""Metrics and their file: what is written is read back, and what is damaged is named."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_metrics import history

from plasticity.core.errors import UserError
from plasticity.runs import metrics
from plasticity.runs.metrics import EpochMetrics


def test_metrics_read_back(tmp_path):
    rows = history([0.1, 1 / 3, 0.5])
    metrics.write(tmp_path / "m.parquet", rows, {"run": "a", "seed": 3})
    table, about = metrics.read(tmp_path / "m.parquet")
    assert table.schema.equals(metrics.SCHEMA)
    assert [EpochMetrics(**row) for row in table.to_pylist()] == rows
    assert about == {"run": "a", "seed": 3}


def test_metrics_as_rows_come_back():
    rows = history([0.1, 1 / 3, 0.5])
    back = metrics.from_rows(metrics.as_rows(rows))
    assert back == rows
    assert all(isinstance(one.epoch, int) for one in back)


def test_rows_that_were_tensors_come_back():
    """The checkpoint stores rows as real numbers, the epoch among them."""
    rows = history([0.1, 1 / 3])
    stored = np.array(metrics.as_rows(rows), dtype=np.float64).tolist()
    assert metrics.from_rows(stored) == rows


@pytest.mark.parametrize("size", [0, 10, 500, -1])
def test_truncated_metrics_are_named(tmp_path, size):
    path = tmp_path / "m.parquet"
    metrics.write(path, history([0.5, 0.5]), {})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match=re.escape(f"{path}: not a readable metrics file")):
        metrics.read(path)


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"epoch": [1, 2]}),
        pa.table({"epoch": [1]}).replace_schema_metadata({"plasticity": "{}"}),
        pa.table({"epoch": [1]}).replace_schema_metadata({"plasticity": "{"}),
    ],
)
def test_a_table_of_something_else_is_named(tmp_path, table):
    pq.write_table(table, tmp_path / "m.parquet")
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'm.parquet'}: not a readable")):
        metrics.read(tmp_path / "m.parquet")


def test_missing_metrics_are_named(tmp_path):
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "none.parquet"))):
        metrics.read(tmp_path / "none.parquet")
