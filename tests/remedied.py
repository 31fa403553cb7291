"""Networks that starts are applied to, and what they make of them."""

import torch
from torch import nn

from plasticity.core.rng import torch_generator
from plasticity.models.network import Foreign, initialise
from plasticity.runs import models, starts

NETWORKS = ["resnet-d1w2", "resnet20-w2", "vit-p4d2w8", "mlp-d2w8"]


def drawn(model, *purpose):
    """A network as it is drawn for `purpose`, by default at the initialisation."""
    network = models.parse(model)(3, 1, 8, 8)
    initialise(network, torch_generator(0, *(purpose or ["initialisation"])))
    return network


def trained(model):
    """A network of which every number has moved."""
    network = drawn(model)
    generator = torch_generator(0, "steps")
    with torch.no_grad():
        for value in network.state_dict().values():
            value.add_(1 + torch.rand(value.shape, generator=generator).to(value.dtype))
    return network


def batches(count=3):
    generator = torch_generator(0, "batches")
    images = torch.randn((count, 6, 1, 8, 8), generator=generator)
    return [(images[number], torch.arange(6) % 3) for number in range(count)]


def apply(spelling, network, *, initial=None, data=None, seed=0):
    """The numbers of `network` after a start, as a job would apply it."""
    start = starts.parse(spelling)
    known = {"initial": initial, "batches": data or batches()}
    asked = [known[name] for name in start.facts.given[2:]]
    with torch.no_grad():
        start(network, torch_generator(seed, "start", 2), *asked)
    return copy(network)


def copy(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def linear(weight, bias=None):
    """A network of one linear layer, on images of a row of pixels."""
    layer = nn.Linear(len(weight[0]), len(weight), bias=bias is not None)
    network = Foreign(nn.Sequential(nn.Flatten(), layer))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias))
    return network, layer


def row(*pixels, label=0):
    return torch.tensor([[[[float(value) for value in pixels]]]]), torch.tensor([label])


def close(found, expected):
    torch.testing.assert_close(found.detach(), torch.as_tensor(expected))


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)
