"""The task of telling how far images are turned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import TransformFacts, transforms

if TYPE_CHECKING:
    from torch import Tensor


@transforms.member(
    "rotation",
    facts=TransformFacts("batches", draws=(4,), classes=4, test=True, acts="geometry", square=True),
)
def rotation(images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Square images turned by 0 to 3 quarters, anticlockwise, and how many as their labels."""
    import torch

    quarters = draws[:, 0]
    turned = images
    for number in range(1, 4):
        chosen = (quarters == number).view(-1, 1, 1, 1)
        turned = torch.where(chosen, torch.rot90(images, number, (-2, -1)), turned)
    return turned, quarters
