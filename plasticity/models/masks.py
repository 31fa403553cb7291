"""Lottery tickets: which weights survive pruning, and what may be done to the survivors.

A mask is one bool tensor a layer, by the name of its weight, true where the weight survives. All
draws come from a generator on the CPU and follow the order of the indices, so that they depend on
neither the device nor the order in memory.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from plasticity.core import files
from plasticity.core.errors import UserError
from plasticity.runs.provenance import Code

Weights = dict[str, Tensor]
"""The prunable weights of a network by the name of the parameter, or a mask of them."""

Scope = Literal["global", "layer", "filter"]
"""Among which survivors values are permuted: all, those of a layer, those of an output channel."""

ADVICE = "delete it and run again to prune anew"


def prunable(network: nn.Module) -> Weights:
    """The weights of convolutions and linear layers, in the order of the network.

    They are views: writing to them changes `network`. Neither biases nor normalisation are pruned.
    """
    return {
        f"{name}.weight".removeprefix("."): layer.weight.detach()
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }


@torch.no_grad()
def assign(network: nn.Module, weights: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> None:
    """Give `network`, in place, `weights` where they are `kept` and zeros elsewhere."""
    for name, live in prunable(network).items():
        live.copy_(torch.where(kept[name].cpu(), weights[name].cpu(), 0.0))


# Masks


def prune(
    weights: Mapping[str, Tensor], kept: Mapping[str, Tensor] | None, share: float
) -> Weights:
    """The mask after the next level of pruning: a part of `kept` (None: of everything).

    Of the survivors over all layers together, `share` is removed, those smallest in magnitude:
    their number times `share`, as the decimal that it is written as, rounded half up. Of equal
    magnitudes the first in the order of `weights` goes first. Raises `UserError` where `kept` does
    not fit `weights` and where no weight would be left.
    """
    if kept is None:
        kept = {name: torch.ones(value.shape, dtype=torch.bool) for name, value in weights.items()}
    elif misfit := _misfit(kept, weights):
        raise UserError(f"a mask for another model: {misfit}")
    magnitudes = _survivors(weights, kept).abs()
    survivors = len(magnitudes)
    removed = math.floor(Fraction(str(share)) * survivors + Fraction(1, 2))
    if removed >= survivors:
        raise UserError(
            f"pruning {share} of the {survivors} weights that are left would leave none; "
            "take fewer levels or prune a smaller share"
        )
    # By rank: comparing with a threshold would remove more or fewer where magnitudes are equal.
    stays = torch.ones(survivors, dtype=torch.bool)
    stays[torch.sort(magnitudes, stable=True).indices[:removed]] = False
    return _placed(stays, {name: kept[name] for name in weights})


def permuted(kept: Mapping[str, Tensor], generator: torch.Generator) -> Weights:
    """A random mask with as many survivors in each layer as `kept` has."""
    drawn = {}
    for name in sorted(kept):  # one draw, in whatever order a file had the layers
        flat = kept[name].cpu().reshape(-1)
        order = torch.randperm(len(flat), generator=generator)
        drawn[name] = flat[order].view(kept[name].shape)
    return {name: drawn[name] for name in kept}


@dataclass(frozen=True)
class Mask:
    """The mask of a level and where it comes from; `kept` is on the CPU.

    `run` is the lineage path of the stage whose end was pruned, `state` the digest of that state,
    `code` the code that led to it, `precision` that in which the state was trained.
    """

    kept: Weights
    run: str
    level: int
    share: float
    state: str
    code: Code
    precision: str

    @cached_property
    def digest(self) -> str:
        """A checksum of which weights are kept, whatever led there."""
        return _checksum({}, {name: mask.to(torch.uint8) for name, mask in self.kept.items()})

    @property
    def total(self) -> int:
        """The number of prunable weights."""
        return sum(mask.numel() for mask in self.kept.values())

    @property
    def survivors(self) -> int:
        """The number of weights that are left."""
        return sum(int(mask.sum()) for mask in self.kept.values())

    @property
    def density(self) -> float:
        """The share of all prunable weights that is left."""
        return self.survivors / self.total

    @property
    def densities(self) -> dict[str, float]:
        """The share of each layer that is left, in the order of the network."""
        return {name: int(mask.sum()) / mask.numel() for name, mask in self.kept.items()}

    def require_fits(self, path: str | Path, network: nn.Module) -> None:
        """Raise `UserError` where this mask, read from `path`, is not one for `network`."""
        if misfit := _misfit(self.kept, prunable(network)):
            raise UserError(
                f"{path}: a mask for another model: {misfit}; put the right file there, or {ADVICE}"
            )

    def _facts(self) -> dict[str, Any]:
        """What the file says besides the mask itself."""
        return {
            "run": self.run,
            "level": self.level,
            "share": self.share,
            "state": self.state,
            "code": self.code.digest,
            "components": dict(self.code.components),
            "precision": self.precision,
            "total": self.total,
            "survivors": self.survivors,
            "density": self.density,
            "densities": self.densities,
        }


def write_mask(path: str | Path, mask: Mask) -> None:
    """Write `mask` to `path`, whole or not at all."""
    tensors = {name: value.to("cpu", torch.uint8) for name, value in mask.kept.items()}
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    facts = mask._facts()
    # Not sorted: the layers stay in the order of the network, which safetensors does not keep.
    header = json.dumps({**facts, "checksum": _checksum(facts, tensors)})
    with files.whole(path) as partial:
        save_file(tensors, partial, metadata={"plasticity": header})


def read_mask(path: str | Path) -> Mask:
    """The mask in `path`; raises `UserError` where it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["plasticity"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts = {name: value for name, value in header.items() if name != "checksum"}
        sound = _checksum(facts, tensors) == header["checksum"]
        mask = Mask(
            kept={name: tensors[name].bool() for name in facts["densities"]},
            code=Code(facts["components"]),
            **{name: facts[name] for name in ("run", "level", "share", "state", "precision")},
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a readable mask ({error}); {ADVICE}") from error
    if not sound:
        raise UserError(f"{path}: damaged, its checksum is wrong; {ADVICE}")
    return mask


# Starting from a mask


@dataclass(frozen=True)
class Ticket:
    """What a start makes a sub-network of; all by name and on the CPU.

    `kept` is the mask of the level, `initial` the prunable weights of the network as it was
    initialised, `network` all of its state then.
    """

    kept: Mapping[str, Tensor]
    initial: Mapping[str, Tensor]
    network: Mapping[str, Tensor]

    @classmethod
    def of(cls, kept: Mapping[str, Tensor], initialised: nn.Module) -> Self:
        """The ticket with the mask `kept` of a network, given as it was initialised."""
        return cls(
            kept=kept,
            initial=_copied(prunable(initialised)),
            network=_copied(initialised.state_dict()),
        )


# Perturbations: each returns new tensors on the CPU


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
    kept: Mapping[str, Tensor],
    scope: Scope,
    same_sign: bool,
    generator: torch.Generator,
) -> Weights:
    """`weights` with the values of the survivors permuted at random within `scope`.

    With `same_sign` only among those of one sign, a zero counting as positive, so that every
    survivor keeps its sign. The others become zero.
    """
    kept = {name: kept[name].cpu() for name in weights}
    values, groups = _survivors(weights, kept), _groups(kept, scope)
    if same_sign:
        groups = 2 * groups + (values < 0)
    return _placed(values[_permutation(groups, generator)], kept)


def noisy(
    weights: Mapping[str, Tensor],
    kept: Mapping[str, Tensor],
    deviations: Mapping[str, float],
    scale: float,
    generator: torch.Generator,
) -> Weights:
    """`weights` plus Gaussian noise of `scale` times the deviation of their layer.

    Only survivors get it; the others become zero. Noise is drawn for these as well, so that what a
    weight gets does not depend on which others survive.
    """
    noisy = {}
    for name, value in weights.items():
        noise = torch.empty(value.shape).normal_(generator=generator)
        moved = value.cpu() + noise * (scale * deviations[name])
        noisy[name] = torch.where(kept[name].cpu(), moved, 0.0)
    return noisy


def deviations(weights: Mapping[str, Tensor]) -> dict[str, float]:
    """The standard deviation of each layer: that of these numbers, not an estimate from them."""
    return {name: _deviation(value.cpu()) for name, value in weights.items()}


def effective_size(
    before: Mapping[str, Tensor], after: Mapping[str, Tensor], kept: Mapping[str, Tensor]
) -> float:
    """The size of a perturbation: the standard deviation of what it adds to the survivors.

    Over the survivors of all layers together (Frankle et al. 2020; recalled, not checked).
    """
    after = {name: after[name] for name in before}
    if all(torch.equal(after[name], before[name]) for name in before):
        return 0.0  # as after most starts
    return _deviation(_survivors(after, kept).double() - _survivors(before, kept).double())


def _deviation(values: Tensor) -> float:
    # In double precision: sums of millions of numbers.
    return float(values.double().std(correction=0))


def _groups(kept: Mapping[str, Tensor], scope: Scope) -> Tensor:
    """The number of the group that each survivor belongs to, int64 [survivors]."""
    groups, filters = [], 0
    for layer, mask in enumerate(kept.values()):
        channel = torch.arange(len(mask)).view(-1, *[1] * (mask.dim() - 1))
        number = {
            "global": torch.zeros_like(channel),
            "layer": torch.full_like(channel, layer),
            "filter": filters + channel,
        }
        groups.append(number[scope].expand_as(mask)[mask])
        filters += len(mask)
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


def _survivors(weights: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> Tensor:
    """The values of all survivors, [survivors], layer after layer in the order of `weights`."""
    return torch.cat([value.cpu()[kept[name].cpu()] for name, value in weights.items()])


def _placed(values: Tensor, kept: Mapping[str, Tensor]) -> Weights:
    """The inverse of `_survivors`: `values`, [survivors], where `kept`, and zeros elsewhere."""
    placed, position = {}, 0
    for name, mask in kept.items():
        count = int(mask.sum())
        placed[name] = torch.zeros(mask.shape, dtype=values.dtype)
        placed[name][mask.cpu()] = values[position : position + count]
        position += count
    return placed


def _misfit(kept: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str | None:
    """The first layer in which the mask `kept` and `weights` differ, in words."""
    for name in [*weights, *(name for name in kept if name not in weights)]:
        expected, found = (
            f"the shape {list(part[name].shape)}" if name in part else "no such layer"
            for part in (weights, kept)
        )
        if expected != found:
            return f"layer {name}: expected {expected}, found {found}"
    return None


def _copied(tensors: Mapping[str, Tensor]) -> Weights:
    return {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}


def _checksum(facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(facts).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {list(tensors[name].shape)}".encode())
        digest.update(tensors[name].numpy().data)
    return digest.hexdigest()
