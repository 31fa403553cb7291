"""Readers: torchvision's downloads, their original archives, and parquet in the hub's layout."""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plasticity.core import files
from plasticity.core.errors import UserError
from plasticity.data.raw import RawData

LABEL_COLUMNS = {"CIFAR10": ("label",), "CIFAR100": ("fine_label", "label"), "SVHN": ("label",)}
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


def torchvision_or_local(name: str, source: Path | None, downloads: Path) -> RawData:
    """Data set `name` of torchvision: downloaded, or from `source`.

    `source` is a folder with ``train*.parquet`` and ``test*.parquet`` in the hub's layout, or the
    original archive, or a folder that holds it. Archives are verified against torchvision's
    checksums before anything is read from them.
    """
    if source is None:
        return from_torchvision(name, downloads, f"torchvision.datasets.{name}, downloaded")
    if not source.exists():
        raise UserError(
            f"sources: {source.absolute()}: no such file or folder; expected the original archive "
            f"of {name} or a folder of parquet files, or remove the key to download it"
        )
    if source.is_dir() and any(source.glob("*.parquet")):
        return from_parquet(name, source)
    return from_archive(name, source)


def origin(source: str | None) -> str:
    """What kind of place `source` is: two kinds may hold different images under one name.

    All originals are alike, since their checksums are verified; a folder of parquet files is known
    by its name.
    """
    if source is not None and any(Path(source).glob("*.parquet")):
        return f"parquet files in {Path(source).name}"
    return "original"


def from_parquet(name: str, folder: Path) -> RawData:
    """Data set `name` from `folder`: images as encoded bytes, labels as integers."""
    train, test = (_read_part(name, folder, part) for part in ("train", "test"))
    if name in CLASSES:
        classes = CLASSES[name]
    else:
        classes = [str(label) for label in range(int(train[1].max()) + 1)]
    return RawData(*train, *test, classes=classes, source=f"parquet files in {folder.name}")


def _read_part(name: str, folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    paths = sorted(folder.glob(f"{part}*.parquet"))
    if not paths:
        raise UserError(f"sources: {folder}: no {part}*.parquet in it, expected train and test")
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for path in paths:
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            said = f"not a readable parquet file ({error})"
            raise files.unreadable(path, said, "fetch it again") from error
        image_column = _column(path, table, ("img", "image"))
        label_column = _column(path, table, LABEL_COLUMNS[name])
        for row, cell in enumerate(table[image_column].to_pylist()):
            image = _decode(path, row, cell)
            if images and image.shape != images[0].shape:
                raise UserError(
                    f"{path}: row {row} is an image of {image.shape[1:]} pixels among others of "
                    f"{images[0].shape[1:]}; expected one size"
                )
            images.append(image)
        column = table[label_column]
        if not pa.types.is_integer(column.type) or column.null_count:
            raise UserError(
                f"{path}: column {label_column} is {column.type} with {column.null_count} gaps; "
                "expected whole numbers without gaps"
            )
        labels.append(column.to_numpy().astype(np.int64))
    if not images:
        raise UserError(f"{folder}: its {part}*.parquet hold no rows; fetch them again")
    return np.stack(images), np.concatenate(labels)


def _column(path: Path, table: pa.Table, names: tuple[str, ...]) -> str:
    for name in names:
        if name in table.column_names:
            return name
    raise UserError(
        f"{path}: has the columns {', '.join(table.column_names)}; expected one of "
        f"{', '.join(names)}, as in the hub's layout"
    )


def _decode(path: Path, row: int, cell: Any) -> np.ndarray:
    """One encoded image as uint8 [3, height, width]."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(cell["bytes"])).convert("RGB")
    except (OSError, ValueError, SyntaxError, TypeError, KeyError) as error:  # as Pillow has it
        raise UserError(
            f"{path}: row {row} holds no readable image ({error}); fetch the file again"
        ) from error
    return np.asarray(image).transpose(2, 0, 1)


def from_archive(name: str, source: Path) -> RawData:
    """Data set `name` from the archives that torchvision would have downloaded."""
    folder = source if source.is_dir() else source.parent
    # torchvision unpacks beside the archive: work in a folder of our own, not in the user's.
    with tempfile.TemporaryDirectory() as scratch:
        for filename, checksum in _archives(name).items():
            archive = folder / filename if source.is_dir() or name == "SVHN" else source
            if not archive.exists():
                raise UserError(
                    f"sources: {folder}: {filename} is not in it; expected the original archive "
                    f"of {name}, or train*.parquet and test*.parquet in the folder itself"
                )
            _verify(archive, checksum)
            shutil.copy(archive, Path(scratch) / filename)
        return from_torchvision(name, Path(scratch), f"the original archive of {name}")


def _archives(name: str) -> dict[str, str]:
    """The archives of data set `name` with torchvision's MD5 checksums."""
    dataset = getattr(_torchvision_datasets(), name)
    if name == "SVHN":
        return {dataset.split_list[part][1]: dataset.split_list[part][2] for part in _PARTS}
    return {dataset.filename: dataset.tgz_md5}


_PARTS = ("train", "test")


def _verify(path: Path, checksum: str) -> None:
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
    except OSError as error:
        raise files.unreadable(path, f"cannot be read ({error})", "fetch it again") from error
    if found != checksum:
        raise UserError(
            f"{path}: its MD5 checksum is {found}, expected {checksum}: the file is truncated or "
            "altered; fetch it again"
        )


def from_torchvision(name: str, root: Path, source: str) -> RawData:
    """Data set `name` through torchvision, which downloads what is missing below `root`."""
    dataset = getattr(_torchvision_datasets(), name)
    root.mkdir(parents=True, exist_ok=True)
    parts: dict[str, np.ndarray] = {}
    classes: list[str] | None = CLASSES.get(name)
    for part in _PARTS:
        selector = {"split": part} if name == "SVHN" else {"train": part == "train"}
        try:
            loaded = dataset(str(root), download=True, **selector)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"{name}: could not be downloaded to {root} ({error}); check the network, delete "
                "what is in that folder if its checksum is wrong, or name a local copy in the "
                f"configuration: sources: {{{name.lower()}: /path/to/archive-or-parquet-folder}}"
            ) from error
        images = loaded.data if name == "SVHN" else loaded.data.transpose(0, 3, 1, 2)
        labels = loaded.labels if name == "SVHN" else loaded.targets
        parts[f"{part}_images"] = np.ascontiguousarray(images)
        parts[f"{part}_labels"] = np.asarray(labels, dtype=np.int64)
        classes = classes or list(loaded.classes)
    assert classes is not None
    return RawData(**parts, classes=classes, source=source)


def _torchvision_datasets() -> Any:
    """Torchvision's data sets, also where its compiled part does not fit this build of torch.

    A torch without CUDA beside a torchvision built for CUDA lacks two operators of torchvision's
    that data sets never call; declaring them lets the import pass.
    """
    import torch

    try:
        import torchvision.datasets
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        box = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library.define(f"nms{box}")
        library.define(f"qnms{box}")
        _KEPT.append(library)  # the definitions last as long as the library object
        import torchvision.datasets
    return torchvision.datasets


_KEPT: list[Any] = []
