"""Parquet files in the hub's layout: their shards, columns, images, labels and names of classes."""

from __future__ import annotations

import filecmp
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plasticity.core import files
from plasticity.core.errors import UserError
from plasticity.data.images import decode
from plasticity.data.origin import require_fetched
from plasticity.data.raw import PARTS, RawData

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = {"CIFAR100": ("fine_label", "label")}
"""Columns of labels where they are not called ``label``, by data set."""

CLASSES = {
    "CIFAR10": [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ],
    "SVHN": [str(digit) for digit in range(10)],
}

SHARD = re.compile(r"(.+)-(\d+)-of-(\d+)(?:-[0-9a-f]+)?\.parquet")
"""The name of a shard: what of, its number, how many there are, and perhaps a checksum."""

FULL_SCALE = 4096
"""Grey images of 16 bits that stay below may be of 12 bits."""


def from_parquet(name: str, folder: Path | None) -> RawData:
    """Data set `name` from ``train*.parquet`` and ``test*.parquet`` in `folder`.

    Images are encoded bytes, labels whole numbers. Classes are called as the files' own metadata
    say. Raises `UserError` for what is missing, is there twice or cannot be read.
    """
    if folder is None or not folder.is_dir():
        raise UserError(
            f"sources: {name} needs the folder that holds train*.parquet and test*.parquet, and "
            f"{f'{folder} is none' if folder else 'none is named'}"
        )
    train, test = (_read_part(name, folder, part) for part in PARTS)
    named = _agreed(folder, [*train.named, *test.named])
    classes = named or CLASSES.get(name)
    if classes is None:
        largest = max(int(part.labels.max()) for part in (train, test))
        classes = [str(label) for label in range(largest + 1)]
    return RawData(
        train_images=train.images,
        train_labels=train.labels,
        test_images=test.images,
        test_labels=test.labels,
        classes=classes,
        source=f"parquet files in {folder.name}",
        notes=(*train.notes, *test.notes),
    )


@dataclass
class _Part:
    """Images uint8 [n, 3, h, w], labels int64 [n], and the names of classes, shard by shard."""

    images: np.ndarray
    labels: np.ndarray
    named: list[list[str]]
    notes: list[str] = field(default_factory=list)


def _read_part(name: str, folder: Path, part: str) -> _Part:
    paths, notes = _shards(folder, part)
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    named: list[list[str]] = []
    peaks: list[int] = []
    read: list[Path] = []
    for path in paths:
        table = _table(path)
        if len(table) == 0:  # whose columns may have no type
            continue
        read.append(path)
        image_column = _column(path, table, IMAGE_COLUMNS)
        label_column = _column(path, table, LABEL_COLUMNS.get(name, ("label",)))
        for row, data in enumerate(_encoded(path, table, image_column)):
            image, peak = decode(data, f"{path}: row {row}")
            if images and image.shape != images[0].shape:
                raise UserError(
                    f"{path}: row {row} is an image of {image.shape[1:]} pixels among others of "
                    f"{images[0].shape[1:]}; expected one size"
                )
            images.append(image)
            peaks += [] if peak is None else [peak]
        labels.append(_labels(path, table, label_column))
        named += _class_names(table.schema, label_column)
    if not images:
        raise UserError(f"{folder}: its {part}*.parquet hold no rows; fetch them again")
    _require_distinct(read)
    if peaks and 0 < max(peaks) < 256:
        raise UserError(
            f"{folder}: the 16-bit images of {part}*.parquet go up to {max(peaks)} of 65535 and "
            "would all be black; scale them to 8 or to 16 bits"
        )
    if peaks and max(peaks) < FULL_SCALE:
        notes.append(
            f"the 16-bit {part} images go up to {max(peaks)} of 65535: dark, or of 12 bits"
        )
    return _Part(np.stack(images), np.concatenate(labels), named, notes)


def _shards(folder: Path, part: str) -> tuple[list[Path], list[str]]:
    """The files of `part` in their order, and what may be wrong with them."""
    paths = sorted(folder.glob(f"{part}*.parquet"))
    if not paths:
        raise UserError(f"sources: {folder}: no {part}*.parquet in it, expected train and test")
    found = {path.name: SHARD.fullmatch(path.name) for path in paths}
    shards = {match.groups()[:3:2]: match for match in found.values() if match}
    if not shards:
        return paths, _gaps([path.stem for path in paths])
    strays = [name for name, match in found.items() if not match]
    if strays or len(shards) > 1:
        other = strays[0] if strays else list(found)[-1]
        first = next(name for name, match in found.items() if match and name != other)
        raise UserError(
            f"sources: {folder}: {other} does not belong to {first}, and both would be read as "
            f"{part}; move away what is a copy or no part of the data set"
        )
    (stem, count), match = next(iter(shards.items()))
    numbers = sorted(int(match[2]) for match in found.values() if match)
    width = len(match[2])
    missing = sorted({*range(int(count))} - {*numbers})
    if missing:
        raise UserError(
            f"sources: {folder}: {stem}-{missing[0]:0{width}}-of-{count}.parquet is not in it"
            f"{f', nor are {len(missing) - 1} others' if len(missing) > 1 else ''}; fetch what is "
            "missing"
        )
    if len(numbers) != int(count):
        raise UserError(
            f"sources: {folder}: {len(numbers)} files are {stem}-...-of-{count}.parquet; remove "
            "those that are copies or beyond the count"
        )
    return paths, []


def _gaps(stems: Sequence[str]) -> list[str]:
    """A note where files that are numbered leave a number out."""
    found = [re.fullmatch(r"(.*?)(\d+)", stem) for stem in stems]
    numbers = sorted(int(match[2]) for match in found if match)
    if len(numbers) < 2 or numbers[-1] - numbers[0] + 1 == len(numbers):
        return []
    return [f"the numbers of {stems[0]} to {stems[-1]} have gaps: files may be missing"]


def _require_distinct(paths: Sequence[Path]) -> None:
    """Raise `UserError` where two files are the same, so that every example would count twice."""
    for one, other in combinations(paths, 2):
        if one.stat().st_size == other.stat().st_size and filecmp.cmp(one, other, shallow=False):
            raise UserError(
                f"sources: {one.parent}: {one.name} and {other.name} are the same, and each "
                "example would count twice; remove one of them"
            )


def _table(path: Path) -> pa.Table:
    try:
        require_fetched(path)
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        said = f"not a readable parquet file ({error})"
        raise files.unreadable(path, said, "fetch it again") from error


def _column(path: Path, table: pa.Table, names: tuple[str, ...]) -> str:
    for name in names:
        if name in table.column_names:
            return name
    raise UserError(
        f"{path}: has the columns {', '.join(table.column_names)}; expected one of "
        f"{', '.join(names)}, as in the hub's layout"
    )


def _encoded(path: Path, table: pa.Table, column: str) -> Iterator[bytes]:
    """The encoded image of each row."""
    kind = table[column].type
    fields = {one.name: one.type for one in kind} if pa.types.is_struct(kind) else {"bytes": kind}
    encoded = fields.get("bytes")
    if encoded is None or not (
        pa.types.is_binary(encoded) or pa.types.is_large_binary(encoded) or encoded == pa.null()
    ):
        raise UserError(
            f"{path}: column {column} is {kind}; expected images as encoded bytes (PNG, JPEG), as "
            "the type Image of the Hugging Face library writes them"
        )
    for row, cell in enumerate(table[column].to_pylist()):
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if data is None and isinstance(cell, dict) and cell.get("path"):
            raise UserError(
                f"{path}: row {row} names the file {cell['path']} and does not hold the image "
                "itself; write the files with the images in them (push_to_hub of the Hugging Face "
                "library embeds them)"
            )
        if data is None:
            raise UserError(f"{path}: row {row} holds no readable image (a gap); remove the row")
        yield data


def _labels(path: Path, table: pa.Table, name: str) -> np.ndarray:
    column = table[name]
    if not pa.types.is_integer(column.type) or column.null_count:
        raise UserError(
            f"{path}: column {name} is {column.type} with {column.null_count} gaps; "
            "expected whole numbers without gaps"
        )
    labels: np.ndarray = column.to_numpy().astype(np.int64)
    return labels


def _class_names(schema: pa.Schema, column: str) -> list[list[str]]:
    """The names that the Hugging Face library's metadata give the labels in `column`, if any."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
    except (KeyError, TypeError, ValueError):
        return []
    return [[str(name) for name in names]] if isinstance(names, list) and names else []


def _agreed(folder: Path, named: Sequence[list[str]]) -> list[str] | None:
    """The names of classes that all files give; raises `UserError` where they differ."""
    for other in named:
        if other != named[0]:
            raise UserError(
                f"sources: {folder}: its files name the classes differently "
                f"({', '.join(named[0][:5])}, and {', '.join(other[:5])}), so that one label would "
                "mean two things; take files of one data set"
            )
    return named[0] if named else None
