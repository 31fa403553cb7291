"""ResNet-18 for small images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.models.options import ACTIVATION, NORMALISATION, STYLE, residual_names
from plasticity.runs import ModelFacts, models

if TYPE_CHECKING:
    from plasticity.models.network import Network


@models.member(
    f"resnet18{STYLE}",
    facts=ModelFacts(modules=residual_names(4), depth=2, width=64),
    short_for="resnet-d2w64",
    normalisation=NORMALISATION,
    activation=ACTIVATION,
)
def resnet18(
    classes: int,
    channels: int,
    image_height: int,
    image_width: int,
    *,
    normalisation: str,
    activation: str,
) -> Network:
    """ResNet-18 for small images: depth 2, width 64 (Berariu et al., appendix A.4)."""
    from plasticity.models.resnet import ResNet, Style

    style = Style(normalisation, activation)
    return ResNet(classes, channels, depth=2, width=64, style=style)
