"""Labels of which some are wrong, the same in every epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.core.errors import UserError
from plasticity.runs import Number, TransformFacts, transforms

if TYPE_CHECKING:
    from torch import Generator, Tensor


@transforms.member(
    "wronglabels{fraction}",
    facts=TransformFacts("labels"),
    fraction=Number(above=0.0, at_most=1.0),
)
def wronglabels(labels: Tensor, classes: int, generator: Generator, *, fraction: float) -> Tensor:
    """That fraction of the labels, drawn at random, each another class, drawn uniformly.

    So the fraction is how many are wrong. Where labels are drawn among all classes with probability
    p instead, as by Zhang et al. 2017, section 2, p (1 - 1 / classes) of them are.
    """
    import torch

    if classes < 2:
        raise UserError("transform wronglabels: no label is wrong where there is one class alone")
    count = len(labels)
    chosen = torch.randperm(count, generator=generator)[: round(fraction * count)]
    # From 1 to all classes but one further on, round and round.
    further = torch.randint(1, classes, chosen.shape, generator=generator)
    wrong = labels.cpu().clone()
    wrong[chosen] = (wrong[chosen] + further) % classes
    return wrong.to(labels.device)
