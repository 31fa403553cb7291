"""Hidden units: found in every family, with all that makes and reads each."""

import pytest
import torch
from own_networks import Tokens, frozennet, lenet, normednet
from torch import nn

from plasticity.core import torchvision_import
from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.models.network import Foreign, initialise
from plasticity.models.units import activity, unit_layers
from plasticity.runs import models

SIZE = (10, 1, 8, 8)
FAMILIES = {
    "resnet-d2w4": 8,
    "resnet-d1w4-leaky": 4,
    "resnet-d1w4-nonorm-crelu": 4,
    "resnet-d1w4-crelu": 4,
    "resnet20-w4": 9,
    "vgg16": 13,
    "vit-p4d3w8": 3,
    "mlp-d1w5": 1,
    "mlp-d3w5": 3,
}
"""How many layers have hidden units: plain ones all, residual ones the first of each block."""
TOGETHER = {"resnet-d1w4-group": 4, "resnet-d1w4-layer-crelu": 4}
"""The same where normalisation holds units together."""


class Plain(nn.Sequential):
    """Of torch alone, as an extension would bring it."""


def plain(classes, channels, height, width):
    return Plain(
        nn.Conv2d(channels, 6, 3), nn.MaxPool2d(2), nn.BatchNorm2d(6), nn.SiLU(),
        nn.Conv2d(6, 4, 1, groups=2), nn.Tanh(), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(36, 7), nn.LayerNorm(7), nn.GELU(), nn.Linear(7, classes),
    )  # fmt: skip


def library(name, **options):
    def make(classes, channels, height, width):
        torchvision_import.mend()
        timm = pytest.importorskip("timm")
        size = {"img_size": (height, width), "patch_size": 4} if "vit" in name else {}
        given = {"num_classes": classes, "in_chans": channels, **size, **options}
        return timm.create_model(name, **given)

    return make


FOREIGN = {
    "lenet": (lenet, 2),
    "timm-resnet18": (library("resnet18", zero_init_last=False), 8),
    "timm-vit": (library("test_vit"), 6),
}


def network_of(spelling):
    if spelling in FOREIGN:
        made = FOREIGN[spelling][0](*SIZE)
        return made if isinstance(made, Foreign) else Foreign(made)
    network = models.parse(spelling)(*SIZE)
    initialise(network, torch_generator(0, "test"))
    return network


@pytest.mark.parametrize(("spelling", "count"), (FAMILIES | TOGETHER).items())
def test_each_family_has_as_many_layers_of_units_as_it_should(spelling, count):
    layers = unit_layers(network_of(spelling))
    assert len(layers) == count
    assert len({layer.outgoing for layer in layers}) == count


@pytest.mark.parametrize("spelling", FOREIGN)
def test_so_have_networks_of_other_libraries(spelling):
    layers = unit_layers(network_of(spelling))
    assert len(layers) == FOREIGN[spelling][1]
    assert all(layer.incoming.startswith("network.") for layer in layers)


@pytest.mark.parametrize("spelling", [*FAMILIES, *FOREIGN])
@torch.no_grad()
def test_the_columns_of_a_unit_are_all_that_see_its_rows(spelling):
    network = network_of(spelling).eval()
    images = torch.rand(3, *SIZE[1:], generator=torch_generator(0, "images"))
    before = network(images)
    for layer in unit_layers(network)[::4]:
        unit = layer.units - 2
        rows = [row[unit] for _, row in layer.rows()]
        values = [row.clone() for row in rows]
        for row in rows:
            row.mul_(1.5).add_(0.5)
        assert not torch.equal(network(images), before)
        layer.columns(layer.outgoing_weight)[unit] = 0
        other = network(images)
        for row, value in zip(rows, values, strict=True):
            row.copy_(value)
        before = network(images)
        assert torch.equal(other, before)


def test_groups_normalisation_and_flattening_are_heeded():
    first, second = unit_layers(Foreign(plain(3, 1, 8, 8)))
    assert (first.incoming, first.normalisation, first.outgoing) == (
        "network.4", "", "network.8",
    )  # fmt: skip
    assert (first.axis, first.spread, first.units) == (-1, 9, 4)
    assert (second.incoming, second.normalisation, second.outgoing) == (
        "network.8", "network.9", "network.11",
    )  # fmt: skip
    assert [name for name, _ in second.rows()] == [
        "network.8.weight", "network.8.bias", "network.9.weight", "network.9.bias",
    ]  # fmt: skip


@torch.no_grad()
def test_activity_is_that_of_what_is_read_and_leaves_statistics_alone():
    network = network_of("resnet-d1w4").train()
    layer = unit_layers(network)[1]
    images = torch.rand(6, *SIZE[1:])
    block = network.module(3)[0]
    statistics = [buffer.clone() for buffer in network.buffers()]
    hidden = block.convolution1(network.module(2)(network.module(1)(images)))
    mean, variance = hidden.mean((0, 2, 3)), hidden.var((0, 2, 3), correction=0)
    shape = (1, -1, 1, 1)
    normalised = (hidden - mean.view(shape)) / (variance.view(shape) + 1e-5).sqrt()
    for buffer, value in zip(network.buffers(), statistics, strict=True):
        buffer.copy_(value)
    found = activity(network, [layer], images)[0]
    torch.testing.assert_close(found[:, 0, 0], normalised.relu().mean((0, 2, 3)))
    for buffer, value in zip(network.buffers(), statistics, strict=True):
        assert torch.equal(buffer, value)


def test_a_layer_that_is_frozen_shared_or_computed_is_left_out():
    frozen = frozennet(*SIZE)
    assert [layer.incoming for layer in unit_layers(frozen)] == ["numbered.1.0"]
    twice = nn.Linear(4, 4)
    shared = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), twice, nn.ReLU(), twice, nn.ReLU(),
        nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 10),
    )  # fmt: skip
    assert [layer.incoming for layer in unit_layers(Foreign(shared))] == ["network.7"]
    computed = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), normednet(*SIZE))
    with pytest.raises(UserError, match="network Sequential: no hidden units are known"):
        unit_layers(Foreign(computed))


@pytest.mark.parametrize(
    "between",
    [
        (nn.LayerNorm(6), nn.ReLU(), nn.Flatten()),  # over the width, which is 6 as well
        (nn.Flatten(), nn.BatchNorm1d(216), nn.ReLU()),
        (nn.ReLU(), nn.BatchNorm2d(6), nn.Flatten()),
        (nn.Flatten(),),
        (nn.Softmax(1), nn.Flatten()),
    ],
    ids=lambda layers: type(layers[0]).__name__,
)
def test_what_mixes_units_or_is_no_activation_is_passed_over(between):
    layers = [nn.Conv2d(1, 6, 3), *between, nn.Linear(216, 5), nn.ReLU(), nn.Linear(5, 10)]
    found = unit_layers(Foreign(nn.Sequential(*layers)))
    assert [layer.incoming for layer in found] == [f"network.{len(between) + 1}"]


def test_a_network_that_cannot_be_followed_is_named():
    with pytest.raises(UserError, match=r"Tokens: no hidden units .* pass of Tokens: "):
        unit_layers(Foreign(Tokens(*SIZE)))
