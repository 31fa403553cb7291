"""Tables on disk: their schema, what they are about, and damage that is found."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plasticity.core import tables
from plasticity.core.errors import UserError

SCHEMA = pa.schema(
    [pa.field("n", pa.int32(), nullable=False), pa.field("x", pa.float64(), nullable=False)]
)
ABOUT = {"run": "some", "examples": 3}
ADVICE = "make it anew"


@pytest.fixture
def written(tmp_path):
    table = tables.of_numbers([[1, 2, 3], np.array([0.5, 1.0, 2.0])], SCHEMA)
    tables.write(tmp_path / "table.parquet", table, SCHEMA, ABOUT)
    return tmp_path / "table.parquet"


def refusal(path, schema=SCHEMA):
    with pytest.raises(UserError) as refused:
        tables.read(path, schema, "thing", ADVICE)
    message = str(refused.value)
    assert message.startswith(f"{path}: not a readable thing (")
    assert message.endswith(f"); {ADVICE}")
    return message


def test_what_is_written_is_read(written):
    table, about = tables.read(written, SCHEMA, "thing", ADVICE)
    assert table.schema == SCHEMA
    assert table.to_pydict() == {"n": [1, 2, 3], "x": [0.5, 1.0, 2.0]}
    assert about == tables.read_about(written, "thing", ADVICE) == ABOUT


def test_numbers_come_out_as_an_array_of_their_own(written):
    found = tables.numbers(tables.load(written, SCHEMA, "thing", ADVICE)["n"])
    assert found.dtype == np.int32
    assert found.tolist() == [1, 2, 3]
    found[0] = 7  # no part of a file that is read only


def test_a_table_of_a_near_schema_is_cast(tmp_path):
    near = pa.table({"n": pa.array([1, 2], pa.int64()), "x": [1.0, 2.0]})
    tables.write(tmp_path / "table.parquet", near, SCHEMA, {})
    assert pq.read_schema(tmp_path / "table.parquet").remove_metadata() == SCHEMA


def test_pieces_join_to_one_table(tmp_path):
    pieces = [tables.of_numbers([[n], [n / 2]], SCHEMA) for n in range(3)]
    tables.write_pieces(tmp_path / "table.parquet", SCHEMA, pieces)
    found = tables.load(tmp_path / "table.parquet", None, "thing", ADVICE)
    assert found == pa.concat_tables(pieces)


def test_a_damaged_page_is_found(written):
    column = pq.read_metadata(written).row_group(0).column(1)
    damaged = bytearray(written.read_bytes())
    damaged[column.dictionary_page_offset + column.total_compressed_size - 1] ^= 1
    written.write_bytes(damaged)
    assert "CRC" in refusal(written)


@pytest.mark.parametrize("size", [0, 3, 100, -1])
def test_a_truncated_file_is_named(written, size):
    written.write_bytes(written.read_bytes()[:size])
    refusal(written)


def test_a_missing_file_is_named(tmp_path):
    refusal(tmp_path / "none.parquet")
    with pytest.raises(UserError, match="not a readable thing"):
        tables.read_about(tmp_path / "none.parquet", "thing", ADVICE)


def test_gaps_where_there_may_be_none_are_named(tmp_path):
    table = pa.table({"n": pa.array([1, None], pa.int32()), "x": [1.0, 2.0]})
    pq.write_table(table, tmp_path / "table.parquet")
    refusal(tmp_path / "table.parquet")


def test_a_table_of_something_else_or_about_nothing_is_named(written):
    refusal(written, pa.schema([("other", pa.int64())]))
    pq.write_table(pq.read_table(written).replace_schema_metadata(None), written)
    refusal(written)
