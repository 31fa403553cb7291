"""Networks: their sizes and modules, and initialisation from an explicit generator."""

import math
from copy import deepcopy

import pytest
import torch
from torch import nn

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.models.network import Network, initialise
from plasticity.models.resnet import BasicBlock, Head, Style
from plasticity.models.vgg import Halving
from plasticity.models.vit import VisionTransformer
from plasticity.runs import models


def small(channels=3, classes=10):
    return models.parse("resnet-d1w4")(classes, channels, 32, 32)


def drawn(network, seed=0):
    initialise(network, torch_generator(seed, "test"))
    return network


def same(first, second):
    """Whether two networks have the same bits in all parameters and statistics."""
    first, second = first.state_dict(), second.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_resnet18_has_as_many_parameters_as_published():
    assert count(models.parse("resnet18")(10, 3, 32, 32)) == 11_173_962


@pytest.mark.parametrize(
    ("spelling", "size", "parameters"),
    [
        # kuangliu/pytorch-cifar, VGG16 with batch normalisation.
        ("vgg16", (10, 3, 32, 32), 14_728_266),
        # Touvron et al. 2021, DeiT-Ti (table 1: 5M), as counted in their public code.
        ("vit-p16d12w192", (1000, 3, 224, 224), 5_717_416),
        # By hand: weights and biases of 3,072 to 100 to 100 to 10 units.
        ("mlp-d2w100", (10, 3, 32, 32), 3_073 * 100 + 101 * 100 + 101 * 10),
        # The statistics and scales of 20 normalisations become as many biases of convolutions.
        ("resnet18-group", (10, 3, 32, 32), 11_173_962),
        ("resnet18-layer-leaky", (10, 3, 32, 32), 11_173_962),
        ("resnet18-nonorm", (10, 3, 32, 32), 11_173_962 - 4_800),
    ],
)
def test_families_have_as_many_parameters_as_published_or_counted(spelling, size, parameters):
    with torch.device("meta"):
        assert count(models.parse(spelling)(*size)) == parameters


@pytest.mark.parametrize(
    ("other", "spelling"),
    [
        ("resnet-d2w64-group", "resnet18-group"),
        ("resnet18-crelu-layer", "resnet18-layer-crelu"),
        ("resnet20-w16-relu-nonorm", "resnet20-nonorm"),
        ("resnet-d1w16-batch", "resnet-d1w16"),
    ],
)
def test_options_have_one_spelling(other, spelling):
    assert str(models.parse(spelling)) == spelling
    with pytest.raises(UserError, match=f"is spelt '{spelling}'"):
        models.parse(other)


@pytest.mark.parametrize(
    ("channels", "groups"), [(8, 1), (16, 1), (32, 2), (48, 3), (50, 2), (64, 4), (512, 32)]
)
def test_groups_have_at_least_16_channels(channels, groups):
    assert Style("group").normalised(channels).num_groups == groups
    assert Style("layer").normalised(channels).num_groups == 1


def test_crelu_keeps_both_signs():
    features = torch.tensor([[-1.0, 2.0]])[..., None, None]
    assert Style(activation="crelu").active(features).flatten().tolist() == [0, 2, 1, 0]
    leaky = Style(activation="leaky").active(features).flatten()
    assert leaky.tolist() == pytest.approx([-0.01, 2])


@pytest.mark.parametrize("pixels", [(6, 6), (7, 9), (2, 5)])
def test_halving_is_max_pooling(pixels):
    images = torch.randn(2, 3, *pixels, generator=torch_generator(0))
    assert torch.equal(Halving()(images), nn.functional.max_pool2d(images, 2))
    assert torch.equal(Halving()(images[..., :1]), images[..., :1])


def test_images_that_are_not_whole_patches_are_refused():
    with pytest.raises(UserError, match="12 x 10 pixels are not made of whole patches of 4 x 4"):
        models.parse("vit-p4d1w8")(10, 3, 12, 10)


def test_heads_have_at_least_64_features():
    heads = {
        width: VisionTransformer(2, 1, (4, 4), patch=4, depth=1, width=width)
        .numbered[1].attention.heads
        for width in (8, 64, 130, 192)
    }  # fmt: skip
    assert heads == {8: 1, 64: 1, 130: 2, 192: 3}


def test_a_vision_transformer_is_drawn_as_stated():
    network = drawn(models.parse("vit-p2d1w64")(10, 1, 16, 16))
    block, embedding = network.module(2), network.module(1)
    for weight in (block.hidden.weight, embedding.position, embedding.token):
        assert float(weight.detach().std()) == pytest.approx(
            0.02, rel=5 / math.sqrt(2 * weight.numel())
        )
    assert (block.hidden.bias == 0).all()
    assert embedding.projection.weight.abs().max() <= 1 / 2


def test_resnet18_is_depth_2_and_width_64():
    term = models.parse("resnet18")
    named, spelt = (
        term(10, 3, 32, 32),
        models.term("resnet", {"depth": 2, "width": 64})(10, 3, 32, 32),
    )
    shapes = {name: value.shape for name, value in named.state_dict().items()}
    assert shapes == {name: value.shape for name, value in spelt.state_dict().items()}
    assert (term.facts.depth, term.facts.width) == (2, 64)


def test_resnet20_has_as_many_parameters_as_counted_by_hand():
    network = models.parse("resnet20")(10, 3, 32, 32)
    assert count(network) == 272_474
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert sum(layer.weight.numel() for layer in layers) == 270_896
    # Twenty layers, and two shortcuts.
    assert len(layers) == 20 + 2


def test_resnet20_is_width_16():
    term = models.parse("resnet20")
    assert models.term("resnet20_of_width", {"width": 16}) == term
    assert (term.facts.depth, term.facts.width) == (3, 16)
    other = models.parse("resnet20-w4")
    assert (other.facts.depth, other.options["width"]) == (3, 4)


@pytest.mark.parametrize(
    ("spelling", "modules"),
    [
        ("resnet18", 6),
        ("resnet-d1w8", 6),
        ("resnet-d3w2", 6),
        ("resnet20", 5),
        ("resnet20-w2", 5),
        ("resnet-d1w2-group-crelu", 6),
        ("mlp-d3w4", 4),
        ("vit-p4d2w8", 4),
        ("vgg16", 6),
    ],
)
def test_the_numbered_modules_are_as_many_as_stated_and_hold_all_parameters(spelling, modules):
    term = models.parse(spelling)
    network = term(10, 3, 32, 32)
    assert len(network.numbered) == term.facts.count(**term.own) == modules
    numbered = [p for number in range(1, modules + 1) for p in network.module(number).parameters()]
    assert {id(p) for p in numbered} == {id(p) for p in network.parameters()}
    assert len(numbered) == len(list(network.parameters()))


def test_every_model_says_how_many_modules_it_has():
    for member in models.members.values():
        assert member.facts.modules is not None


@pytest.mark.parametrize("spelling", ["resnet18", "resnet20"])
def test_a_named_network_gives_logits_for_small_colour_images(spelling):
    network = models.parse(spelling)(10, 3, 32, 32).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_a_narrow_network_gives_logits_for_grey_images():
    network = models.parse("resnet-d1w8")(7, 1, 32, 32).eval()
    assert network(torch.zeros(3, 1, 12, 12)).shape == (3, 7)


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("resnet-d2w4", [(4, 16, 16), (4, 16, 16), (8, 8, 8), (16, 4, 4), (32, 2, 2), (10,)]),
        ("resnet20", [(16, 16, 16), (16, 16, 16), (32, 8, 8), (64, 4, 4), (10,)]),
        ("resnet20-w2", [(2, 16, 16), (2, 16, 16), (4, 8, 8), (8, 4, 4), (10,)]),
    ],
)
def test_the_modules_halve_the_resolution_and_double_the_channels(spelling, expected):
    network, features, shapes = (
        models.parse(spelling)(10, 3, 32, 32).eval(),
        torch.zeros(1, 3, 16, 16),
        [],
    )
    for module in network.numbered:
        features = module(features)
        shapes.append(tuple(features.shape[1:]))
    assert shapes == expected


def test_a_block_adds_its_input():
    block = BasicBlock(2, 2, stride=1).eval()
    nn.init.zeros_(block.convolution2.weight)
    images = torch.randn(1, 2, 4, 4, generator=torch_generator(0))
    assert torch.equal(block(images), images.relu())


def test_the_head_takes_the_mean_over_positions():
    head = Head(2, 3)
    features = torch.randn(5, 2, 3, 3, generator=torch_generator(0))
    expected = features.mean(dim=(2, 3)) @ head.weight.T + head.bias
    torch.testing.assert_close(head(features), expected)


# Initialisation


def test_a_generator_gives_the_same_network_each_time():
    assert same(drawn(small()), drawn(small()))


def test_another_seed_gives_another_network():
    assert not same(drawn(small(), 0), drawn(small(), 1))


def test_initialisation_does_not_change_between_versions():
    # A change here changes every result.
    weight = drawn(small()).module(6).weight
    expected = [-0.143981025, 0.165584326, 0.151922062]
    assert weight[0, :3].tolist() == pytest.approx(expected, abs=1e-7)


def test_the_first_paper_s_network_is_drawn_from_the_stated_formula_bit_for_bit():
    network, generator = drawn(small()), torch_generator(0, "test")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            for parameter in (layer.weight, layer.bias):
                if parameter is not None:
                    expected = torch.empty(parameter.shape).uniform_(
                        -bound, bound, generator=generator
                    )
                    assert torch.equal(parameter, expected)


def test_resnet20_is_drawn_from_a_normal_distribution():
    network, generator = (
        drawn(models.parse("resnet20-w8")(10, 3, 32, 32)),
        torch_generator(0, "test"),
    )
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        deviation = math.sqrt(2 / layer.weight[0].numel())
        expected = torch.empty(layer.weight.shape).normal_(0, deviation, generator=generator)
        assert torch.equal(layer.weight, expected)
        # The sample's mean and deviation are off by its size.
        weights = layer.weight.detach().double()
        assert abs(weights.mean()) < 5 * deviation / math.sqrt(weights.numel())
        assert weights.std() == pytest.approx(deviation, rel=5 / math.sqrt(2 * weights.numel()))
    assert (network.module(5).bias == 0).all()


def test_resnet20_is_drawn_anew_from_its_own_distribution():
    network = drawn(models.parse("resnet20-w2")(10, 3, 32, 32), 0)
    assert same(network.fresh(torch_generator(1, "test")), drawn(network, 1))


def test_initialisation_neither_heeds_nor_moves_the_global_generator():
    torch.manual_seed(1)
    first = drawn(small())
    torch.manual_seed(2)
    second, before = small(), torch.get_rng_state()
    initialise(second, torch_generator(0, "test"))
    assert same(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_are_uniform_within_the_stated_bound():
    network = drawn(models.parse("resnet-d1w16")(10, 3, 32, 32))
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        fan_in = layer.weight[0].numel()
        weights = layer.weight.detach().double().flatten()
        bound = 1 / math.sqrt(fan_in)
        assert weights.abs().max() <= bound
        assert weights.abs().max() > 0.95 * bound
        # A uniform distribution: no mean, a variance of a third of the squared bound. The sample's
        # deviate by its size.
        assert abs(weights.mean()) < 5 * bound / math.sqrt(3 * len(weights))
        assert weights.var() == pytest.approx(bound**2 / 3, rel=5 / math.sqrt(len(weights)))


def test_the_bound_is_that_of_the_framework_s_default():
    torch.manual_seed(0)
    layer = nn.Conv2d(16, 512, 3)
    assert layer.weight.abs().max().item() == pytest.approx(1 / math.sqrt(16 * 9), rel=1e-3)


def test_biases_are_within_the_bound_too():
    head = drawn(small(classes=1000)).module(6)
    bound = 1 / math.sqrt(32)
    assert 0.95 * bound < head.bias.abs().max() <= bound


@pytest.mark.parametrize("spelling", ["resnet-d1w4", "resnet20-w2"])
def test_normalisation_starts_as_the_identity(spelling):
    network = models.parse(spelling)(10, 3, 32, 32)
    network(torch.randn(4, 3, 8, 8))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.weight, 3)
            nn.init.constant_(layer.bias, 3)
    drawn(network)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all()
            assert (layer.bias == 0).all()
            assert (layer.running_mean == 0).all()
            assert (layer.running_var == 1).all()
            assert layer.num_batches_tracked == 0


@pytest.mark.parametrize("spelling", ["resnet-d1w4", "resnet20-w2"])
def test_a_draw_does_not_depend_on_the_memory_order(spelling):
    """As with reset: the same modules are drawn whether the network is channels-last or not."""
    one, other = (models.parse(spelling)(10, 3, 32, 32) for _ in range(2))
    assert same(drawn(one), drawn(other.to(memory_format=torch.channels_last)))


def test_a_layer_of_unknown_distribution_is_refused():
    network = nn.Sequential(nn.Linear(2, 3), nn.MultiheadAttention(4, 2))
    with pytest.raises(
        UserError, match="no initial distribution is known for its layer MultiheadAttention; give"
    ):
        initialise(network, torch_generator(0))


@pytest.mark.parametrize(
    "layer",
    [nn.PReLU(), nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.BatchNorm1d(3), nn.Bilinear(2, 2, 3),
     nn.BatchNorm1d(3, affine=False)],
)  # fmt: skip
def test_other_layers_are_reset_by_themselves(layer):
    """By draws of the generator that is given, and without moving torch's own."""
    changed = deepcopy(layer)
    for value in (*changed.parameters(), *changed.buffers()):
        value.data.add_(7)
    networks = [nn.Sequential(nn.Linear(2, 3), one, nn.Linear(2, 2)) for one in (layer, changed)]
    before = torch.get_rng_state()
    for network in networks:
        initialise(network, torch_generator(3))
    assert same(layer, changed)
    assert torch.equal(torch.get_rng_state(), before)


def test_layers_without_parameters_need_no_distribution():
    initialise(nn.Sequential(nn.ReLU(), nn.Identity(), nn.Flatten()), torch_generator(0))


def test_a_fresh_network_is_another_of_the_same_architecture():
    network = drawn(small(), 0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fresh = network.fresh(torch_generator(1, "test"))
    assert isinstance(fresh, Network)
    assert type(fresh) is type(network)
    assert same(fresh, drawn(small(), 1))
    assert all(torch.equal(network.state_dict()[name], before[name]) for name in before)
    assert not {p.data_ptr() for p in network.parameters()} & {
        p.data_ptr() for p in fresh.parameters()
    }
