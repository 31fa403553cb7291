"""scikit-learn's handwritten digits pasted into noise: small data sets that need no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from plasticity.core.errors import UserError
from plasticity.core.rng import numpy_generator
from plasticity.data.raw import RawData

TRAIN = 1200
"""How many of the 1,797 digits are trained on."""

SIDE = 12
"""Pixels a side."""


def digits_in_noise(name: str, source: Path | None, pastes: int = 1) -> RawData:
    """The data set `name`: each digit `pastes` times, at random places in noise of its own.

    Each 8 x 8 digit is pasted into a canvas of uniform noise in 0 .. 0.6, the larger value winning.
    A digit is in one part only, however often it is pasted. Raises `UserError` for a `source`.
    """
    if source is not None:
        raise UserError(
            f"sources.{name}: {source}: this data set is made from scikit-learn's digits "
            "and has no other source; remove the key"
        )
    from sklearn.datasets import load_digits

    digits = load_digits()
    generator = numpy_generator(0, name)
    pasted = np.tile(digits.images / 16.0, (pastes, 1, 1))
    canvas = generator.uniform(0.0, 0.6, size=(len(pasted), SIDE, SIDE))
    corners = generator.integers(0, SIDE - 8 + 1, size=(len(pasted), 2))
    for image, digit, (top, left) in zip(canvas, pasted, corners, strict=True):
        window = image[top : top + 8, left : left + 8]
        np.maximum(window, digit, out=window)
    images = np.round(canvas * 255).astype(np.uint8)[:, None]
    labels = np.tile(digits.target.astype(np.int64), pastes)
    order = generator.permutation(len(digits.images))
    train, test = (
        (part + len(order) * np.arange(pastes)[:, None]).ravel()
        for part in (order[:TRAIN], order[TRAIN:])
    )
    return RawData(
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        classes=[str(digit) for digit in range(10)],
        source="scikit-learn, sklearn.datasets.load_digits, pasted into uniform noise",
    )
