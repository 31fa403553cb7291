"""Image folders: a folder a part, and in it a folder a class, or a list of labels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from plasticity.core.errors import UserError
from plasticity.data import images, parts
from plasticity.data.origin import OF_PROGRAMS, require_fetched
from plasticity.data.parts import Parts
from plasticity.data.raw import RawData
from plasticity.data.scan import Scan
from plasticity.runs.own_data import OwnData

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"),
)
"""How the names of images end, in small letters or capitals."""

ANNOTATIONS = "*annotations*.txt"
"""Tiny-ImageNet's list of its validation images: a line each of name, class and more, by tabs."""

EXPECTED = "folders train/ and test/ (or val/), in each a folder a class, and images in these"


def read(wanted: OwnData) -> RawData:
    """The data set that is `wanted`; raises `UserError`."""
    chosen, there = _found(wanted)
    classes = sorted(there[chosen.train].classes)
    arrays: list[np.ndarray] = []
    notes = [*chosen.notes]
    for part in chosen.both:
        one = there[part]
        decoded, remarks = images.decode_all(
            _encoded(paths := one.paths),
            len(paths),
            str(wanted.source / part),
            part,
            channels=wanted.channels or 3,
            size=wanted.resize,
            advice=wanted.one_size,
        )
        arrays += [decoded, one.labels(classes)]
        notes += [*one.notes, *remarks]
    return RawData(
        train_images=arrays[0],
        train_labels=arrays[1],
        test_images=arrays[2],
        test_labels=arrays[3],
        classes=classes,
        source=f"images in {wanted.source.name}",
        notes=tuple(notes),
    )


def listed(wanted: OwnData) -> dict[str, list[str]]:
    """The files that are read of what is `wanted`, by the folder of their class; `UserError`."""
    chosen, there = _found(wanted)
    groups: dict[str, list[str]] = {}
    for part in chosen.both:
        groups |= {f"{part}/{name}": paths for name, paths in there[part].classes.items()}
        if (one := there[part]).annotations:
            groups[f"{part}/{one.annotations.name}"] = [str(one.annotations)]
    return groups


def scan(wanted: OwnData) -> Scan:
    """What is `wanted` in numbers, of which only the header of the first image is read."""
    chosen, there = _found(wanted)
    train, test = (there[part].paths for part in chosen.both)
    size = wanted.resize or images.size_of(Path(train[0]), train[0])
    classes = len(there[chosen.train].classes)
    return Scan(len(train), len(test), classes, wanted.channels or 3, *size)


@dataclass
class _Part:
    """The images of a part by their class, in order, and the list that says the class, if any."""

    classes: Mapping[str, list[str]]
    annotations: Path | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """All images, class by class."""
        return [path for name in sorted(self.classes) for path in self.classes[name]]

    def labels(self, classes: Sequence[str]) -> np.ndarray:
        """The labels of `paths`, int64 [n]."""
        counts = [len(self.classes.get(name, ())) for name in classes]
        return np.repeat(np.arange(len(classes)), counts)


def _found(wanted: OwnData) -> tuple[Parts, dict[str, _Part]]:
    """The parts that are `wanted`, and what is in them; raises `UserError`."""
    folder = _beginning(wanted)
    names = [path.name for path in _folders(folder)]
    chosen = _labelled(folder, parts.choose(names, wanted, str(folder), EXPECTED), names, wanted)
    there = {part: _part(folder / part, wanted) for part in chosen.both}
    unknown = sorted({*there[chosen.test].classes} - {*there[chosen.train].classes})
    if unknown:
        raise UserError(
            f"{wanted.key}: {folder / chosen.test}: has the class {unknown[0]}, which "
            f"{folder / chosen.train} has not; expected folders of the same names in both"
        )
    return chosen, there


def _beginning(wanted: OwnData) -> Path:
    """The folder that the parts are in: below the one that is named there may be a single one."""
    folder = wanted.source
    if not folder.is_dir():
        raise UserError(f"{wanted.key}: {folder}: no such folder; expected one with {EXPECTED}")
    while True:
        below = list(_folders(folder))
        if len(below) != 1 or parts.part_of(below[0].name):
            return folder
        folder = below[0]


def _labelled(folder: Path, chosen: Parts, names: Sequence[str], wanted: OwnData) -> Parts:
    """`chosen`, or the validation part in the place of test images that have no labels."""
    other = [name for name in names if parts.part_of(name) == "validation"]
    if wanted.test or len(other) != 1 or other[0] == chosen.test or _has_labels(folder, chosen):
        return chosen
    note = f"the images in {chosen.test} have no labels: {other[0]} is tested on"
    return Parts(chosen.train, other[0], (note,))


def _has_labels(folder: Path, chosen: Parts) -> bool:
    """Whether the part to test on holds a folder that is called like a class, or a list."""
    classes, there = ({path.name for path in _folders(folder / part)} for part in chosen.both)
    return bool(classes & there) or any((folder / chosen.test).glob(ANNOTATIONS))


def _part(folder: Path, wanted: OwnData) -> _Part:
    """What is in the `folder` of a part; raises `UserError`."""
    annotations = sorted(folder.glob(ANNOTATIONS))
    if annotations:
        return _annotated(folder, annotations[0], wanted)
    others: list[str] = []
    classes = {path.name: [*_images_below(str(path), others)] for path in _folders(folder)}
    if not any(classes.values()):
        loose = next((path for path in sorted(folder.iterdir()) if _is_image(path.name)), None)
        found = f"images such as {loose.name} lie in it itself" if loose else "no images are in it"
        raise UserError(f"{wanted.key}: {folder}: {found}; expected a folder a class")
    notes = []
    if others:
        notes.append(f"{len(others)} files are no images, such as {others[0]}: they are left out")
    return _Part(classes, None, notes)


def _annotated(folder: Path, annotations: Path, wanted: OwnData) -> _Part:
    """The images that a list gives the classes of; raises `UserError`."""
    places = {path.rpartition("/")[2]: path for path in _images_below(str(folder), [])}
    classes: dict[str, list[str]] = {}
    for line in annotations.read_text(encoding="utf-8").splitlines():
        name, _, rest = line.partition("\t")
        if name not in places or not rest:
            raise UserError(
                f"{wanted.key}: {annotations}: the line {line[:80]!r} names no image below "
                f"{folder} with its class; expected name, tab, class"
            )
        classes.setdefault(rest.partition("\t")[0], []).append(places.pop(name))
    left = [f"{len(places)} images are not in {annotations.name}: they are left out"]
    return _Part(
        {name: sorted(paths) for name, paths in classes.items()}, annotations, left[: len(places)]
    )


def _folders(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        names = sorted(e.name for e in entries if e.is_dir() and not _is_left(e.name))
    return (folder / name for name in names)


def _images_below(folder: str, others: list[str]) -> Iterator[str]:
    """The images below `folder` in order; what else is there, but hidden, is added to `others`.

    Paths as text: there may be a hundred thousand.
    """
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if _is_image(entry.name):
            yield entry.path
        elif _is_left(entry.name):
            continue
        elif entry.is_dir():
            yield from _images_below(entry.path, others)
        else:
            others.append(entry.path)


def _is_left(name: str) -> bool:
    """Whether a file or folder is hidden, or was left by a program."""
    return name.startswith(".") or name.lower() in OF_PROGRAMS


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _encoded(paths: Sequence[str]) -> Iterator[tuple[bytes, str]]:
    for path in paths:
        try:
            require_fetched(Path(path))
            yield Path(path).read_bytes(), path
        except OSError as error:
            raise UserError(
                f"{path}: cannot be read ({error.strerror}); make it readable"
            ) from error
