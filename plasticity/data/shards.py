"""Parquet files in the hub's layouts: which are there of each part, and whether that is all."""

from __future__ import annotations

import filecmp
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from plasticity.core.errors import UserError
from plasticity.data import parts
from plasticity.data.parts import Parts
from plasticity.runs.own_data import OwnData

SHARD = re.compile(r"(.+)-(\d+)-of-(\d+)(?:-[0-9a-f]+)?\.parquet")
"""The name of a shard: what of, its number, how many there are, and perhaps a checksum."""

EXPECTED = "train*.parquet and test*.parquet, or folders train/ and test/ of such files"


def chosen(wanted: OwnData) -> tuple[Parts, Mapping[str, list[Path]]]:
    """The parts of what is `wanted`, and the files of each; raises `UserError`."""
    folder = wanted.source
    if not folder.is_dir():
        raise UserError(f"{wanted.key}: {folder}: no such folder; expected one with {EXPECTED}")
    found = files_in(folder)
    if len(found) > 1:
        raise UserError(
            f"{wanted.key}: {folder}: its folders {', '.join(found)} each hold parts of a data "
            "set; name the one that is meant"
        )
    there = next(iter(found.values()), {})
    return parts.choose(there, wanted, str(folder), EXPECTED), there


def files_in(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """The parquet files below `folder`: by the folder that a data set begins in, then by part.

    A file is of the part that a folder above it is called like, or else that its name begins with:
    ``data/train-00000-of-00002.parquet``, ``default/train/0000.parquet``. Where parts lie in
    `folder` itself, what is further below does not count; nor does anything hidden.
    """
    found: dict[str, dict[str, list[Path]]] = {}
    for path in sorted(folder.rglob("*.parquet")):
        *above, name = path.relative_to(folder).parts
        if any(part.startswith(".") for part in (*above, name)) or not path.is_file():
            continue
        depth = next((n for n, one in enumerate(above) if parts.part_of(one)), len(above))
        part = above[depth] if depth < len(above) else _part_of_name(path.stem)
        found.setdefault("/".join(above[:depth]) or ".", {}).setdefault(part, []).append(path)
    known = {place: those for place, those in found.items() if any(map(parts.part_of, those))}
    return {".": known["."]} if "." in known else known


def _part_of_name(stem: str) -> str:
    """The part that the name of a file says: its first word, or what that begins with."""
    word = re.match(r"[A-Za-z]*", stem)[0]  # type: ignore[index]  # also of nothing
    if parts.part_of(word) is None:
        return next((one for one in ("train", "test") if word.lower().startswith(one)), word)
    return word


def sound(where: str, part: str, paths: Sequence[Path]) -> list[str]:
    """What may be wrong with `paths`, the files of `part` in their order, for the log.

    Raises `UserError`, with `where` they are, for one that is missing or does not belong there.
    """
    found = {path.name: SHARD.fullmatch(path.name) for path in paths}
    shards = {match.groups()[:3:2]: match for match in found.values() if match}
    if not shards:
        return _gaps([path.stem for path in paths])
    strays = [name for name, match in found.items() if not match]
    if strays or len(shards) > 1:
        other = strays[0] if strays else list(found)[-1]
        first = next(name for name, match in found.items() if match and name != other)
        raise UserError(
            f"{where}: {other} does not belong to {first}, and both would be read as "
            f"{part}; move away what is a copy or no part of the data set"
        )
    (stem, count), match = next(iter(shards.items()))
    numbers = sorted(int(match[2]) for match in found.values() if match)
    width = len(match[2])
    missing = sorted({*range(int(count))} - {*numbers})
    if missing:
        raise UserError(
            f"{where}: {stem}-{missing[0]:0{width}}-of-{count}.parquet is not in it"
            f"{f', nor are {len(missing) - 1} others' if len(missing) > 1 else ''}; fetch what is "
            "missing"
        )
    if len(numbers) != int(count):
        raise UserError(
            f"{where}: {len(numbers)} files are {stem}-...-of-{count}.parquet; remove "
            "those that are copies or beyond the count"
        )
    return []


def _gaps(stems: Sequence[str]) -> list[str]:
    """A note where files that are numbered leave a number out."""
    found = [re.fullmatch(r"(.*?)(\d+)", stem) for stem in stems]
    numbers = sorted(int(match[2]) for match in found if match)
    if len(numbers) < 2 or numbers[-1] - numbers[0] + 1 == len(numbers):
        return []
    return [f"the numbers of {stems[0]} to {stems[-1]} have gaps: files may be missing"]


def require_distinct(where: str, paths: Sequence[Path]) -> None:
    """Raise `UserError` where two of `paths`, which are `where`, are the same.

    Every example of theirs would count twice.
    """
    for one, other in combinations(paths, 2):
        if one.stat().st_size == other.stat().st_size and filecmp.cmp(one, other, shallow=False):
            raise UserError(
                f"{where}: {one.name} and {other.name} are the same, and each "
                "example would count twice; remove one of them"
            )
