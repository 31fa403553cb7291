"""Perturbations of a pruned network's weights: each returns new tensors, on the CPU.

A mask is one bool tensor a layer, as in `plasticity.models.masks`. All draws come from a generator
on the CPU and follow the order of the indices, so that they depend on neither the device nor the
order in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor, nn

from plasticity.models.masks import Weights, placed, prunable, surviving

Scope = Literal["global", "layer", "filter"]
"""Among which survivors values are permuted: all, those of a layer, those of an output channel."""


@dataclass(frozen=True)
class Ticket:
    """What a start makes a sub-network of; all by name and on the CPU.

    `mask` is that of the level, `initial` the prunable weights of the network as it was
    initialised, `network` all of its state then.
    """

    mask: Mapping[str, Tensor]
    initial: Mapping[str, Tensor]
    network: Mapping[str, Tensor]

    @classmethod
    def of(cls, mask: Mapping[str, Tensor], initialised: nn.Module) -> Self:
        """The ticket with `mask` of a network, given as it was initialised."""
        return cls(
            mask=mask,
            initial=_copied(prunable(initialised)),
            network=_copied(initialised.state_dict()),
        )


def mixed(signs: Mapping[str, Tensor], magnitudes: Mapping[str, Tensor]) -> Weights:
    """The magnitudes of `magnitudes` with the signs of `signs`, of which a zero has a plus.

    What is zero in `magnitudes` stays zero.
    """
    mixed = {}
    for name, sign in signs.items():
        magnitude = magnitudes[name].cpu().abs()
        # + 0.0 turns -0.0 into 0.0
        mixed[name] = torch.where(sign.cpu() < 0, -magnitude, magnitude) + 0.0
    return mixed


def shuffled(
    weights: Mapping[str, Tensor],
    mask: Mapping[str, Tensor],
    scope: Scope,
    same_sign: bool,
    generator: torch.Generator,
) -> Weights:
    """`weights` with the values of the survivors permuted at random within `scope`.

    With `same_sign` only among those of one sign, a zero counting as positive, so that every
    survivor keeps its sign. The others become zero.
    """
    mask = {name: mask[name].cpu() for name in weights}
    values, groups = surviving(weights, mask), _groups(mask, scope)
    if same_sign:
        groups = 2 * groups + (values < 0)
    return placed(values[_permutation(groups, generator)], mask)


def noisy(
    weights: Mapping[str, Tensor],
    mask: Mapping[str, Tensor],
    stds: Mapping[str, float],
    scale: float,
    generator: torch.Generator,
) -> Weights:
    """`weights` plus Gaussian noise of `scale` times the standard deviation of their layer.

    Only survivors get it; the others become zero. Noise is drawn for these as well, so that what a
    weight gets does not depend on which others survive.
    """
    noisy = {}
    for name, value in weights.items():
        noise = torch.empty(value.shape).normal_(generator=generator)
        moved = value.cpu() + noise * (scale * stds[name])
        noisy[name] = torch.where(mask[name].cpu(), moved, 0.0)
    return noisy


def stds(weights: Mapping[str, Tensor]) -> dict[str, float]:
    """The standard deviation of each layer: that of these numbers, not an estimate from them."""
    return {name: _std(value.cpu()) for name, value in weights.items()}


def effective_size(
    before: Mapping[str, Tensor], after: Mapping[str, Tensor], mask: Mapping[str, Tensor]
) -> float:
    """The size of a perturbation: the standard deviation of what it adds to the survivors.

    Over the survivors of all layers together (Frankle et al. 2020; recalled, not checked).
    """
    after = {name: after[name] for name in before}
    if all(torch.equal(after[name], before[name]) for name in before):
        return 0.0  # as after most starts
    return _std(surviving(after, mask).double() - surviving(before, mask).double())


def _std(values: Tensor) -> float:
    # In double precision: sums of millions of numbers.
    return float(values.double().std(correction=0))


def _groups(mask: Mapping[str, Tensor], scope: Scope) -> Tensor:
    """The number of the group that each survivor belongs to, int64 [survivors]."""
    groups, filters = [], 0
    for number, layer in enumerate(mask.values()):
        channel = torch.arange(len(layer)).view(-1, *[1] * (layer.dim() - 1))
        group = {
            "global": torch.zeros_like(channel),
            "layer": torch.full_like(channel, number),
            "filter": filters + channel,
        }
        groups.append(group[scope].expand_as(layer)[layer])
        filters += len(layer)
    return torch.cat(groups)


def _permutation(groups: Tensor, generator: torch.Generator) -> Tensor:
    """Of the permutations that keep each index within its group, one at random: int64 [n].

    `groups` is int64 [n], in any order.
    """
    drawn = torch.randperm(len(groups), generator=generator)
    permutation = torch.empty_like(drawn)
    # The places of a group, group after group, take its members in the order that was drawn.
    places = torch.sort(groups, stable=True).indices
    permutation[places] = drawn[torch.sort(groups[drawn], stable=True).indices]
    return permutation


def _copied(tensors: Mapping[str, Tensor]) -> Weights:
    return {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}
