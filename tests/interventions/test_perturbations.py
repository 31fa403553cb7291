"""Perturbations change what they say alone, whatever the order in memory."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from weights import (
    RESNET20,
    built,
    chance,
    layers,
    normal,
    pruned_layers,
    reordered,
    same,
    seeds,
)

from plasticity.core.rng import torch_generator
from plasticity.interventions import perturbations
from plasticity.interventions.perturbations import Ticket
from plasticity.models import masks

SCOPES = ["global", "layer", "filter"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """On networks this small several threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_ticket_remembers_the_initialisation():
    network = built()
    mask = masks.prune(masks.prunable(network), None, 0.2)
    ticket = Ticket.of(mask, network)
    with torch.no_grad():
        for value in network.state_dict().values():
            value.add_(1)
    fresh = built()
    assert ticket.mask is mask
    assert same(ticket.initial, masks.prunable(fresh))
    assert same(ticket.network, fresh.state_dict())


# Signs and magnitudes


@given(layers(), seeds)
def test_a_mixture_has_the_signs_of_one_and_the_magnitudes_of_the_other(weights, seed):
    signs = {
        name: torch.randn(v.shape, generator=torch_generator(seed)) for name, v in weights.items()
    }
    mixed = perturbations.mixed(signs, weights)
    for name in weights:
        assert torch.equal(mixed[name].abs(), weights[name].abs())
        assert (mixed[name][signs[name] < 0] <= 0).all()
        assert (mixed[name][signs[name] > 0] >= 0).all()


def test_a_zero_has_a_plus_and_stays_one_without_a_sign():
    signs = {"w": torch.tensor([[0.0, -0.0, -1.0, 1.0, -1.0]])}
    magnitudes = {"w": torch.tensor([[-2.0, -3.0, 0.0, -0.0, 4.0]])}
    mixed = perturbations.mixed(signs, magnitudes)["w"]
    assert mixed.tolist() == [[2.0, 3.0, 0.0, 0.0, -4.0]]
    assert torch.signbit(mixed).tolist() == [[False, False, False, False, True]]


@given(layers())
def test_a_mixture_of_one_thing_is_that_thing(weights):
    assert same(perturbations.mixed(weights, weights), weights)


# Shuffles


def values(weights, kept, scope, signed):
    """What a shuffle must leave as it is: the values in each group, as multisets."""
    found = Counter()
    for layer, name in enumerate(weights):
        for channel, (row, mask) in enumerate(zip(weights[name], kept[name], strict=True)):
            place = {"global": (), "layer": (layer,), "filter": (layer, channel)}[scope]
            for index, value in enumerate(row[mask].tolist()):
                # Where signs stay, each place keeps its own.
                sign = (layer, channel, index, value >= 0) if signed else ()
                found[place, value] += 1
                found[sign] += 1
    return found


@pytest.mark.parametrize("same_sign", [False, True])
@pytest.mark.parametrize("scope", SCOPES)
@given(pruned_layers(), seeds)
def test_a_shuffle_keeps_the_values_of_each_group(scope, same_sign, pruned, seed):
    weights, kept = pruned
    changed = perturbations.shuffled(weights, kept, scope, same_sign, torch_generator(seed))
    assert list(changed) == list(weights)
    assert values(changed, kept, scope, same_sign) == values(weights, kept, scope, same_sign)
    for name in weights:
        assert changed[name].shape == weights[name].shape
        assert (changed[name][~kept[name]] == 0).all()


@pytest.mark.parametrize("same_sign", [False, True])
@pytest.mark.parametrize("scope", SCOPES)
def test_a_shuffle_moves_nearly_everything(scope, same_sign):
    weights = normal([(8, 6, 3, 3), (5, 60)])
    kept = chance(weights)
    changed = perturbations.shuffled(weights, kept, scope, same_sign, torch_generator(0))
    moved = [(changed[n] != weights[n])[kept[n]] for n in weights]
    assert torch.cat(moved).double().mean() > 0.9
    crossed = set(changed["0.weight"][kept["0.weight"]].tolist()) - set(
        weights["0.weight"].reshape(-1).tolist()
    )
    assert bool(crossed) == (scope == "global")
    again = perturbations.shuffled(weights, kept, scope, same_sign, torch_generator(1))
    assert not same(again, changed)


@pytest.mark.parametrize("scope", SCOPES)
def test_every_permutation_within_groups_is_as_likely(scope):
    weights = {"w": torch.tensor([[1.0, 2.0, 3.0]])}
    kept = {"w": torch.ones(1, 3, dtype=torch.bool)}
    generator = torch_generator(0)
    found = Counter(
        tuple(perturbations.shuffled(weights, kept, scope, False, generator)["w"][0].tolist())
        for _ in range(1200)
    )
    assert len(found) == 6
    assert min(found.values()) > 150  # 200 +- 13


# Noise and sizes


def test_noise_has_the_deviation_that_was_asked_for():
    weights = normal([(64, 64, 3, 3), (200, 100)])
    kept = chance(weights)
    stds = {"0.weight": 0.5, "1.weight": 2.0}
    changed = perturbations.noisy(weights, kept, stds, 3.0, torch_generator(0))
    for name, std in stds.items():
        noise = (changed[name] - weights[name])[kept[name]]
        assert noise.std() == pytest.approx(3 * std, rel=0.03)
        assert noise.mean() == pytest.approx(0, abs=0.1 * std)
        assert (changed[name][~kept[name]] == 0).all()


def test_what_a_weight_gets_of_noise_does_not_depend_on_the_others():
    weights = normal([(4, 5), (3, 4)])
    stds = perturbations.stds(weights)
    kept = chance(weights)
    everything = {name: torch.ones_like(mask) for name, mask in kept.items()}
    some = perturbations.noisy(weights, kept, stds, 1.0, torch_generator(0))
    every = perturbations.noisy(weights, everything, stds, 1.0, torch_generator(0))
    assert all(torch.equal(some[n][kept[n]], every[n][kept[n]]) for n in weights)


def test_a_deviation_is_that_of_the_numbers_of_a_layer():
    weights = {"a": torch.tensor([[1.0, 3.0], [1.0, 3.0]]), "b": torch.tensor([[5.0]])}
    assert perturbations.stds(weights) == {"a": 1.0, "b": 0.0}


def test_the_size_of_a_perturbation_is_the_deviation_of_what_it_adds():
    before = {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor([[3.0, 4.0]])}
    after = {"b": torch.tensor([[9.0, 4.5]]), "a": torch.tensor([[2.0, 4.0]])}
    kept = {"a": torch.tensor([[True, True]]), "b": torch.tensor([[False, True]])}
    # 1, 2 and 0.5 over the layers together, and not the pruned 6.
    mean = 3.5 / 3
    expected = math.sqrt(((1 - mean) ** 2 + (2 - mean) ** 2 + (0.5 - mean) ** 2) / 3)
    assert perturbations.effective_size(before, after, kept) == pytest.approx(expected, rel=1e-12)
    assert perturbations.effective_size(before, before, kept) == 0


def test_the_size_of_noise_is_its_scale():
    weights = normal(RESNET20)
    kept = chance(weights)
    ones = dict.fromkeys(weights, 1.0)
    changed = perturbations.noisy(weights, kept, ones, 0.5, torch_generator(0))
    assert perturbations.effective_size(weights, changed, kept) == pytest.approx(0.5, rel=0.01)


PERTURBATIONS = {
    "mixed": lambda weights, kept: perturbations.mixed(normal([(3, 4, 2, 2), (5, 6)], 1), weights),
    "noisy": lambda weights, kept: perturbations.noisy(
        weights, kept, perturbations.stds(weights), 1.0, torch_generator(0)
    ),
    **{
        f"{scope} {signed}": lambda weights, kept, scope=scope, signed=signed: (
            perturbations.shuffled(weights, kept, scope, signed, torch_generator(0))
        )
        for scope in SCOPES
        for signed in (False, True)
    },
}


@pytest.mark.parametrize("perturbed", PERTURBATIONS.values(), ids=PERTURBATIONS)
def test_a_perturbation_is_new_and_does_not_depend_on_the_order_in_memory(perturbed):
    weights = normal([(3, 4, 2, 2), (5, 6)])
    kept = chance(weights)
    before = {name: value.clone() for name, value in weights.items()}
    changed = perturbed(weights, kept)
    assert same(weights, before)
    assert not same(changed, weights)
    assert same(perturbed(reordered(weights), kept), changed)
    assert same(perturbed(reordered(weights), reordered(kept)), changed)


@pytest.mark.parametrize("perturbed", PERTURBATIONS.values(), ids=PERTURBATIONS)
def test_a_perturbation_neither_heeds_nor_moves_the_global_generator(perturbed):
    weights = normal([(3, 4, 2, 2), (5, 6)])
    torch.manual_seed(1)
    first = perturbed(weights, chance(weights))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert same(perturbed(weights, chance(weights)), first)
    assert torch.equal(torch.get_rng_state(), before)
