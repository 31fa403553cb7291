"""Files that several people share: who may read what is written, and what the others are told."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from somebody import let_in, somebody_else

from plasticity.core import files, tables, tensors
from plasticity.core.errors import PlaceError, UserError
from plasticity.core.logs import logged
from plasticity.data import hub, sources
from plasticity.runs import costs

SCHEMA = pa.schema([pa.field("n", pa.int64(), nullable=False)])


def write_tensors(path: Path) -> None:
    tensors.write(path, {"x": np.zeros(2)}, {})


def write_torch_tensors(path: Path) -> None:
    import torch

    tensors.write(path, {"x": torch.zeros(2)}, {})


def write_table(path: Path) -> None:
    tables.write(path, tables.of_numbers([[1]], SCHEMA), SCHEMA, {})


def write_costs(path: Path) -> None:
    costs.write_networks(path, {})


def write_log(path: Path) -> None:
    with logged(path) as log:
        log("a line")


def write_lock(path: Path) -> None:
    with files.held(path, print):
        path.with_name("copy").hardlink_to(path)
    path.with_name("copy").rename(path)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o002, 0o022, 0o027, 0o077])
@pytest.mark.parametrize(
    "write",
    [write_tensors, write_torch_tensors, write_table, write_costs, write_log, write_lock],
)
def test_who_may_read_a_file_follows_the_umask(
    tmp_path: Path, write: Callable[[Path], None], mask: int
):
    """Safetensors itself writes files that nobody else may read."""
    with umask(mask):
        write(tmp_path / "folder" / "file")
    assert (tmp_path / "folder" / "file").stat().st_mode & 0o777 == 0o666 & ~mask
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~mask


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_mount_that_refuses_modes_holds_files_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
):
    def refuse(*args: object, **options: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "chmod", refuse)
    write_tensors(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    read_tensors(tmp_path / "file")


def test_what_a_killed_attempt_left_says_nothing_of_the_next_one(tmp_path: Path):
    left = tmp_path / ".file.partial"
    left.write_bytes(b"left")
    left.chmod(0o400)
    with umask(0o022):
        write_tensors(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def read_tensors(path: Path) -> None:
    with tensors.opened(path, "data set", "delete it"):
        pass


READ: dict[str, Callable[[Path], object]] = {
    "tensors": read_tensors,
    "table": lambda path: tables.read(path, SCHEMA, "table", "delete it"),
    "about": lambda path: tables.read_about(path, "table", "delete it"),
    "costs": costs.read_networks,
    "throughput": costs.Calibration.read,
    "archive": lambda path: sources._verify(path, "0"),
    "parquet": hub._opened,
}


@pytest.mark.parametrize("mode", [(0o755, 0o000), (0o000, 0o644)], ids=["file", "folder"])
@pytest.mark.parametrize("read", READ)
def test_permission_denied_is_said_as_such(tmp_path: Path, read: str, mode: tuple[int, int]):
    """Nobody is told to delete what others made. Another attempt may find it readable."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"whatever")
    (folder / "file").chmod(mode[1])
    folder.chmod(mode[0])
    let_in(tmp_path)
    with somebody_else(), pytest.raises(PlaceError) as refused:
        READ[read](folder / "file")
    folder.chmod(0o755)
    assert str(refused.value).startswith(f"{folder / 'file'}: permission denied; make it and")
    assert "delete" not in str(refused.value)


@pytest.mark.parametrize("read", READ)
def test_what_is_damaged_or_missing_is_not_called_denied(tmp_path: Path, read: str):
    for path in (tmp_path / "missing", tmp_path / "damaged"):
        (tmp_path / "damaged").write_bytes(b"whatever")
        with pytest.raises(UserError) as refused:
            READ[read](path)
        assert "denied" not in str(refused.value)
