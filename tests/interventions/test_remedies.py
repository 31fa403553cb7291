"""Starts that are remedies: each against its formula, by hand, and what it leaves as it was."""

import math
import re
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrizations

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.models import masks
from plasticity.models.network import Foreign, initialise
from plasticity.runs import SpellingError, models, starts

LAYERS = ["shrink0.3-noise0.01", "dash0.3", "dash0.3-eval", "fire", "rescale"]
"""Those that change layers, and leave normalisation as it is."""
REMEDIES = ["shrink0.4-fresh0.1", "shrink0.2-init", *LAYERS]
NETWORKS = ["resnet-d1w2", "resnet20-w2", "vit-p4d2w8", "mlp-d2w8"]


def drawn(model, purpose="initialisation"):
    network = models.parse(model)(3, 1, 8, 8)
    initialise(network, torch_generator(0, purpose))
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


# Shrink and perturb


@pytest.mark.parametrize("model", NETWORKS)
def test_a_fresh_draw_is_added_and_statistics_are_its(model):
    network = trained(model)
    before = copy(network)
    after = apply("shrink0.4-fresh0.1", network)
    fresh = copy(drawn_by_start(model))
    parameters = {name for name, _ in network.named_parameters()}
    for name, value in after.items():
        if name in parameters:
            close(value, 0.4 * before[name] + 0.1 * fresh[name])
        else:
            assert torch.equal(value, fresh[name])


def drawn_by_start(model):
    network = models.parse(model)(3, 1, 8, 8)
    initialise(network, torch_generator(0, "start", 2))
    return network


@pytest.mark.parametrize("model", NETWORKS)
def test_noise_is_gaussian_and_of_every_layer(model):
    network = trained(model)
    before = copy(network)
    shrunk = apply("shrink0.5-noise0", network)
    network.load_state_dict(before)
    after = apply("shrink0.5-noise2", network)
    weights = list(masks.prunable(network))
    biases = [name.replace("weight", "bias") for name in weights]
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {*weights, *(name for name in biases if name in before)}
    noise = torch.cat([(after[name] - before[name] / 2).flatten() / 2 for name in weights])
    assert all(torch.equal(shrunk[name], before[name] / 2) for name in weights)
    assert float(noise.mean()) == pytest.approx(0, abs=4 / math.sqrt(len(noise)))
    assert float(noise.std()) == pytest.approx(1, abs=4 / math.sqrt(2 * len(noise)))
    assert float((noise.abs() < 1).float().mean()) == pytest.approx(0.683, abs=0.05)


def test_it_is_mixed_with_the_initialisation():
    network, layer = linear([[1.0, -2.0]], bias=[8.0])
    initial, _ = linear([[5.0, 6.0]], bias=[0.0])
    apply("shrink0.25-init", network, initial=initial)
    assert layer.weight.tolist() == [[4.0, 4.0]]
    assert layer.bias.tolist() == [2.0]


@pytest.mark.parametrize("model", NETWORKS)
def test_the_ends_of_that_are_the_stage_before_and_the_initialisation(model):
    network, initial = trained(model), drawn(model)
    before, first = copy(network), copy(initial)
    assert same(before, apply("shrink1-init", network, initial=initial))
    after = apply("shrink0-init", network, initial=initial)
    parameters = {name for name, _ in network.named_parameters()}
    assert same(after, {name: (first if name in parameters else before)[name] for name in after})
    assert same(first, copy(initial))


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


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


# Rescaling


def test_a_weight_is_scaled_to_the_norm_it_had():
    network, layer = linear([[3.0, 4.0]], bias=[7.0])
    apply("rescale", network, initial=linear([[10.0, 0.0]], bias=[1.0])[0])
    close(layer.weight, [[6.0, 8.0]])
    assert layer.bias.tolist() == [7.0]
    network, layer = linear([[0.0, 0.0]])
    apply("rescale", network, initial=linear([[10.0, 0.0]])[0])
    assert layer.weight.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("model", NETWORKS)
def test_every_layer_has_its_first_norm_and_its_direction(model):
    network, initial = trained(model), drawn(model)
    before, first = copy(network), copy(initial)
    after = apply("rescale", network, initial=initial)
    for name in masks.prunable(network):
        assert float(after[name].norm()) == pytest.approx(float(first[name].norm()), rel=1e-5)
        ratio = after[name] / before[name]
        assert float(ratio.max()) == pytest.approx(float(ratio.min()), rel=1e-5)


# All of them


@pytest.mark.parametrize("spelling", LAYERS)
@pytest.mark.parametrize("model", NETWORKS)
def test_normalisation_tokens_and_statistics_are_left(spelling, model):
    network = trained(model)
    before = copy(network)
    after = apply(spelling, network, initial=drawn(model))
    weights = set(masks.prunable(network))
    biases = {name.replace("weight", "bias") for name in weights}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert weights <= changed
    assert changed <= (weights | biases if "noise" in spelling or "dash" in spelling else weights)


@pytest.mark.parametrize("spelling", REMEDIES)
def test_the_same_each_time_whatever_the_memory_order_and_other_draws(spelling):
    network, initial = trained("resnet-d1w2"), drawn("resnet-d1w2")
    original = copy(network)
    identities = [id(parameter) for parameter in network.parameters()]
    first = apply(spelling, network, initial=initial)
    network.load_state_dict(original)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    network = network.to(memory_format=torch.channels_last)
    strides = [parameter.stride() for parameter in network.parameters()]
    again = apply(spelling, network, initial=initial)
    for name, value in first.items():
        close(again[name], value)
    assert torch.equal(torch.get_rng_state(), state)
    assert [parameter.stride() for parameter in network.parameters()] == strides
    assert [id(parameter) for parameter in network.parameters()] == identities
    network.load_state_dict(original)
    other = apply(spelling, network, initial=initial, seed=1)
    assert same(again, other) == ("-fresh" not in spelling and "-noise" not in spelling)


@pytest.mark.parametrize("spelling", REMEDIES)
def test_a_weight_that_is_computed_is_refused_or_its_parameters_are_changed(spelling):
    def made():
        layer = parametrizations.weight_norm(nn.Linear(64, 3))
        network = Foreign(nn.Sequential(nn.Flatten(), layer))
        network.build_anew = made
        return network

    if spelling not in LAYERS:
        network = made()
        before = copy(network)
        after = apply(spelling, network, initial=made())
        assert not any(torch.equal(before[name], after[name]) for name in before)
        return
    with pytest.raises(
        UserError, match=r"layer network\.1 of the network computes its weight from"
    ):
        apply(spelling, made(), initial=made())


def test_a_network_without_layers_is_refused():
    with pytest.raises(UserError, match="has no weights of convolutions, linear layers or"):
        apply("fire", Foreign(nn.LayerNorm(8)))


# How they are spelt


@pytest.mark.parametrize("spelling", [*REMEDIES, "dash0.05-alpha0.1-eval", "fire-n20", "dash1"])
def test_each_has_one_spelling(spelling):
    assert str(starts.parse(spelling)) == spelling
    assert starts.parse(spelling).facts.inherits


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("shrink0.4", "unknown start 'shrink0.4'"),
        ("shrink1.1-init", "factor: expected a number of at least 0 and of at most 1, got 1.1"),
        ("shrink-0.1-init", "factor: expected a number of at least 0 and of at most 1, got -0.1"),
        ("shrink.4-fresh.1", "is spelt 'shrink0.4-fresh0.1'"),
        ("shrink0.4-fresh-1", "scale: expected a number of at least 0"),
        ("shrink0.4-noise1e300", "std: expected a number of at least 0 and of at most 1000"),
        ("shrink0.4-initial", "unknown start"),
        ("shrink0.4-fresh0.1-init", "unknown start"),
        ("dash", "unknown start 'dash'"),
        ("dash2", "floor: expected a number of at least 0 and of at most 1, got 2.0"),
        ("dash0.3-alpha0", "alpha: expected a number above 0 and of at most 1, got 0.0"),
        ("dash0.3-alpha0.3", "is spelt 'dash0.3'"),
        ("dash0.3-eval-alpha0.5", "is spelt 'dash0.3-alpha0.5-eval'"),
        ("dash0.3-train", "is spelt 'dash0.3'"),
        ("dash0.3-test", "unknown start"),
        ("fire-n0", "iterations: expected a whole number of at least 1 and at most 1000, got 0"),
        ("fire-n10", "is spelt 'fire'"),
        ("fire10", "unknown start"),
        ("fire-n1.5", "unknown start"),
        ("rescale2", "unknown start"),
    ],
)
def test_another_spelling_is_refused(wrong, message):
    with pytest.raises(SpellingError, match=re.escape(message)):
        starts.parse(wrong)
