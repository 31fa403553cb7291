"""Where a data set came from: the files of its source, known by what they hold and not by place."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import BinaryIO

from plasticity.core import files
from plasticity.core.errors import PlaceError, UserError
from plasticity.data.parts import part_of
from plasticity.data.raw import PARTS
from plasticity.data.shards import files_in
from plasticity.runs import DatasetFacts

Files = Mapping[str, str]
"""The SHA-256 of each file of a source, by its name below the source; empty for what is the same
wherever it comes from: made here, or verified against the checksums of the originals."""

POINTER = b"version https://git-lfs.github.com/spec/"
"""The beginning of what Git LFS leaves in the place of a file that was not fetched."""

OPTION = "option "
"""What the name of an option begins with, where it is listed beside the files of a declared set."""

PROSE = ("readme", "license", "licence", "copying", "citation", "changelog")
"""Beginnings of the names of files for people."""

OF_PROGRAMS = {"thumbs.db", "desktop.ini", "__pycache__", "__macosx"}
"""Names of files and folders that programs leave."""

NOTES = {".txt", ".md", ".rst", ".log", ".json", ".yaml", ".yml", ".cache"}
"""Endings of files that are data where they were when these were prepared, and not if added."""


@dataclass
class Checksums:
    """SHA-256 of files; those that stay as they are by size and times are read once.

    `place` is where they are remembered between processes, in a folder that is there already.
    """

    place: Path | None = None
    _known: dict[str, list[object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.place:
            with suppress(OSError, ValueError, TypeError):  # what is remembered only saves time
                known = json.loads(self.place.read_text(encoding="utf-8"))
                self._known = {k: v for k, v in dict(known).items() if isinstance(v, list)}

    def of(self, path: Path) -> str:
        """The checksum of the file in `path`; raises `UserError` where it cannot be read."""
        try:
            now = path.stat()
            state = [now.st_size, now.st_mtime_ns, now.st_ctime_ns]
            key = str(path.resolve())
            if self._known.get(key, [])[:3] != state:
                self._known[key] = [*state, _checksum(path)]
        except OSError as error:
            raise _unreadable(path, error) from error
        return str(self._known[key][3])

    def of_all(self, key: str, state: str, paths: Callable[[], Iterable[str]]) -> str:
        """One checksum of what the files in `paths` hold, in their order; remembered as `key`.

        For folders of many files, which are looked for only where they are not in the `state` that
        is remembered, as of `state_of`. Raises `UserError` where one cannot be read.
        """
        if self._known.get(key, [])[:1] != [state]:
            digest = hashlib.sha256()
            for path in paths():
                digest.update(_checksum(Path(path)).encode())
            self._known[key] = [state, digest.hexdigest()]
        return str(self._known[key][1])

    def remember(self) -> None:
        """Keep what is known for the next process, if that is possible."""
        if self.place and self.place.parent.is_dir():
            with suppress(PlaceError), files.whole(self.place) as partial:
                partial.write_text(json.dumps(self._known), encoding="utf-8")


def state_of(paths: Sequence[str]) -> str:
    """A digest of the names, sizes and times of files; raises `UserError`."""
    try:
        found = [os.stat(path) for path in paths]  # noqa: PTH116 (a hundred thousand of them)
    except OSError as error:
        raise _unreadable(error.filename, error) from error
    lines = [
        f"{path} {now.st_size} {now.st_mtime_ns} {now.st_ctime_ns}"
        for path, now in zip(paths, found, strict=True)
    ]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _checksum(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            _require_fetched(path, file)
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str | Path, error: OSError) -> UserError:
    return files.unreadable(path, f"cannot be read ({error.strerror})", "name another place")


def require_fetched(path: Path) -> None:
    """Raise `UserError` where `path` is what Git LFS leaves in the place of a file."""
    with open(path, "rb") as file:
        _require_fetched(path, file)


def _require_fetched(path: Path, file: BinaryIO) -> None:
    if file.read(len(POINTER)) == POINTER:
        raise UserError(
            f"{path}: what Git LFS leaves in the place of a file, and not the file itself; run "
            f"'git lfs pull' in {path.parent}"
        )


def files_of(source: Path | None, facts: DatasetFacts, checksums: Checksums | None = None) -> Files:
    """The files of `source`, of a data set with `facts`; raises `UserError` where it is not there.

    Of a folder in the hub's layout these are its parquet files, of any other all files below it
    that are not hidden.
    """
    if source is None:
        return {}
    files.require_readable(source, "sources")
    if not source.exists():
        raise UserError(
            f"sources: {source}: no such file or folder; name the place of the data set, or remove "
            "the key"
        )
    parts = _parts_in(source, facts)
    if facts.archived and not parts:
        return {}
    checksums = checksums or Checksums()
    found = {name: checksums.of(path) for name, path in _listed(source, parts)}
    checksums.remember()
    return found


def same(recorded: Files, present: Files) -> bool:
    """Whether a source holds what is `recorded`: a file that was moved, or renamed shards, do."""
    return _content(data_of(recorded)) == _content(data_of(present, recorded))


def data_of(found: Files, recorded: Files | None = None) -> Files:
    """Those of the files `found` that a reader may read, where the `recorded` ones are known.

    Files for people and of the system never are. Of those that were added since, the ones that end
    as recorded data do are: a log beside images is not, another image is.
    """
    if any(name.startswith(OPTION) for name in found):  # a declared set, which lists what it reads
        return found
    recorded = {name: "" for name in recorded or {} if not _is_aside(name)}
    data = {PurePath(name).suffix.lower() for name in recorded} - NOTES
    counts = recorded or found
    return {
        name: digest
        for name, digest in found.items()
        if not _is_aside(name) and (name in counts or PurePath(name).suffix.lower() in data)
    }


def _is_aside(name: str) -> bool:
    """Whether a file is for people, or a program's own, wherever it lies."""
    *folders, last = name.lower().split("/")
    is_prose = last.startswith(PROSE) and PurePath(last).suffix in {"", *NOTES}
    return is_prose or not OF_PROGRAMS.isdisjoint([*folders, last])


def _content(given: Files) -> object:
    if len(given) == 1:
        return list(given.values())
    if all(_part(name) for name in given):
        return {part: [given[n] for n in sorted(given) if _part(n) == part] for part in PARTS}
    return dict(given)


def _part(name: str) -> str | None:
    """The part that a parquet file in the hub's layout is of."""
    if "/" in name or not name.endswith(".parquet"):
        return None
    return next((part for part in PARTS if name.startswith(part)), None)


def _parts_in(source: Path, facts: DatasetFacts) -> Mapping[str, list[Path]]:
    """The parquet files of a data set in the hub's layouts, by part; of one's own in `source`."""
    found = files_in(source) if source.is_dir() else {}
    is_certain = len(found) == 1 and (facts.archived or "." in found)
    return next(iter(found.values())) if is_certain else {}


def _listed(source: Path, parts: Mapping[str, list[Path]]) -> Iterator[tuple[str, Path]]:
    if source.is_file():
        yield source.name, source
        return
    there = {part_of(name): paths for name, paths in parts.items()}
    tested = there.get("test") or there.get("validation") or []
    shards = [*there.get("train", []), *tested]
    below = shards or sorted(path for path in source.rglob("*") if path.is_file())
    for path in below:
        name = path.relative_to(source).as_posix()
        if not any(part.startswith(".") for part in name.split("/")):
            yield name, path
