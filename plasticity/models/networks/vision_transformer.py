"""A vision transformer by the size of its patches, its depth and its width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.core.errors import UserError
from plasticity.runs import Integer, ModelFacts, models

if TYPE_CHECKING:
    from plasticity.models.network import Network


def _names(*, patch: int, depth: int, width: int) -> tuple[str, ...]:
    return ("embedding", *(f"block{number}" for number in range(1, depth + 1)), "output")


@models.member(
    "vit-p{patch}d{depth}w{width}",
    facts=ModelFacts(modules=_names),
    patch=Integer(at_least=1, limit=1024),
    depth=Integer(at_least=1, limit=1000),
    width=Integer(at_least=1, limit=16384),
)
def vision_transformer(
    classes: int,
    channels: int,
    image_height: int,
    image_width: int,
    *,
    patch: int,
    depth: int,
    width: int,
) -> Network:
    """A vision transformer of patches of `patch` x `patch` pixels (Dosovitskiy et al. 2021)."""
    from plasticity.models.vit import VisionTransformer

    if image_height % patch or image_width % patch:
        raise UserError(
            f"model vit-p{patch}d{depth}w{width}: images of {image_height} x {image_width} pixels "
            f"are not made of whole patches of {patch} x {patch}; take another size of patches "
            "(p), or of images (-r of the data set)"
        )
    image = (image_height, image_width)
    return VisionTransformer(classes, channels, image, patch=patch, depth=depth, width=width)
