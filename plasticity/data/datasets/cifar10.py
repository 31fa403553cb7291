"""The data set CIFAR-10."""

from __future__ import annotations

from pathlib import Path

from plasticity.data.raw import RawData
from plasticity.data.sources import torchvision_or_local
from plasticity.runs import DatasetFacts, datasets


@datasets.member(
    "cifar10",
    facts=DatasetFacts(train=50_000, test=10_000, classes=10, channels=3, pixels=32, archived=True),
)
def cifar10(source: Path | None, downloads: Path) -> RawData:
    """CIFAR-10: 50,000 + 10,000 colour images of 32 x 32 pixels in 10 classes."""
    return torchvision_or_local("CIFAR10", source, downloads)
