"""VGG-16 with batch normalisation for small images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import ModelFacts, models

if TYPE_CHECKING:
    from plasticity.models.network import Network


@models.member(
    "vgg16", facts=ModelFacts(modules=(*(f"blocks{number}" for number in range(1, 6)), "output"))
)
def vgg16(classes: int, channels: int, height: int, width: int) -> Network:
    """VGG-16 with batch normalisation and one linear layer, as is usual on CIFAR."""
    from plasticity.models.vgg import VGG16

    return VGG16(classes, channels)
