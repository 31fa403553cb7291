"""The data set Street View House Numbers."""

from __future__ import annotations

from pathlib import Path

from plasticity.data.raw import RawData
from plasticity.data.sources import torchvision_or_local
from plasticity.runs import DatasetFacts, datasets


@datasets.member(
    "svhn",
    facts=DatasetFacts(train=73_257, test=26_032, classes=10, channels=3, pixels=32, archived=True),
)
def svhn(source: Path | None, downloads: Path) -> RawData:
    """Street View House Numbers: 73,257 + 26,032 colour images of 32 x 32 pixels, 10 digits."""
    return torchvision_or_local("SVHN", source, downloads)
