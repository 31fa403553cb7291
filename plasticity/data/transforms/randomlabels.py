"""Random labels, the same in every epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import TransformFacts, transforms

if TYPE_CHECKING:
    from torch import Generator, Tensor


@transforms.member("randomlabels", facts=TransformFacts("labels"))
def randomlabels(labels: Tensor, classes: int, generator: Generator) -> Tensor:
    """Labels drawn uniformly from all classes, one for each example."""
    import torch

    return torch.randint(classes, labels.shape, generator=generator).to(labels.device)
