"""Starts: what is drawn anew between two stages, and that nothing else moves."""

import pytest
import torch

from plasticity.models.network import initialise
from plasticity.spec import models, starts
from plasticity.streams import torch_generator


@pytest.fixture
def trained():
    """A network whose every number is unlike a fresh one's."""
    network = models.parse("resnet-d1w2")(3, 1)
    initialise(network, torch_generator(0, "initialisation"))
    with torch.no_grad():
        for value in network.state_dict().values():
            value.add_(5)
    return network


def apply(spelling, network, seed=0):
    """The numbers of `network` after a start, as a job would apply it."""
    with torch.no_grad():
        starts.parse(spelling)(network, torch_generator(seed, "start", 2))
    return copy(network)


def copy(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(before, after):
    """The numbers of the modules in which anything differs, and of those in which all does."""
    differs = {name: not torch.equal(before[name], after[name]) for name in before}
    number = {name: int(name.split(".")[1]) + 1 for name in before}
    some = {number[name] for name in before if differs[name]}
    return some, some - {number[name] for name in before if not differs[name]}


@pytest.mark.parametrize("spelling", ["keep", "init"])
def test_nothing_changes(trained, spelling):
    before = copy(trained)
    assert changed(before, apply(spelling, trained)) == (set(), set())


@pytest.mark.parametrize("modules", [(1,), (6,), (5, 6), (1, 3), (2, 3, 4, 5, 6)])
def test_a_reset_changes_its_modules_and_no_others(trained, modules):
    """Parameters, running statistics and their counts: all of a module or nothing of it."""
    before = copy(trained)
    after = apply("reset" + "+".join(map(str, modules)), trained)
    assert changed(before, after) == (set(modules), set(modules))


def test_a_reset_brings_statistics_back_to_their_start(trained):
    after = apply("reset2", trained)
    assert (after["numbered.1.0.normalisation1.running_mean"] == 0).all()
    assert (after["numbered.1.0.normalisation1.running_var"] == 1).all()
    assert after["numbered.1.0.normalisation1.num_batches_tracked"] == 0


def test_a_module_has_the_same_draw_whichever_others_are_reset_with_it(trained):
    original = copy(trained)
    draws = []
    for spelling in ("reset5", "reset5+6", "reset1+2+3+4+5+6"):
        trained.load_state_dict(original)
        draws.append(apply(spelling, trained))
    fifth = [name for name in original if name.startswith("numbered.4.")]
    assert fifth
    for name in fifth:
        assert torch.equal(draws[0][name], draws[1][name])
        assert torch.equal(draws[0][name], draws[2][name])


def test_all_modules_reset_are_a_fresh_network(trained):
    after = apply("reset1+2+3+4+5+6", trained, seed=4)
    fresh = models.parse("resnet-d1w2")(3, 1)
    initialise(fresh, torch_generator(4, "start", 2))
    assert changed(copy(fresh), after) == (set(), set())


def test_another_seed_draws_otherwise(trained):
    first = apply("reset6", trained, seed=0)
    assert changed(first, apply("reset6", trained, seed=1))[0] == {6}


def test_a_draw_does_not_depend_on_the_memory_order(trained):
    original = copy(trained)
    first = apply("reset2+3", trained)
    trained.load_state_dict(original)
    second = apply("reset2+3", trained.to(memory_format=torch.channels_last))
    assert changed(first, second) == (set(), set())


def test_a_reset_neither_heeds_nor_moves_the_global_generator(trained):
    original = copy(trained)
    torch.manual_seed(1)
    first = apply("reset3", trained)
    trained.load_state_dict(original)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert changed(first, apply("reset3", trained)) == (set(), set())
    assert torch.equal(torch.get_rng_state(), before)


def test_the_optimiser_s_view_of_the_parameters_stays(trained):
    """A reset works in place: an optimiser built before still holds the network's parameters."""
    before = [id(p) for p in trained.parameters()]
    apply("reset1+6", trained)
    assert [id(p) for p in trained.parameters()] == before
    assert all(p.requires_grad for p in trained.parameters())
