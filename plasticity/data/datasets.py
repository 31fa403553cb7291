"""Data sets by name: where each one comes from.

To add one, declare a function that returns a `RawData`. It is given the place that the
configuration names under ``sources`` (or None) and a folder for downloads. Its facts, the numbers
of ``train`` and ``test`` examples, of ``classes``, of ``channels`` and of ``pixels`` a side, tell
what a study on it costs, and which splits it allows, before anything is prepared.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from plasticity.core.errors import UserError
from plasticity.core.rng import numpy_generator
from plasticity.data import sources
from plasticity.data.raw import RawData
from plasticity.runs import DatasetFacts, datasets


@datasets.member("cifar10", facts=DatasetFacts(50_000, 10_000, 10, 3, 32))
def cifar10(source: Path | None, downloads: Path) -> RawData:
    """CIFAR-10: 50,000 + 10,000 colour images of 32 x 32 pixels in 10 classes."""
    return sources.torchvision_or_local("CIFAR10", source, downloads)


@datasets.member("cifar100", facts=DatasetFacts(50_000, 10_000, 100, 3, 32))
def cifar100(source: Path | None, downloads: Path) -> RawData:
    """CIFAR-100: 50,000 + 10,000 colour images of 32 x 32 pixels in 100 classes."""
    return sources.torchvision_or_local("CIFAR100", source, downloads)


@datasets.member("svhn", facts=DatasetFacts(73_257, 26_032, 10, 3, 32))
def svhn(source: Path | None, downloads: Path) -> RawData:
    """Street View House Numbers: 73,257 + 26,032 colour images of 32 x 32 pixels, 10 digits."""
    return sources.torchvision_or_local("SVHN", source, downloads)


@datasets.member("digits-clutter", facts=DatasetFacts(1_200, 597, 10, 1, 12))
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
