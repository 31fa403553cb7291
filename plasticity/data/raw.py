"""A decoded data set in memory, and its smaller variants."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from plasticity.core.errors import UserError
from plasticity.core.rng import numpy_generator
from plasticity.runs import DatasetFacts, Term
from plasticity.runs.workload import too_many_examples


@dataclass(frozen=True)
class RawData:
    """A decoded data set: images uint8 [n, channels, height, width], labels int64 [n]."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: list[str]
    source: str

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(labels):
                raise UserError(
                    f"{self.source}: the {part} images are {images.dtype} {list(images.shape)} "
                    f"for {len(labels)} labels; expected uint8 [n, channels, height, width]"
                )
            if len(labels) == 0 or labels.min() < 0 or labels.max() >= len(self.classes):
                raise UserError(
                    f"{self.source}: the {part} labels are not all in 0 to {len(self.classes) - 1}"
                )


def variant(data: RawData, name: Term[DatasetFacts]) -> RawData:
    """The variant of `data` that `name` spells: fewer training examples, fewer pixels."""
    if (examples := name.options["examples"]) is not None:
        if examples > len(data.train_labels):
            raise UserError(too_many_examples(name, len(data.train_labels)))
        # One fixed shuffle for all sizes, so that a larger variant contains a smaller one.
        chosen = numpy_generator(0, "variant").permutation(len(data.train_labels))[:examples]
        data = replace(
            data,
            train_images=data.train_images[chosen],
            train_labels=data.train_labels[chosen],
        )
    if (pixels := name.options["pixels"]) is not None:
        data = replace(
            data,
            train_images=shrink(data.train_images, pixels, name),
            test_images=shrink(data.test_images, pixels, name),
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
