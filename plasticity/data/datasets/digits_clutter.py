"""The data set digits-clutter, small enough for a laptop."""

from __future__ import annotations

from pathlib import Path

from plasticity.data.clutter import digits_in_noise
from plasticity.data.raw import RawData
from plasticity.runs import DatasetFacts, datasets


@datasets.member(
    "digits-clutter", facts=DatasetFacts(train=1_200, test=597, classes=10, channels=1, pixels=12)
)
def digits_clutter(source: Path | None, downloads: Path) -> RawData:
    """scikit-learn's handwritten digits in noise: 1,200 + 597 grey images of 12 x 12 pixels.

    Small enough for a laptop, hard enough that a warm start generalises worse than a cold one. It
    comes with scikit-learn and is never downloaded.
    """
    return digits_in_noise("digits-clutter", source)
