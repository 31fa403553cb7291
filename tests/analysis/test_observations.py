"""The table of observations: one of several, of versions that write a column more as well."""

import pyarrow as pa
import pytest

from plasticity.analysis import storage
from plasticity.analysis.summary.observations import observations_table
from plasticity.core.errors import UserError


def write(path, **columns):
    storage.write_table(path, pa.table({name: [value] for name, value in columns.items()}))
    return path


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_column_that_an_earlier_version_lacks_is_empty(tmp_path, order):
    paths = [
        write(tmp_path / "0", run="a", test_accuracy=0.5),
        write(tmp_path / "1", run="b", test_accuracy=None, reason="an end diverged"),
    ]
    rows = observations_table([paths[number] for number in order]).to_pylist()
    assert sorted(rows, key=lambda row: row["run"]) == [
        {"run": "a", "test_accuracy": 0.5, "reason": None},
        {"run": "b", "test_accuracy": None, "reason": "an end diverged"},
    ]


@pytest.mark.parametrize("columns", [{"run": "b"}, {"run": "b", "value": "text"}])
def test_another_kind_of_table_is_refused_by_name(tmp_path, columns):
    paths = [write(tmp_path / "0", run="a", value=0.5), write(tmp_path / "1", **columns)]
    with pytest.raises(UserError, match="1: not a readable table of observations like the others"):
        observations_table(paths)
