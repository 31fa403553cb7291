"""Networks by name.

To add one, declare a function that builds a `plasticity.models.network.Network` for a number of
classes and input channels. The fact ``modules`` says how many numbered modules it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import Integer, ModelFacts, models

if TYPE_CHECKING:
    from plasticity.models.network import Network


def _check_size(*, depth: int, width: int) -> None:
    """Refuse what no machine could hold, before it tries.

    At width 2,048 the shallowest network has some six billion parameters; with depth 1,000, eight
    thousand layers.
    """
    for name, size, most in (("depth", depth, 1000), ("width", width, 2048)):
        if size > most:
            raise ValueError(f"{name}: expected a whole number of at most {most}, got {size}")


@models.member(
    "resnet-d{depth}w{width}",
    facts=ModelFacts(modules=6),
    check=_check_size,
    depth=Integer(at_least=1),
    width=Integer(at_least=1),
)
def resnet(classes: int, channels: int, *, depth: int, width: int) -> Network:
    """A residual network of any depth and width (Berariu et al., appendix A.4)."""
    from plasticity.models.resnet import ResNet

    return ResNet(classes, channels, depth=depth, width=width)


@models.member("resnet18", facts=ModelFacts(modules=6, depth=2, width=64), short_for="resnet-d2w64")
def resnet18(classes: int, channels: int) -> Network:
    """ResNet-18 for small images: depth 2, width 64 (Berariu et al., appendix A.4)."""
    from plasticity.models.resnet import ResNet

    return ResNet(classes, channels, depth=2, width=64)


@models.member(
    "resnet20-w{width}",
    facts=ModelFacts(modules=5, depth=3),
    width=Integer(at_least=1, at_most=2048),
)
def resnet20_of_width(classes: int, channels: int, *, width: int) -> Network:
    """ResNet-20 with `width` channels in its first module, instead of 16."""
    from plasticity.models.resnet20 import ResNet20

    return ResNet20(classes, channels, width=width)


@models.member("resnet20", facts=ModelFacts(modules=5, depth=3, width=16), short_for="resnet20-w16")
def resnet20(classes: int, channels: int) -> Network:
    """ResNet-20 for small images (He et al. 2016, section 4.2)."""
    from plasticity.models.resnet20 import ResNet20

    return ResNet20(classes, channels, width=16)
