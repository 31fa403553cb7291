"""A residual network of any depth and width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import Integer, ModelFacts, models

if TYPE_CHECKING:
    from plasticity.models.network import Network


# Beyond these limits no machine could hold it: at width 2,048 the shallowest network has some six
# billion parameters; with depth 1,000, eight thousand layers.
@models.member(
    "resnet-d{depth}w{width}",
    facts=ModelFacts(modules=6),
    depth=Integer(at_least=1, limit=1000),
    width=Integer(at_least=1, limit=2048),
)
def resnet(classes: int, channels: int, *, depth: int, width: int) -> Network:
    """A residual network of any depth and width (Berariu et al., appendix A.4)."""
    from plasticity.models.resnet import ResNet

    return ResNet(classes, channels, depth=depth, width=width)
