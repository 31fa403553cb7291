"""The data set CIFAR-100."""

from __future__ import annotations

from pathlib import Path

from plasticity.data.raw import RawData
from plasticity.data.sources import torchvision_or_local
from plasticity.runs import DatasetFacts, datasets


@datasets.member(
    "cifar100",
    facts=DatasetFacts(
        train=50_000, test=10_000, classes=100, channels=3, pixels=32, archived=True
    ),
)
def cifar100(source: Path | None, downloads: Path) -> RawData:
    """CIFAR-100: 50,000 + 10,000 colour images of 32 x 32 pixels in 100 classes."""
    return torchvision_or_local("CIFAR100", source, downloads)
