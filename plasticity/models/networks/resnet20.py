"""ResNet-20 for small images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.models.options import ACTIVATION, NORMALISATION, STYLE, residual_names
from plasticity.runs import ModelFacts, models

if TYPE_CHECKING:
    from plasticity.models.network import Network


@models.member(
    f"resnet20{STYLE}",
    facts=ModelFacts(modules=residual_names(3), depth=3, width=16),
    short_for="resnet20-w16",
    normalisation=NORMALISATION,
    activation=ACTIVATION,
)
def resnet20(
    classes: int,
    channels: int,
    image_height: int,
    image_width: int,
    *,
    normalisation: str,
    activation: str,
) -> Network:
    """ResNet-20 for small images (He et al. 2016, section 4.2)."""
    from plasticity.models.resnet import Style
    from plasticity.models.resnet20 import ResNet20

    style = Style(normalisation, activation)
    return ResNet20(classes, channels, width=16, style=style)
