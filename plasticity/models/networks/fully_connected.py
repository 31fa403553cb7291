"""A fully connected network of any depth and width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import Integer, ModelFacts, models

if TYPE_CHECKING:
    from plasticity.models.network import Network


def _names(*, depth: int, width: int) -> tuple[str, ...]:
    return (*(f"hidden{number}" for number in range(1, depth + 1)), "output")


@models.member(
    "mlp-d{depth}w{width}",
    facts=ModelFacts(modules=_names),
    depth=Integer(at_least=1, limit=1000),
    width=Integer(at_least=1, limit=16384),
)
def fully_connected(
    classes: int, channels: int, image_height: int, image_width: int, *, depth: int, width: int
) -> Network:
    """A fully connected network: `depth` hidden layers of `width` units with ReLU."""
    from plasticity.models.mlp import MLP

    return MLP(classes, channels * image_height * image_width, depth=depth, width=width)
