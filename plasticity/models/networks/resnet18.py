"""ResNet-18 for small images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import ModelFacts, models

if TYPE_CHECKING:
    from plasticity.models.network import Network


@models.member("resnet18", facts=ModelFacts(modules=6, depth=2, width=64), short_for="resnet-d2w64")
def resnet18(classes: int, channels: int) -> Network:
    """ResNet-18 for small images: depth 2, width 64 (Berariu et al., appendix A.4)."""
    from plasticity.models.resnet import ResNet

    return ResNet(classes, channels, depth=2, width=64)
