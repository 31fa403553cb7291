"""Masks: which weights survive pruning, and their file.

A mask is one bool tensor a layer, by the name of its weight, true where the weight survives. All
draws come from a generator on the CPU and follow the order of the indices, so that they depend on
neither the device nor the order in memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from plasticity.core import files, tensors
from plasticity.core.errors import UserError
from plasticity.runs import extensions
from plasticity.runs.compute import Precision
from plasticity.runs.provenance import Code

Weights = dict[str, Tensor]
"""The prunable weights of a network by the name of the parameter, or a mask of them."""

ADVICE = "delete it and run again to prune anew"

PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
"""The weights of torch's attention besides that of its linear layer, where it has them."""

FACTS = ("run", "level", "state", "precision")
"""What the file of a mask says by the names that its fields have."""


def prunable(network: nn.Module) -> Weights:
    """The weights of convolutions, linear layers and attention, in the order of the network.

    They are views: writing to them changes `network`. Neither biases nor normalisation are pruned,
    nor tokens and positions. One that several layers share has the name that it has first.
    """
    named: dict[nn.Parameter, str] = {}
    for name, layer in network.named_modules():
        for entry in _prunable_entries(layer):
            if (parameter := layer._parameters.get(entry)) is not None:
                named.setdefault(parameter, f"{name}.{entry}".removeprefix("."))
    return {name: parameter.detach() for parameter, name in named.items()}


def _prunable_entries(layer: nn.Module) -> tuple[str, ...]:
    """The names that `prunable` weights have in `layer`."""
    if isinstance(layer, _ConvNd | nn.Linear):
        return ("weight",)
    return PROJECTIONS if isinstance(layer, nn.MultiheadAttention) else ()


def require_prunable(network: nn.Module) -> None:
    """Raise `UserError` where `prunable` weights of `network` are not all that it multiplies by."""
    for name, layer in network.named_modules():
        if "weight" in _prunable_entries(layer) and "weight" not in layer._parameters:
            raise UserError(
                f"layer {name} of the network computes its weight from other parameters, as weight "
                "or spectral normalisation does: it can be neither pruned nor observed; take a "
                "network without"
            )
    if not prunable(network):
        raise UserError(
            f"network {type(network).__name__} has no weights of convolutions, linear layers or "
            "attention: it can be neither pruned nor observed"
        )


@torch.no_grad()
def assign(network: nn.Module, weights: Mapping[str, Tensor], mask: Mapping[str, Tensor]) -> None:
    """Give `network`, in place, `weights` where `mask` is true and zeros elsewhere."""
    for name, live in prunable(network).items():
        live.copy_(torch.where(mask[name].cpu(), weights[name].cpu(), 0.0))


# Masks


def prune(
    weights: Mapping[str, Tensor], mask: Mapping[str, Tensor] | None, fraction: float
) -> Weights:
    """The mask after the next level of pruning: a part of `mask` (None: of everything).

    Of the survivors over all layers together, `fraction` is removed, those smallest in magnitude:
    their number times `fraction`, as the decimal that it is written as, rounded half up. Of equal
    magnitudes the first in the order of `weights` goes first. Raises `UserError` where `mask` does
    not fit `weights` and where no weight would be left.
    """
    if mask is None:
        mask = {name: torch.ones(value.shape, dtype=torch.bool) for name, value in weights.items()}
    elif misfit := _misfit(mask, weights):
        raise UserError(f"a mask for another model: {misfit}")
    magnitudes = surviving(weights, mask).abs()
    survivors = len(magnitudes)
    removed = math.floor(Fraction(str(fraction)) * survivors + Fraction(1, 2))
    if removed >= survivors:
        raise UserError(
            f"pruning {fraction} of the {survivors} weights that are left would leave none; "
            "take fewer levels or prune a smaller share"
        )
    # By rank: comparing with a threshold would remove more or fewer where magnitudes are equal.
    stays = torch.ones(survivors, dtype=torch.bool)
    stays[torch.sort(magnitudes, stable=True).indices[:removed]] = False
    return placed(stays, {name: mask[name] for name in weights})


def permuted(mask: Mapping[str, Tensor], generator: torch.Generator) -> Weights:
    """A random mask with as many survivors in each layer as `mask` has."""
    drawn = {}
    for name in sorted(mask):  # one draw, in whatever order a file had the layers
        flat = mask[name].cpu().reshape(-1)
        order = torch.randperm(len(flat), generator=generator)
        drawn[name] = flat[order].view(mask[name].shape)
    return {name: drawn[name] for name in mask}


def surviving(weights: Mapping[str, Tensor], mask: Mapping[str, Tensor]) -> Tensor:
    """The values of all survivors, [survivors], layer after layer in the order of `weights`."""
    return torch.cat([value.cpu()[mask[name].cpu()] for name, value in weights.items()])


def placed(values: Tensor, mask: Mapping[str, Tensor]) -> Weights:
    """The inverse of `surviving`: `values`, [survivors], where `mask` is true, else zeros."""
    placed, position = {}, 0
    for name, layer in mask.items():
        count = int(layer.sum())
        placed[name] = torch.zeros(layer.shape, dtype=values.dtype)
        placed[name][layer.cpu()] = values[position : position + count]
        position += count
    return placed


@dataclass(frozen=True)
class Mask:
    """The mask of a level, which removed a `fraction` of what was left, and where it comes from.

    `layers`, the mask itself, is on the CPU. `run` is the lineage path of the stage whose end was
    pruned, `state` the digest of that state, `code` the code that led to it, `precision` that in
    which the state was trained. `diverged` is the step at which that training diverged: the mask
    then means nothing, and whoever trains with it has diverged too.
    """

    layers: Weights
    run: str
    level: int
    fraction: float
    state: str
    code: Code
    precision: Precision
    diverged: int | None = None

    @cached_property
    def digest(self) -> str:
        """A checksum of which weights survive, whatever led there."""
        return tensors.checksum(
            {}, {name: layer.to(torch.uint8) for name, layer in self.layers.items()}
        )

    @property
    def total(self) -> int:
        """The number of prunable weights."""
        return sum(layer.numel() for layer in self.layers.values())

    @property
    def survivors(self) -> int:
        """The number of weights that are left."""
        return sum(int(layer.sum()) for layer in self.layers.values())

    @property
    def density(self) -> float:
        """The fraction of all prunable weights that is left."""
        return self.survivors / self.total

    @property
    def densities(self) -> dict[str, float]:
        """The fraction of each layer that is left, in the order of the network."""
        return {name: int(layer.sum()) / layer.numel() for name, layer in self.layers.items()}

    def require_fits(self, path: str | Path, network: nn.Module) -> None:
        """Raise `UserError` where this mask, read from `path`, is not one for `network`."""
        if misfit := _misfit(self.layers, prunable(network)):
            raise UserError(f"{path}: a mask for another model: {misfit}; {files.RIGHT_FILE}")

    def _facts(self) -> dict[str, Any]:
        """What the file says besides the mask itself."""
        return {
            **{name: getattr(self, name) for name in FACTS},
            "share": self.fraction,
            "diverged_step": self.diverged,
            "code": self.code.digest,
            "components": dict(self.code.components),
            **extensions.recorded(self.code.components),
            "total": self.total,
            "survivors": self.survivors,
            "density": self.density,
            "densities": self.densities,
        }


def write_mask(path: str | Path, mask: Mask) -> None:
    """Write `mask` to `path`, whole or not at all."""
    layers = {n: layer.to("cpu", torch.uint8).contiguous() for n, layer in mask.layers.items()}
    # Its densities keep the layers in the order of the network, which safetensors does not.
    tensors.write(path, layers, mask._facts())


def read_mask(path: str | Path) -> Mask:
    """The mask in `path`; raises `UserError` where it is damaged."""
    with tensors.opened(path, "mask", ADVICE) as file:
        header = file.header
        facts = {name: header[name] for name in FACTS} | {"fraction": header["share"]}
        names, code = header["densities"], Code(header["components"])
        layers = file.all()
        facts["diverged"] = header.get("diverged_step")
        return Mask({name: layers[name].bool() for name in names}, code=code, **facts)


def _misfit(mask: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str | None:
    """The first layer in which `mask` and `weights` differ, in words."""
    for name in [*weights, *(name for name in mask if name not in weights)]:
        expected, found = (
            f"the shape {list(part[name].shape)}" if name in part else "no such layer"
            for part in (weights, mask)
        )
        if expected != found:
            return f"layer {name}: expected {expected}, found {found}"
    return None
