"""ResNet-20 of another width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.models.options import ACTIVATION, NORMALISATION, STYLE, residual_names
from plasticity.runs import Integer, ModelFacts, models

if TYPE_CHECKING:
    from plasticity.models.network import Network


@models.member(
    f"resnet20-w{{width}}{STYLE}",
    facts=ModelFacts(modules=residual_names(3), depth=3),
    width=Integer(at_least=1, at_most=2048),
    normalisation=NORMALISATION,
    activation=ACTIVATION,
)
def resnet20_of_width(
    classes: int,
    channels: int,
    image_height: int,
    image_width: int,
    *,
    width: int,
    normalisation: str,
    activation: str,
) -> Network:
    """ResNet-20 with `width` channels in its first module, instead of 16."""
    from plasticity.models.resnet import Style
    from plasticity.models.resnet20 import ResNet20

    style = Style(normalisation, activation)
    return ResNet20(classes, channels, width=width, style=style)
