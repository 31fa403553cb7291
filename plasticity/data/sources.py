"""Data sets of torchvision's: downloaded, from their original archives, or from parquet files."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from plasticity.core import files, torchvision_import
from plasticity.core.errors import UserError
from plasticity.data.hub import CLASSES, from_parquet
from plasticity.data.origin import require_fetched
from plasticity.data.raw import PARTS, RawData
from plasticity.data.shards import files_in

__all__ = ["from_archive", "from_parquet", "from_torchvision", "torchvision_or_local"]


GREY = ("MNIST", "FashionMNIST")
"""Data sets of grey images, in four archives that torchvision keeps in a folder of their own."""


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
    if source.is_dir() and len(files_in(source)) == 1:
        return from_parquet(name, source, channels=1 if name in GREY else 3)
    return from_archive(name, source)


def from_archive(name: str, source: Path) -> RawData:
    """Data set `name` from the archives that torchvision would have downloaded."""
    folder, archives = source if source.is_dir() else source.parent, _archives(name)
    if (folder / name / "raw").is_dir():  # as torchvision leaves them
        folder = folder / name / "raw"
    # torchvision unpacks beside the archive: work in a folder of our own, not in the user's.
    with tempfile.TemporaryDirectory() as scratch:
        copies = Path(scratch, name, "raw") if name in GREY else Path(scratch)
        copies.mkdir(parents=True, exist_ok=True)
        for filename, checksum in archives.items():
            archive = folder / filename if source.is_dir() or len(archives) > 1 else source
            if not archive.exists():
                raise UserError(
                    f"sources: {folder}: {filename} is not in it; expected the original archive "
                    f"of {name}, or train*.parquet and test*.parquet in the folder itself"
                )
            _verify(archive, checksum)
            shutil.copy(archive, copies / filename)
        return from_torchvision(name, Path(scratch), f"the original archive of {name}")


def name_of(name: str) -> str:
    """The word for data set `name` of torchvision."""
    return {"FashionMNIST": "fashion-mnist"}.get(name, name.lower())


def _archives(name: str) -> dict[str, str]:
    """The archives of data set `name` with torchvision's MD5 checksums."""
    dataset = getattr(_torchvision_datasets(), name)
    if name in GREY:
        return dict(dataset.resources)
    if name == "SVHN":
        return {dataset.split_list[part][1]: dataset.split_list[part][2] for part in PARTS}
    return {dataset.filename: dataset.tgz_md5}


def _verify(path: Path, checksum: str) -> None:
    try:
        require_fetched(path)
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
    parts: dict[str, Any] = {}
    classes: list[str] | None = CLASSES.get(name)
    for part in PARTS:
        selector = {"split": part} if name == "SVHN" else {"train": part == "train"}
        try:
            loaded = dataset(str(root), download=True, **selector)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"{name}: could not be downloaded to {root} ({error}); check the network, delete "
                "what is in that folder if its checksum is wrong, or name a local copy in the "
                f"configuration: sources: {{{name_of(name)}: /path/to/archive-or-parquet-folder}}"
            ) from error
        images = np.asarray(loaded.data)
        if name != "SVHN":
            images = images[:, None] if name in GREY else images.transpose(0, 3, 1, 2)
        labels = loaded.labels if name == "SVHN" else loaded.targets
        parts[f"{part}_images"] = np.ascontiguousarray(images)
        parts[f"{part}_labels"] = np.asarray(labels, dtype=np.int64)
        classes = classes or list(loaded.classes)
    assert classes is not None
    return RawData(**parts, classes=classes, source=source)


def _torchvision_datasets() -> Any:
    torchvision_import.mend()
    import torchvision.datasets

    return torchvision.datasets
