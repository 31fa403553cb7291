"""DASH and FIRE, each against its formula, by hand."""

import math
from itertools import product

import pytest
import torch
from remedied import NETWORKS, apply, batches, close, copy, linear, row, same, trained
from torch import nn
from torch.nn.functional import cross_entropy

from plasticity.models import masks
from plasticity.models.network import Foreign

# DASH


@pytest.mark.parametrize(
    ("start", "weight", "bias"),
    [
        ("dash0.3", [[0.18, 0.24], [-0.32, 0.24]], [math.sqrt(0.02), 0.0]),
        ("dash0.7", [[0.21, 0.28], [-0.32, 0.24]], [math.sqrt(0.02), 0.0]),
        ("dash0.9", [[0.27, 0.36], [-0.36, 0.27]], [0.18, 0.0]),
    ],
)
def test_rows_and_a_bias_are_shrunk_by_their_cosines(start, weight, bias):
    """Minus the gradient is along (1, 0) in the row of the label, (-1, 0) in the other."""
    network, layer = linear([[0.3, 0.4], [-0.4, 0.3]], bias=[0.2, 0.0])
    apply(start, network, data=[row(1, 0)])
    close(layer.weight, weight)
    close(layer.bias, bias)


def test_what_points_the_other_way_is_shrunk_to_the_floor():
    network, layer = linear([[-3.0, 4.0], [4.0, 3.0]])
    apply("dash0.3", network, data=[row(1, 0)])
    close(layer.weight, [[-0.9, 1.2], [1.2, 0.9]])


@pytest.mark.parametrize(("start", "first"), [("dash0.3", 0.7), ("dash0.3-alpha0.5", 0.5)])
def test_gradients_are_averaged_exponentially(start, first):
    """Both batches have the same logits: minus the gradients are along (`first`, 1) together."""
    network, layer = linear([[3.0, 3.0], [-3.0, -3.0]])
    apply(start, network, data=[row(1, 0), row(0, 1)])
    cosine = (first + 1) / math.sqrt(2) / math.hypot(first, 1)
    close(layer.weight, [[3 * cosine] * 2, [-3 * cosine] * 2])


@pytest.mark.parametrize("mode", ["", "-eval"])
def test_a_convolution_is_shrunk_kernel_by_kernel(mode):
    network = trained("resnet-d1w2").train(not mode)
    before = copy(network)
    images, labels = batches(1)[0]
    cross_entropy(network(images), labels).backward()
    gradients = {name: one.grad for name, one in network.named_parameters()}
    network.zero_grad()
    network.load_state_dict(before)
    after = apply(f"dash0.3{mode}", network, data=[(images, labels)])
    shrunk = set()
    for name in masks.prunable(network):
        if before[name].ndim != 4:
            continue
        for kernel in product(*map(range, before[name].shape[:2])):
            weight, gradient = (part[name][kernel].flatten() for part in (before, gradients))
            cosine = -float(weight @ gradient / weight.norm() / gradient.norm())
            scale = min(1, max(0.3, cosine))
            close(after[name][kernel], scale * before[name][kernel])
            shrunk.add(round(scale, 3))
    assert len(shrunk) > 5


def test_a_kernel_of_one_pixel_is_kept_or_shrunk_to_the_floor():
    network = trained("resnet-d1w2")
    name = "numbered.2.0.shortcut.0.weight"
    before, after = network.state_dict()[name].clone(), apply("dash0.25", network)[name]
    assert set((after / before).unique().tolist()) == {0.25, 1.0}


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("mode", ["", "-eval"])
def test_a_floor_of_one_keeps_everything(model, mode):
    network = trained(model)
    before = copy(network)
    assert same(before, apply(f"dash1-alpha0.1{mode}", network))
    assert all(parameter.grad is None for parameter in network.parameters())
    assert network.training


def test_what_the_pass_draws_is_not_missed_afterwards():
    network, _ = linear([[3.0, 3.0], [-3.0, -3.0]])
    network.network.insert(1, nn.Dropout(0.5))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    apply("dash0.3", network, data=[row(1, 0)])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_frozen_layer_and_one_without_a_direction():
    network, layer = linear([[0.3, 0.4], [-0.4, 0.3]], bias=[0.2, 0.0])
    layer.weight.requires_grad_(False)
    apply("dash0.3", network, data=[row(1, 0)])
    close(layer.weight, [[0.3, 0.4], [-0.4, 0.3]])
    close(layer.bias, [math.sqrt(0.02), 0])
    layer.bias.requires_grad_(False)
    apply("dash0.3", network, data=[row(1, 0)])
    close(layer.bias, [math.sqrt(0.02), 0])
    network, layer = linear([[3.0, 4.0], [0.0, 0.0]])
    apply("dash0.3", network, data=[row(0, 0)])
    close(layer.weight, [[0.9, 1.2], [0.0, 0.0]])


# FIRE


@pytest.mark.parametrize(
    ("start", "expected"), [("fire-n1", (0.792, 0.944)), ("fire-n2", (0.9396, 0.9954))]
)
def test_each_iteration_brings_singular_values_nearer_to_one(start, expected):
    network, layer = linear([[3.0, 0.0], [0.0, 4.0]])
    apply(start, network)
    assert layer.weight.diagonal().tolist() == pytest.approx(expected, abs=1e-4)
    assert layer.weight[0, 1] == layer.weight[1, 0] == 0


@pytest.mark.parametrize("model", NETWORKS)
def test_taps_have_equal_singular_values_and_the_directions_they_had(model):
    network = trained(model)
    before, after = copy(network), apply("fire-n60", network)
    for name in masks.prunable(network):
        outputs, inputs, *kernel = after[name].shape
        taps = [part[name].reshape(outputs, inputs, -1).unbind(2) for part in (before, after)]
        size = math.sqrt(outputs / inputs) / math.prod(kernel)
        for old, new in zip(*taps, strict=True):
            u, _, v = torch.linalg.svd(old.double(), full_matrices=False)
            torch.testing.assert_close(new.double(), size * u @ v, atol=1e-3 * size, rtol=1e-3)


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.Conv2d(1, 4, 3), 2 / 9),
        (nn.Conv2d(4, 4, 3, groups=4), 1 / 9),
        (nn.Conv2d(4, 8, (3, 2), groups=2), math.sqrt(2) / 6),
        (nn.ConvTranspose2d(2, 8, 2), 2 / 4),
        (nn.Conv1d(4, 4, 5), 1 / 5),
    ],
)
def test_kernels_of_any_shape_and_groups_of_channels(layer, size):
    network = Foreign(nn.Sequential(layer))
    apply("fire-n60", network)
    groups = layer.weight.detach().reshape(layer.groups, -1, *layer.weight.shape[1:]).flatten(3)
    values = torch.linalg.svdvals(groups.permute(0, 3, 1, 2))
    close(values, torch.full_like(values, size))


def test_a_weight_of_zeros_stays_so():
    network, layer = linear([[0.0, 0.0], [0.0, 0.0]])
    apply("fire", network)
    assert layer.weight.tolist() == [[0.0, 0.0], [0.0, 0.0]]
