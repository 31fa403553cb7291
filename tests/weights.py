"""Small sets of weights and masks, drawn at random, for tests of what is done to them."""

import math

import torch
from hypothesis import strategies as st

from plasticity.core.rng import torch_generator
from plasticity.models.network import initialise
from plasticity.runs import models

RESNET20 = [
    (16, 3, 3, 3),
    *[(16, 16, 3, 3)] * 6,
    (32, 16, 3, 3),
    *[(32, 32, 3, 3)] * 5,
    (32, 16, 1, 1),
    (64, 32, 3, 3),
    *[(64, 64, 3, 3)] * 5,
    (64, 32, 1, 1),
    (10, 64),
]
"""The prunable layers of the network for CIFAR-10 of Frankle et al."""


def built(seed=0):
    network = models.parse("resnet-d1w2")(3, 3, 12, 12)
    initialise(network, torch_generator(seed, "initialisation"))
    return network


def normal(shapes, seed=0):
    generator = torch_generator(seed, "weights")
    return {f"{i}.weight": torch.randn(s, generator=generator) for i, s in enumerate(shapes)}


def chance(weights, share=0.5, seed=0):
    """A mask of these weights, drawn at random."""
    generator = torch_generator(seed, "mask")
    return {n: torch.rand(v.shape, generator=generator) < share for n, v in weights.items()}


def count(kept):
    return sum(int(mask.sum()) for mask in kept.values())


def same(first, second):
    return list(first) == list(second) and all(torch.equal(first[n], second[n]) for n in first)


def inside(part, whole):
    return all((part[name] <= whole[name]).all() for name in part)


def reordered(weights):
    """The same numbers at the same indices, in another order in memory."""
    other = {
        name: value.contiguous(memory_format=torch.channels_last)
        if value.dim() == 4
        else value.t().contiguous().t()
        for name, value in weights.items()
    }
    assert any(other[name].stride() != weights[name].stride() for name in weights)
    return other


shapes = st.lists(
    st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple), min_size=1, max_size=4
)
shares = st.decimals("0.01", "0.99", places=2).map(float)
seeds = st.integers(0, 1000)


@st.composite
def layers(draw):
    """Small layers of any shapes with few different values: zeros and equal magnitudes abound."""
    values = st.sampled_from([-2.0, -1.0, -0.5, -0.0, 0.0, 0.25, 0.5, 1.0, 3.0])
    weights = {}
    for number, shape in enumerate(draw(shapes)):
        size = math.prod(shape)
        flat = draw(st.lists(values, min_size=size, max_size=size))
        weights[f"{number}.weight"] = torch.tensor(flat).view(shape)
    return weights


@st.composite
def pruned_layers(draw):
    weights = draw(layers())
    return weights, chance(weights, draw(st.sampled_from([0.2, 0.5, 1.0])), draw(seeds))
