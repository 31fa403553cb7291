"""What a folder of results holds, file by file, as short texts that are equal where the bits are.

A table has an item for each column, a file of tensors one for each tensor, a text file one. What a
file says about itself gives items too, whose names begin with `ABOUT`. Values show what they stand
for and end with a checksum.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open

Items = dict[str, str]
"""The items of a file by name."""

ABOUT = "about."

WALL_TIME = "seconds"
CODE = "code"
HISTORY, UNFINISHED = "history", "part"
"""Of a checkpoint: an epoch a row, of which the last number is the wall time; and how far an epoch
has come that was not finished, which holds wall time as well."""

OF_CODE = {
    *(CODE, "components", "checksum", "file"),
    *("parent", "parent_checksum", "mask", "mask_checksum", "state"),
}
"""Names of facts that are digests of code, or of files that hold such digests."""


def of_results(folder: Path) -> dict[str, Items]:
    """The items of every file of numbers below `folder`, by its path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        reader = READERS.get(path.suffix)
        if reader and path.is_file():
            found[str(path.relative_to(folder))] = reader(path)
    return found


def of_table(path: Path) -> Items:
    """A parquet file: its columns without wall time and digests of code, and its facts."""
    table = pq.read_table(path)
    metadata = {
        key.decode(): value.decode(errors="replace")
        for key, value in (table.schema.metadata or {}).items()
        # How a library lays a table out, which says nothing about it.
        if key not in (b"pandas", b"ARROW:schema")
    }
    columns = {
        name: _of_column(table[name])
        for name in table.column_names
        if name not in (WALL_TIME, CODE)
    }
    return {**columns, **_facts(metadata)}


def of_tensors(path: Path) -> Items:
    """A file of tensors, without wall times, and its facts."""
    items = {}
    with safe_open(path, framework="np") as file:
        for name in sorted(file.keys()):
            if name == UNFINISHED:
                continue
            tensor = file.get_tensor(name)
            items[name] = _of_array(tensor[:, :-1] if name == HISTORY else tensor)
        return {**items, **_facts(file.metadata() or {})}


def of_csv(path: Path) -> Items:
    """A text file of numbers: all of its text, and which columns it has."""
    text = path.read_bytes()
    rows = list(csv.reader(text.decode().splitlines()))
    return {
        "columns": ",".join(rows[0]) if rows else "",
        "text": f"{len(rows)} rows {_digest(text)}",
    }


READERS = {".parquet": of_table, ".safetensors": of_tensors, ".csv": of_csv}


def _of_column(column: pa.ChunkedArray) -> str:
    values = column.to_pylist()
    # The shortest decimal that tells a number from all others: equal texts, equal bits.
    text = "\n".join(map(repr, values))
    last = f", last {values[-1]!r}" if values else ""
    return f"{column.type} [{len(values)}]{last} {_digest(text.encode())}"


def _of_array(array: np.ndarray) -> str:
    shown = ""
    if array.size and array.dtype.kind == "f":
        shown = f", last {float(array.reshape(-1)[-1])!r}"
    data = np.ascontiguousarray(array).tobytes()
    return f"{array.dtype} {list(array.shape)}{shown} {_digest(data)}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _facts(metadata: Mapping[str, str]) -> Items:
    # The key that holds everything is a matter of names, so it is left out.
    return {
        f"{ABOUT}{name}": json.dumps(value)
        for text in metadata.values()
        for name, value in _flat("", text)
    }


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The leaves of `value`, of which texts may be JSON, by their names joined with dots."""
    if isinstance(value, str) and value.startswith("{"):
        with suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        value = {str(number): one for number, one in enumerate(value)}
    if not isinstance(value, dict):
        yield name or "text", value
        return
    for key, inner in value.items():
        if key not in OF_CODE:
            yield from _flat(f"{name}.{key}" if name else key, inner)
