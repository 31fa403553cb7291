"""The data set Fashion-MNIST."""

from __future__ import annotations

from pathlib import Path

from plasticity.data.raw import RawData
from plasticity.data.sources import torchvision_or_local
from plasticity.runs import DatasetFacts, datasets


@datasets.member(
    "fashion-mnist",
    facts=DatasetFacts(train=60_000, test=10_000, classes=10, channels=1, pixels=28, archived=True),
)
def fashion_mnist(source: Path | None, downloads: Path) -> RawData:
    """Fashion-MNIST: 60,000 + 10,000 grey images of 28 x 28 pixels in 10 classes of clothes."""
    return torchvision_or_local("FashionMNIST", source, downloads)
