"""The data set digits-clutter, small enough for a laptop."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from plasticity.core.errors import UserError
from plasticity.core.rng import numpy_generator
from plasticity.data.raw import RawData
from plasticity.runs import DatasetFacts, datasets


@datasets.member(
    "digits-clutter", facts=DatasetFacts(train=1_200, test=597, classes=10, channels=1, pixels=12)
)
def digits_clutter(source: Path | None, downloads: Path) -> RawData:
    """scikit-learn's handwritten digits in noise: 1,200 + 597 grey images of 12 x 12 pixels.

    Each 8 x 8 digit is pasted at a random place into a canvas of uniform noise in 0 .. 0.6, the
    larger value winning. Small enough for a laptop, hard enough that a warm start generalises
    worse than a cold one. It comes with scikit-learn and is never downloaded.
    """
    if source is not None:
        raise UserError(
            f"sources.digits-clutter: {source}: this data set is made from scikit-learn's digits "
            "and has no other source; remove the key"
        )
    from sklearn.datasets import load_digits

    digits = load_digits()
    generator = numpy_generator(0, "digits-clutter")
    canvas = generator.uniform(0.0, 0.6, size=(len(digits.images), 12, 12))
    corners = generator.integers(0, 12 - 8 + 1, size=(len(digits.images), 2))
    for image, digit, (top, left) in zip(canvas, digits.images / 16.0, corners, strict=True):
        window = image[top : top + 8, left : left + 8]
        np.maximum(window, digit, out=window)
    images = np.round(canvas * 255).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    order = generator.permutation(len(images))
    train, test = order[:1200], order[1200:]
    return RawData(
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        classes=[str(digit) for digit in range(10)],
        source="scikit-learn, sklearn.datasets.load_digits, pasted into uniform noise",
    )
