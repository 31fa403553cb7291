"""A decoded data set in memory, and its smaller variants."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from plasticity.core.errors import UserError
from plasticity.core.rng import numpy_generator
from plasticity.runs import DatasetFacts, Term
from plasticity.runs.variants import sizes_of

PARTS = ("train", "test")


@dataclass(frozen=True)
class RawData:
    """A decoded data set: images uint8 [n, channels, height, width], labels int64 [n].

    Labels count the `classes` from 0; whole numbers of another size are converted. `notes` are for
    the log: what the reader of the data came upon. Some data sets have a part for validation.
    Raises `UserError` for anything else.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: list[str]
    source: str
    notes: tuple[str, ...] = ()
    validation_images: np.ndarray | None = None
    validation_labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise UserError(f"{self.source}: two classes have one name; give each one of its own")
        for part in PARTS:
            where = f"{self.source}: the {part}"
            images, labels = (
                np.asarray(getattr(self, f"{part}_{what}")) for what in ("images", "labels")
            )
            labels = _checked_labels(where, labels, len(self.classes), images)
            object.__setattr__(self, f"{part}_images", images)
            object.__setattr__(self, f"{part}_labels", labels)
        train, test = self.train_images.shape[1:], self.test_images.shape[1:]
        if train != test:
            raise UserError(
                f"{self.source}: the train images have the shape {list(train)} and the test images "
                f"{list(test)}; expected one"
            )


def _checked_labels(where: str, labels: np.ndarray, classes: int, images: np.ndarray) -> np.ndarray:
    """`labels` as int64 [n]; raises `UserError` where they do not fit `classes` or `images`."""
    if labels.ndim != 1:
        raise UserError(
            f"{where} labels have the shape {list(labels.shape)}; expected [n], the number of its "
            "class for each example: of a column take labels[:, 0], of one-hot rows their argmax"
        )
    if labels.dtype.kind not in "iu":
        raise UserError(
            f"{where} labels are {_TYPES.get(labels.dtype.kind, labels.dtype.name)}; expected "
            "whole numbers that count the classes from 0"
        )
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(labels):
        raise UserError(
            f"{where} images are {images.dtype} {list(images.shape)} for {len(labels)} labels; "
            "expected uint8 [n, channels, height, width]"
        )
    if len(labels) == 0:
        raise UserError(f"{where} part has no examples; expected at least one")
    least, largest = int(labels.min()), int(labels.max())
    if least < 0 or largest >= classes:
        hint = "; they seem to count from 1: subtract 1" if (least, largest) == (1, classes) else ""
        raise UserError(
            f"{where} labels are not all in 0 to {classes - 1}: they go from {least} to {largest}"
            f"{hint}"
        )
    return labels.astype(np.int64)


_TYPES = {
    "f": "floating-point numbers",
    "U": "text",
    "S": "text",
    "O": "objects",
    "b": "true/false",
}
"""What kinds of values are called that are no labels."""


def remarks(data: RawData, name: Term[DatasetFacts]) -> list[str]:
    """What is unusual in `data`, for the log, also compared with what `name` declares.

    Raises `UserError` where both cannot be right: other channels, more examples, more classes.
    """
    facts, (channels, height, width) = name.facts, data.train_images.shape[1:]
    where = f"{data.source}, as {name}"
    if channels != facts.channels:
        is_last = width == facts.channels
        raise UserError(
            f"{where}: images of {channels} channels and {height} x {width} pixels, declared are "
            f"{facts.channels} channels"
            + ("; channels come first: images.transpose(0, 3, 1, 2)" if is_last else "")
        )
    counts = {"train": len(data.train_labels), "test": len(data.test_labels)}
    declared = {"train": facts.train, "test": facts.test}
    found = [(f"{part} examples", counts[part], declared[part]) for part in PARTS]
    found.append(("classes", len(data.classes), facts.classes))
    notes = list(data.notes)
    for what, count, most in found:
        if count > most:
            raise UserError(
                f"{where}: {count:,} {what}, and {most:,} are declared; remove what is there "
                "twice, or declare as many"
            )
        if count < most:
            notes.append(f"{count:,} {what}, and {most:,} are declared")
    if (height, width) != facts.size:
        high, wide = facts.size
        notes.append(f"{height} x {width} pixels, and {high} x {wide} are declared")
    if np.array_equal(data.train_images, data.test_images):
        notes.append("the test examples are those of training")
    elif shared := in_both(data):
        notes.append(
            f"{shared:,} of {counts['test']:,} test images are in training too, pixel by pixel"
        )
    empty = np.flatnonzero(np.bincount(data.train_labels, minlength=len(data.classes)) == 0)
    if len(empty):
        some = ", ".join(data.classes[label] for label in empty[:5])
        notes.append(f"{len(empty)} classes have no training example: {some}")
    return notes


def in_both(data: RawData) -> int:
    """How many test images training has too."""

    def known(images: np.ndarray) -> list[bytes]:
        return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]

    trained = {*known(data.train_images)}
    return sum(one in trained for one in known(data.test_images))


def variant(data: RawData, name: Term[DatasetFacts]) -> RawData:
    """The variant of `data` that `name` spells: fewer training examples, fewer pixels.

    Or with some of them held out for validation.
    """
    there = len(data.train_labels)
    examples, held = sizes_of(name, there)
    if name.options["examples"] is not None or held:
        # One fixed shuffle for all sizes, so that a larger variant contains a smaller one. What is
        # held out is at its end, and so the same whatever is trained on.
        order = numpy_generator(0, "variant").permutation(there)
        chosen, others = order[:examples], order[there - held :]
        data = replace(
            data,
            train_images=data.train_images[chosen],
            train_labels=data.train_labels[chosen],
            validation_images=data.train_images[others] if held else None,
            validation_labels=data.train_labels[others] if held else None,
        )
    if (pixels := name.options["pixels"]) is not None:
        held_out = data.validation_images
        data = replace(
            data,
            train_images=shrink(data.train_images, pixels, name),
            test_images=shrink(data.test_images, pixels, name),
            validation_images=None if held_out is None else shrink(held_out, pixels, name),
        )
    return data


def shrink(images: np.ndarray, pixels: int, name: Term[DatasetFacts]) -> np.ndarray:
    """`images` at `pixels` x `pixels`, each the mean of a square block, rounded to uint8."""
    count, channels, height, width = images.shape
    if height != width or height % pixels:
        raise UserError(
            f"data set {name}: images of {height} x {width} pixels cannot be averaged down to "
            f"{pixels} x {pixels}; -r takes a divisor of {height}"
        )
    block = height // pixels
    blocks = images.reshape(count, channels, pixels, block, pixels, block)
    means: np.ndarray = np.round(blocks.mean(axis=(3, 5)))
    return means.astype(np.uint8)
