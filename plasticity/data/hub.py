"""Parquet files in the hub's layouts: their columns, images, labels and names of classes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plasticity.core import files
from plasticity.core.errors import UserError
from plasticity.data import images, labels, shards
from plasticity.data.origin import require_fetched
from plasticity.data.raw import RawData
from plasticity.data.scan import Scan
from plasticity.runs.own_data import OwnData

IMAGE_COLUMNS = ("img", "image", "images")
LABEL_COLUMNS = ("label", "labels")
LABELS_OF = {"CIFAR100": ("fine_label", "label")}
"""Columns of labels where they are called otherwise, by data set."""

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
    "MNIST": [str(digit) for digit in range(10)],
    "SVHN": [str(digit) for digit in range(10)],
}


def from_parquet(name: str, folder: Path | None, channels: int = 3) -> RawData:
    """Data set `name` from ``train*.parquet`` and ``test*.parquet`` in `folder`.

    Images are encoded bytes and are given `channels`; labels are whole numbers, or names of
    classes. Classes are called as the files' own metadata say. Raises `UserError` for what is
    missing, is there twice or cannot be read.
    """
    wanted = OwnData(
        name.lower(), "parquet", str(folder or ""), channels=channels, section="sources"
    )
    if folder is None:
        raise UserError(f"{wanted.key}: none is named; expected a folder with {shards.EXPECTED}")
    return read(wanted, LABELS_OF.get(name, LABEL_COLUMNS), CLASSES.get(name))


def read(
    wanted: OwnData,
    label_columns: Sequence[str] = LABEL_COLUMNS,
    classes: Sequence[str] | None = None,
) -> RawData:
    """The data set that is `wanted`; raises `UserError`.

    Labels are looked for in `label_columns`; where the files do not name the classes these are
    called `classes`.
    """
    folder = wanted.source
    chosen, there = shards.chosen(wanted)
    train, test = (_read_part(wanted, part, there[part], label_columns) for part in chosen.both)
    named = _agreed(wanted, [*train.named, *test.named]) or classes
    first, second, classes = labels.counted(train.labels, test.labels, named, str(folder))
    return RawData(
        train_images=train.images,
        train_labels=first,
        test_images=test.images,
        test_labels=second,
        classes=classes,
        source=f"parquet files in {folder.name}",
        notes=(*chosen.notes, *train.notes, *test.notes),
    )


def listed(wanted: OwnData) -> dict[str, list[str]]:
    """The files that are read of what is `wanted`, by part; raises `UserError`."""
    chosen, there = shards.chosen(wanted)
    return {part: [*map(str, there[part])] for part in chosen.both}


def scan(wanted: OwnData) -> Scan:
    """What is `wanted` in numbers, of which labels and one image's header are read."""
    counts, found, named, size = [], [], [], None
    chosen, by_part = shards.chosen(wanted)
    for part in chosen.both:
        paths = by_part[part]
        shards.sound(f"{wanted.key}: {wanted.source}", part, paths)
        there = []
        for path in paths:
            file = _opened(path)
            if file.metadata.num_rows == 0:
                continue
            columns = _columns(wanted, path, file.schema_arrow, LABEL_COLUMNS)
            if size is None:
                row = next(file.iter_batches(1, columns=[columns.image]))
                data = next(_encoded(path, pa.Table.from_batches([row]), columns.image))
                size = wanted.resize or images.size_of(data, f"{path}: row 0")
            table = file.read([columns.label])
            there.append(_labels(path, table, columns.label))
            named += _class_names(table.schema, columns.label)
        if not there:
            raise UserError(f"{wanted.source}: its {part} files hold no rows; fetch them again")
        counts.append(sum(map(len, there)))
        found.append(_joined(wanted.source, there))
    _, _, classes = labels.counted(found[0], found[1], _agreed(wanted, named), str(wanted.source))
    assert size is not None
    return Scan(counts[0], counts[1], len(classes), wanted.channels or 3, *size)


@dataclass
class _Part:
    """Images uint8 [n, c, h, w], labels [n], and the names of classes, shard by shard."""

    images: np.ndarray
    labels: np.ndarray
    named: list[list[str]]
    notes: list[str]


@dataclass(frozen=True)
class _Columns:
    """What the columns of images and of labels are called."""

    image: str
    label: str


def _read_part(
    wanted: OwnData, part: str, paths: Sequence[Path], label_columns: Sequence[str]
) -> _Part:
    folder = wanted.source
    notes = shards.sound(f"{wanted.key}: {folder}", part, paths)
    there = {path: file for path in paths if (file := _opened(path)).metadata.num_rows}
    if not there:
        raise UserError(f"{folder}: its {part} files hold no rows; fetch them again")
    found: list[np.ndarray] = []
    named: list[list[str]] = []

    def encoded() -> Iterator[tuple[bytes, str]]:
        for path, file in there.items():
            columns = _columns(wanted, path, file.schema_arrow, label_columns)
            table = _told(path, lambda: file.read([columns.image, columns.label]))  # noqa: B023
            for row, data in enumerate(_encoded(path, table, columns.image)):
                yield data, f"{path}: row {row}"
            found.append(_labels(path, table, columns.label))
            named.extend(_class_names(table.schema, columns.label))

    decoded, remarks = images.decode_all(
        encoded(),
        sum(file.metadata.num_rows for file in there.values()),
        str(folder),
        part,
        channels=wanted.channels or 3,
        size=wanted.resize,
        advice=wanted.one_size,
    )
    shards.require_distinct(f"{wanted.key}: {folder}", [*there])
    return _Part(decoded, _joined(folder, found), named, [*notes, *remarks])


def _joined(folder: Path, found: Sequence[np.ndarray]) -> np.ndarray:
    if len({labels.are_names(one) for one in found}) > 1:
        raise UserError(f"{folder}: the labels of some files are text, of others numbers")
    return np.concatenate(found)


def _opened(path: Path) -> pq.ParquetFile:
    def opened() -> pq.ParquetFile:
        require_fetched(path)
        return pq.ParquetFile(path)

    return _told(path, opened)


def _told(path: Path, call: Any) -> Any:
    """What `call` returns; raises `UserError` where the file in `path` cannot be read."""
    try:
        return call()
    except (OSError, pa.ArrowException) as error:
        said = f"not a readable parquet file ({error})"
        raise files.unreadable(path, said, "fetch it again") from error


def _columns(
    wanted: OwnData, path: Path, schema: pa.Schema, label_columns: Sequence[str]
) -> _Columns:
    """Which columns of the file in `path` hold images and labels; raises `UserError`."""
    features = _features(schema)
    image = wanted.image or _first(schema.names, IMAGE_COLUMNS)
    label = wanted.label or _first(schema.names, label_columns)
    if wanted.section == "datasets":  # of one's own: also what only one column can be
        holding = [name for name in schema.names if _holds_images(schema.field(name).type)]
        image = image or _only(holding)
        kinds = [name for name in schema.names if _kind(features, name) == "ClassLabel"]
        left = [n for n in schema.names if n != image and _holds_labels(schema.field(n).type)]
        label = label or _only(kinds) or (_only(left) if not kinds else None)
    for key, name, known in (("image", image, IMAGE_COLUMNS), ("label", label, label_columns)):
        if name not in schema.names:
            expected = f"expected {name}" if name else f"expected one of {', '.join(known)}"
            raise UserError(
                f"{path}: has the columns {', '.join(schema.names)}; {expected}, or name the "
                f"column of {key}s of a data set of your own: datasets: {{name: {{parquet: "
                f"{path.parent}, {key}: ...}}}}"
            )
    assert image is not None
    assert label is not None
    return _Columns(image, label)


def _first(there: Sequence[str], known: Sequence[str]) -> str | None:
    return next((name for name in known if name in there), None)


def _only(names: Sequence[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _holds_images(kind: pa.DataType) -> bool:
    fields = [one.name for one in kind] if pa.types.is_struct(kind) else []
    return "bytes" in fields or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _holds_labels(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or _holds_text(kind)


def _holds_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


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
    for row, scalar in enumerate(table[column]):
        cell = scalar.as_py()
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
    """The labels of a file, int64 [n] or text [n]."""
    column = table[name]
    if not _holds_labels(column.type) or column.null_count:
        raise UserError(
            f"{path}: column {name} is {column.type} with {column.null_count} gaps; "
            "expected whole numbers, or names of classes, without gaps"
        )
    if _holds_text(column.type):
        return np.array(column.to_pylist(), dtype=object)
    found: np.ndarray = column.to_numpy().astype(np.int64)
    return found


def _features(schema: pa.Schema) -> dict[str, Any]:
    """What the Hugging Face library's metadata say of the columns, if anything."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def _kind(features: dict[str, Any], column: str) -> str | None:
    feature = features.get(column)
    return feature.get("_type") if isinstance(feature, dict) else None


def _class_names(schema: pa.Schema, column: str) -> list[list[str]]:
    """The names that the metadata give the labels in `column`, if any."""
    feature = _features(schema).get(column)
    names = feature.get("names") if isinstance(feature, dict) else None
    return [[str(name) for name in names]] if isinstance(names, list) and names else []


def _agreed(wanted: OwnData, named: Sequence[list[str]]) -> list[str] | None:
    """The names of classes that all files give; raises `UserError` where they differ."""
    for other in named:
        if other != named[0]:
            raise UserError(
                f"{wanted.key}: {wanted.source}: its files name the classes differently "
                f"({', '.join(named[0][:5])}, and {', '.join(other[:5])}), so that one label would "
                "mean two things; take files of one data set"
            )
    return named[0] if named else None
