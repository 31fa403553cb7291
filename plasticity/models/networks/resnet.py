"""A residual network of any depth and width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.models.options import ACTIVATION, NORMALISATION, STYLE, residual_names
from plasticity.runs import Integer, ModelFacts, models

if TYPE_CHECKING:
    from plasticity.models.network import Network


# Beyond these limits no machine could hold it: at width 2,048 the shallowest network has some six
# billion parameters; with depth 1,000, eight thousand layers.
@models.member(
    f"resnet-d{{depth}}w{{width}}{STYLE}",
    facts=ModelFacts(modules=residual_names(4)),
    depth=Integer(at_least=1, limit=1000),
    width=Integer(at_least=1, limit=2048),
    normalisation=NORMALISATION,
    activation=ACTIVATION,
)
def resnet(
    classes: int,
    channels: int,
    image_height: int,
    image_width: int,
    *,
    depth: int,
    width: int,
    normalisation: str,
    activation: str,
) -> Network:
    """A residual network of any depth and width (Berariu et al., appendix A.4)."""
    from plasticity.models.resnet import ResNet, Style

    style = Style(normalisation, activation)
    return ResNet(classes, channels, depth=depth, width=width, style=style)
