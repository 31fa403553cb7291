"""Arrays of NumPy's: images and labels of both parts, by the names of npz members or npy files."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from plasticity.core.errors import UserError
from plasticity.data import images, labels, parts
from plasticity.data.origin import require_fetched
from plasticity.data.parts import Parts
from plasticity.data.raw import RawData
from plasticity.data.scan import Scan
from plasticity.runs.own_data import OwnData

IMAGES = ("images", "image", "imgs", "img", "x", "data", "inputs", "features", "pixels")
LABELS = ("labels", "label", "y", "targets", "target", "lbls")
NAMES = ("classes", "class_names", "label_names", "names")
"""How arrays of images, of labels, and of what classes are called are called themselves."""

EXPECTED = (
    "arrays of images and labels of both parts, called such as train_images, train_labels, "
    "test_images, test_labels, or x_train, y_train, x_test, y_test"
)

USUAL = (1, 3, 4)
"""Channels that images mostly have."""


def read(wanted: OwnData) -> RawData:
    """The data set that is `wanted`; raises `UserError`."""
    found = _found(wanted)
    pictures, given, scales = [], [], []
    for part in found.parts.both:
        image, label = found.images[part], found.labels[part]
        pictures.append(_channels_first(wanted, image, image.read()))
        scales.append(_scale(image, pictures[-1]))
        given.append(_flat(label, label.read()))
    if scales[0] != scales[1]:
        raise UserError(
            f"{wanted.key}: {wanted.source}: the images of one part are in 0 .. 1 and those of the "
            "other in 0 .. 255; expected one range"
        )
    first, second, classes = labels.counted(given[0], given[1], found.classes, str(wanted.source))
    train, test = (_bytes(array, scales[0]) for array in pictures)
    if wanted.resize:
        train, test = (images.resized(array, wanted.resize) for array in (train, test))
    notes = list(found.parts.notes)
    if max(train.max(initial=0), test.max(initial=0)) <= 1:
        notes.append("no image has a value above 1 of 255: are they scaled?")
    return RawData(
        train, first, test, second, classes, f"arrays in {wanted.source.name}", tuple(notes)
    )


def listed(wanted: OwnData) -> dict[str, list[str]]:
    """The files that are read of what is `wanted`; raises `UserError`."""
    found = _files(wanted)
    return {path.name if len(found) > 1 else "arrays": [str(path)] for path in found}


def scan(wanted: OwnData) -> Scan:
    """What is `wanted` in numbers, of which labels and the headers of images are read."""
    found = _found(wanted)
    given, shapes = [], []
    for part in found.parts.both:
        shapes.append(found.images[part].shape)
        given.append(_flat(found.labels[part], found.labels[part].read()))
    _, _, classes = labels.counted(given[0], given[1], found.classes, str(wanted.source))
    shape = _shape(wanted, found.images[found.parts.train])
    return Scan(shapes[0][0], shapes[1][0], len(classes), shape[0], *(wanted.resize or shape[1:]))


@dataclass(frozen=True)
class _Array:
    """An array that is there: its name, where it is, what its header says, and how it is read."""

    name: str
    where: str
    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


@dataclass(frozen=True)
class _Found:
    """The arrays of images and of labels, by part, which of the parts count, and the classes."""

    parts: Parts
    images: dict[str, _Array]
    labels: dict[str, _Array]
    classes: list[str] | None


def _found(wanted: OwnData) -> _Found:
    arrays = [array for path in _files(wanted) for array in _arrays(path)]
    images = _by_part(wanted, arrays, IMAGES, wanted.image)
    given = _by_part(wanted, arrays, LABELS, wanted.label)
    both = {*images} & {*given}
    there = ", ".join(f"{array.name} {list(array.shape)}" for array in arrays)
    if not both:
        raise UserError(
            f"{wanted.key}: {wanted.source}: holds {there or 'no arrays'}; expected {EXPECTED}"
        )
    chosen = parts.choose(both, wanted, f"{wanted.source}, which holds {there}", EXPECTED)
    names = next((one for one in arrays if "_".join(_words(one.name)) in NAMES), None)
    classes = [str(name) for name in _text(names.read())] if names else None
    for part in chosen.both:
        for array in (images[part], given[part]):
            if array.dtype.hasobject:
                raise UserError(
                    f"{array.where}: holds Python objects, which are not read; save numbers or "
                    "text of one type"
                )
        if images[part].shape[:1] != given[part].shape[:1]:
            raise UserError(
                f"{images[part].where}: has the shape {list(images[part].shape)} and "
                f"{given[part].name} {list(given[part].shape)}; expected a label for each image"
            )
    return _Found(chosen, images, given, classes)


def _by_part(
    wanted: OwnData, arrays: list[_Array], known: tuple[str, ...], named: str | None
) -> dict[str, _Array]:
    """Those of `arrays` that one of the `known` words is for, or the `named` one, by part."""
    found: dict[str, _Array] = {}
    for array in arrays:
        words = _words(array.name)
        part = next((word for word in words if parts.part_of(word)), None)
        rest = [word for word in words if word != part]
        is_one = "_".join(rest) == "_".join(_words(named)) if named else {*rest} & {*known}
        if part is None or not is_one:
            continue
        if part in found:
            raise UserError(
                f"{wanted.key}: {wanted.source}: {found[part].name} and {array.name} could both be "
                f"meant; name one without its part, such as {wanted.key}.label: y"
            )
        found[part] = array
    return found


def _words(name: str) -> list[str]:
    """The words of a name, in small letters: ``X_train``, ``trainImages``, ``test-labels``."""
    parted = re.sub(r"([a-z])([A-Z])", r"\1_\2", name)
    return [word for word in re.split(r"[^a-z0-9]+", parted.lower()) if word]


def _files(wanted: OwnData) -> list[Path]:
    """The file that is named, or those in a folder; raises `UserError`."""
    source = wanted.source
    if source.is_dir():
        found = sorted(p for p in source.iterdir() if p.suffix in (".npz", ".npy"))
        if not found:
            raise UserError(
                f"{wanted.key}: {source}: no npz or npy file is in it; expected {EXPECTED}"
            )
        return [path for path in found if not path.name.startswith(".")]
    if not source.is_file():
        raise UserError(f"{wanted.key}: {source}: no such file or folder; expected {EXPECTED}")
    if source.suffix not in (".npz", ".npy"):
        raise UserError(f"{wanted.key}: {source}: expected an npz file, or a folder of npy files")
    return [source]


def _arrays(path: Path) -> Iterator[_Array]:
    """The arrays in a file, of which only headers are read; raises `UserError`."""
    try:
        require_fetched(path)
        if path.suffix == ".npy":
            with open(path, "rb") as file:
                yield _Array(
                    path.stem, str(path), *_header(file), lambda: np.load(path, mmap_mode="r")
                )
            return
        with zipfile.ZipFile(path) as archive:
            for member in [name for name in archive.namelist() if name.endswith(".npy")]:
                name = member.removesuffix(".npy")
                with archive.open(member) as file:
                    header = _header(file)
                yield _Array(_called(path, name), f"{path}: {name}", *header, _reading(path, name))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: not a readable file of arrays ({error}); write it again with numpy.savez"
        ) from error


def _called(path: Path, name: str) -> str:
    """What the array `name` in a file is called: by the file too, where only that says its part."""
    said = (any(map(parts.part_of, _words(text))) for text in (name, path.stem))
    if list(said) != [False, True]:
        return name
    return path.stem if name.startswith("arr_") else f"{path.stem}_{name}"


def _reading(path: Path, name: str) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        with np.load(path) as file:
            found: np.ndarray = file[name]
            return found

    return read


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = npy.read_magic(file)
    known = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    # The third version differs from the second in the names of fields alone.
    shape, _, dtype = known.get(version, npy.read_array_header_2_0)(file)
    return shape, dtype


def _shape(wanted: OwnData, array: _Array) -> tuple[int, int, int]:
    """Channels, height and width of images; raises `UserError`."""
    shape = array.shape[1:]
    if len(shape) == 2:
        return (1, *shape)
    if len(shape) != 3:
        raise UserError(
            f"{array.where}: has the shape {list(array.shape)}; expected images, [n, height, "
            "width], or with their channels first or last"
        )
    return shape if _come_first(wanted, array) else (shape[2], *shape[:2])


def _come_first(wanted: OwnData, array: _Array) -> bool:
    """Whether the channels of images come before height and width; raises `UserError`."""
    if wanted.axes:
        return wanted.axes == "nchw"
    first, height, last = array.shape[1:]
    likely = [first in USUAL, last in USUAL]
    if likely[0] == likely[1]:
        likely = [first < min(height, last), last < min(first, height)]
    if likely[0] == likely[1]:
        raise UserError(
            f"{array.where}: has the shape {list(array.shape)}, of which the channels may be "
            f"first or last; say {wanted.key}.axes: nchw, or nhwc"
        )
    return likely[0]


def _channels_first(wanted: OwnData, array: _Array, found: np.ndarray) -> np.ndarray:
    """The images `found` in an `array`, [n, channels, height, width]."""
    shape = _shape(wanted, array)
    if found.ndim == 3:
        return found[:, None]
    return (
        found
        if found.shape[1:] == shape and _come_first(wanted, array)
        else found.transpose(0, 3, 1, 2)
    )


def _scale(array: _Array, found: np.ndarray) -> float:
    """What the values of images are to be multiplied by to lie in 0 .. 255; raises `UserError`."""
    if found.dtype == np.uint8:
        return 1.0
    if found.dtype.kind == "b":
        return 255.0
    if found.dtype.kind not in "iuf" or found.size == 0:
        raise UserError(f"{array.where}: is {found.dtype}; expected numbers, in 0 .. 255 or 0 .. 1")
    least, most = float(found.min()), float(found.max())  # NaN is neither
    if found.dtype.kind == "f" and least >= 0 and most <= 1:
        return 255.0
    is_whole = found.dtype.kind != "f" or bool((found == np.floor(found)).all())
    if least >= 0 and most <= 255 and is_whole:
        return 1.0
    raise UserError(
        f"{array.where}: its values go from {least:g} to {most:g}"
        f"{'' if is_whole else ', and are no whole numbers'}; expected whole numbers in 0 .. 255, "
        "or numbers in 0 .. 1: undo any normalisation, which is done in training"
    )


def _bytes(found: np.ndarray, scale: float) -> np.ndarray:
    """The images `found`, times `scale`, as uint8."""
    if found.dtype == np.uint8:
        return np.ascontiguousarray(found)
    scaled = np.rint(found * np.float32(scale)) if scale != 1 else found
    return np.ascontiguousarray(scaled.astype(np.uint8))


def _flat(array: _Array, found: np.ndarray) -> np.ndarray:
    """The labels `found` in an `array`: whole numbers or text, [n]; raises `UserError`."""
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim == 2 and found.dtype.kind in "biuf":
        if not (((found == 0) | (found == 1)).all() and (found.sum(axis=1) == 1).all()):
            raise UserError(
                f"{array.where}: has the shape {list(found.shape)}, and its rows are not one-hot; "
                "expected one class an example"
            )
        numbers: np.ndarray = found.argmax(axis=1)
        return numbers
    if found.ndim != 1:
        raise UserError(
            f"{array.where}: has the shape {list(found.shape)}; expected [n], [n, 1] or one-hot"
        )
    if found.dtype.kind in "US":
        return _text(found)
    if found.dtype.kind not in "biuf" or not (found == np.floor(found)).all():
        raise UserError(f"{array.where}: is {found.dtype}; expected whole numbers or names")
    whole: np.ndarray = found.astype(np.int64)
    return whole


def _text(found: np.ndarray) -> np.ndarray:
    """Text, also where it is kept as bytes."""
    text: Any = np.char.decode(found, "utf-8") if found.dtype.kind == "S" else found
    plain: np.ndarray = text.astype(str)
    return plain
