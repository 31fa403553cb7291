"""ResNet-20 of another width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import Integer, ModelFacts, models

if TYPE_CHECKING:
    from plasticity.models.network import Network


@models.member(
    "resnet20-w{width}",
    facts=ModelFacts(modules=5, depth=3),
    width=Integer(at_least=1, at_most=2048),
)
def resnet20_of_width(classes: int, channels: int, *, width: int) -> Network:
    """ResNet-20 with `width` channels in its first module, instead of 16."""
    from plasticity.models.resnet20 import ResNet20

    return ResNet20(classes, channels, width=width)
