"""The data set digits-clutter-x2, on which the demo's seeds scatter less than on digits-clutter."""

from __future__ import annotations

from pathlib import Path

from plasticity.data.clutter import digits_in_noise
from plasticity.data.raw import RawData
from plasticity.runs import DatasetFacts, datasets


@datasets.member(
    "digits-clutter-x2",
    facts=DatasetFacts(train=2_400, test=1_194, classes=10, channels=1, pixels=12),
)
def digits_clutter_x2(source: Path | None, downloads: Path) -> RawData:
    """scikit-learn's handwritten digits, each pasted twice into noise: 2,400 + 1,194 images.

    As digits-clutter, 12 x 12 grey pixels. All pastes of a digit are in one part.
    """
    return digits_in_noise("digits-clutter-x2", source, pastes=2)
