"""ResNet-20 for small images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import ModelFacts, models

if TYPE_CHECKING:
    from plasticity.models.network import Network


@models.member("resnet20", facts=ModelFacts(modules=5, depth=3, width=16), short_for="resnet20-w16")
def resnet20(classes: int, channels: int) -> Network:
    """ResNet-20 for small images (He et al. 2016, section 4.2)."""
    from plasticity.models.resnet20 import ResNet20

    return ResNet20(classes, channels, width=16)
