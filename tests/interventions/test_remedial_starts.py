"""Starts that are remedies: shrinking and rescaling by hand, and what each leaves as it was."""

import math
import re

import pytest
import torch
from remedied import NETWORKS, apply, close, copy, drawn, linear, same, trained
from torch import nn
from torch.nn.utils import parametrizations

from plasticity.core.errors import UserError
from plasticity.models import masks
from plasticity.models.network import Foreign
from plasticity.runs import SpellingError, starts

LAYERS = ["shrink0.3-noise0.01", "dash0.3", "dash0.3-eval", "fire", "rescale"]
"""Those that change layers, and leave normalisation as it is."""
REMEDIES = ["shrink0.4-fresh0.1", "shrink0.2-init", *LAYERS]


# Shrink and perturb


@pytest.mark.parametrize("model", NETWORKS)
def test_a_fresh_draw_is_added_and_statistics_are_its(model):
    network = trained(model)
    before = copy(network)
    after = apply("shrink0.4-fresh0.1", network)
    fresh = copy(drawn(model, "start", 2))
    parameters = {name for name, _ in network.named_parameters()}
    for name, value in after.items():
        if name in parameters:
            close(value, 0.4 * before[name] + 0.1 * fresh[name])
        else:
            assert torch.equal(value, fresh[name])


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
