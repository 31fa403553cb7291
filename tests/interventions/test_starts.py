"""Starts: what is drawn anew between two stages, and that nothing else moves."""

import inspect
import re

import pytest
import torch

from plasticity.core.rng import torch_generator
from plasticity.interventions.perturbations import Ticket
from plasticity.models import masks
from plasticity.models.network import initialise
from plasticity.runs import SpellingError, models, starts


@pytest.fixture
def trained():
    """A network whose every number is unlike a fresh one's."""
    network = models.parse("resnet-d1w2")(3, 1, 12, 12)
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
    fresh = models.parse("resnet-d1w2")(3, 1, 12, 12)
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


# Tickets

PERTURBED = [
    "ticket2-signs-k-magnitudes-init",
    "ticket2-signs-init-magnitudes-k",
    "ticket2-signs-init-magnitudes-init",
    "ticket2-signs-k-magnitudes-fresh",
    "ticket2-signs-fresh-magnitudes-fresh",
    "ticket2-shuffle-global",
    "ticket2-shuffle-layer",
    "ticket2-shuffle-filter",
    "ticket2-signshuffle-global",
    "ticket2-signshuffle-layer",
    "ticket2-signshuffle-filter",
    "ticket2-noise0.5",
]
TICKETS = ["ticket2", *PERTURBED, "ticket2-random", "rewind"]
DRAWN = [s for s in TICKETS if any(w in s for w in ("fresh", "shuffle", "noise", "random"))]


@pytest.fixture
def initial():
    """The network of `rewound` as it was initialised."""
    network = models.parse("resnet-d1w2")(3, 1, 12, 12)
    initialise(network, torch_generator(0, "initialisation"))
    return network


@pytest.fixture
def rewound(initial):
    """A network after some steps: every number has moved, some weights across zero."""
    network = models.parse("resnet-d1w2")(3, 1, 12, 12)
    network.load_state_dict(initial.state_dict())
    generator = torch_generator(0, "steps")
    with torch.no_grad():
        for value in network.state_dict().values():
            value.add_(1 + torch.rand(value.shape, generator=generator).to(value.dtype))
        for value in masks.prunable(network).values():
            value.sub_(1.5)
    return network


@pytest.fixture
def ticket(initial, rewound):
    first = masks.prune(masks.prunable(rewound), None, 0.2)
    return Ticket.of(masks.prune(masks.prunable(rewound), first, 0.2), initial)


def take(spelling, network, ticket, seed=0):
    """The numbers of `network` after a ticket's start, and the masks to train with."""
    with torch.no_grad():
        kept = starts.parse(spelling)(network, torch_generator(seed, "start", 2), ticket)
    return copy(network), kept


def survivors(state, kept):
    return {name: state[name][mask] for name, mask in kept.items()}


def multiset(values):
    return torch.cat([value.reshape(-1) for value in values]).sort().values


def test_every_ticket_is_tested_here():
    declared = {name for name, member in starts.members.items() if member.facts.ticket}
    assert {starts.parse(spelling).member.name for spelling in TICKETS} == declared


@pytest.mark.parametrize("spelling", TICKETS)
def test_pruned_weights_are_zero_and_nothing_but_weights_is_touched(spelling, rewound, ticket):
    rest = ticket.network if spelling == "rewind" else copy(rewound)
    after, kept = take(spelling, rewound, ticket)
    assert list(kept) == list(masks.prunable(rewound))
    for name, value in after.items():
        if name in kept:
            assert (value[~kept[name]] == 0).all()
            assert not torch.signbit(value[~kept[name]]).any()
        else:
            assert torch.equal(value, rest[name])


@pytest.mark.parametrize("spelling", TICKETS)
def test_the_mask_is_that_of_the_level_but_for_the_random_one(spelling, rewound, ticket):
    given = {name: mask.clone() for name, mask in ticket.mask.items()}
    _, kept = take(spelling, rewound, ticket)
    differs = [name for name in given if not torch.equal(kept[name], given[name])]
    assert bool(differs) == (spelling == "ticket2-random")
    assert all(kept[name].sum() == given[name].sum() for name in given)
    assert all(torch.equal(ticket.mask[name], given[name]) for name in given)


@pytest.mark.parametrize("spelling", ["ticket2", "ticket2-random"])
def test_survivors_stay_as_they_were(spelling, rewound, ticket):
    before = copy(rewound)
    after, kept = take(spelling, rewound, ticket)
    for name, mask in kept.items():
        assert torch.equal(after[name][mask], before[name][mask])


@pytest.mark.parametrize("spelling", PERTURBED)
def test_a_perturbation_changes_survivors_in_every_layer(spelling, rewound, ticket):
    before = copy(rewound)
    after, kept = take(spelling, rewound, ticket)
    # Of a handful of survivors a shuffle may leave each where it is.
    large = {name: mask for name, mask in kept.items() if mask.sum() > 20}
    assert len(large) > 5
    for name, mask in large.items():
        assert not torch.equal(after[name][mask], before[name][mask])


def test_a_rewound_network_is_the_initial_one_under_the_mask(rewound, ticket):
    after, kept = take("rewind", rewound, ticket)
    for name, value in ticket.network.items():
        expected = torch.where(kept[name], value, 0.0) if name in kept else value
        assert torch.equal(after[name], expected)


@pytest.mark.parametrize("signs", ["k", "init", "fresh"])
@pytest.mark.parametrize("magnitudes", ["k", "init", "fresh"])
def test_signs_and_magnitudes_come_from_where_they_are_said_to(signs, magnitudes, rewound, ticket):
    if signs == magnitudes == "k":
        return
    fresh = rewound.fresh(torch_generator(0, "start", 2))
    sources = {"k": copy(rewound), "init": ticket.initial, "fresh": copy(fresh)}
    after, kept = take(f"ticket2-signs-{signs}-magnitudes-{magnitudes}", rewound, ticket)
    for name, mask in kept.items():
        assert torch.equal(after[name][mask].abs(), sources[magnitudes][name][mask].abs())
        assert torch.equal(after[name][mask].sign(), sources[signs][name][mask].sign())


def test_a_plain_ticket_has_no_other_spelling():
    for share in ("", "-p0.3"):
        message = f"are the plain ticket, which is spelt ticket8{share}"
        with pytest.raises(SpellingError, match=re.escape(message)):
            starts.parse(f"ticket8-signs-k-magnitudes-k{share}")


@pytest.mark.parametrize("word", ["shuffle", "signshuffle"])
@pytest.mark.parametrize("scope", ["global", "layer", "filter"])
def test_a_shuffle_stays_within_its_scope(word, scope, rewound, ticket):
    before = survivors(copy(rewound), ticket.mask)
    after = survivors(take(f"ticket2-{word}-{scope}", rewound, ticket)[0], ticket.mask)
    assert torch.equal(multiset(after.values()), multiset(before.values()))
    same = [torch.equal(multiset([after[n]]), multiset([before[n]])) for n in before]
    assert all(same) == (scope != "global")
    signs = [torch.equal(after[n] < 0, before[n] < 0) for n in before]
    assert all(signs) == (word == "signshuffle")


def test_noise_is_measured_in_deviations_of_the_initial_layer(rewound, ticket):
    before = copy(rewound)
    after, kept = take("ticket2-noise2", rewound, ticket)
    name = max(kept, key=lambda name: kept[name].numel())
    noise = (after[name] - before[name])[kept[name]]
    expected = 2 * ticket.initial[name].std(correction=0)
    assert noise.numel() > 1000
    assert noise.std() == pytest.approx(float(expected), rel=0.05)


@pytest.mark.parametrize("spelling", TICKETS)
def test_another_seed_draws_another_ticket(spelling, rewound, ticket):
    original = copy(rewound)
    first, _ = take(spelling, rewound, ticket)
    rewound.load_state_dict(original)
    again, _ = take(spelling, rewound, ticket)
    assert changed(first, again) == (set(), set())
    rewound.load_state_dict(original)
    other, _ = take(spelling, rewound, ticket, seed=1)
    assert bool(changed(first, other)[0]) == (spelling in DRAWN)


@pytest.mark.parametrize("spelling", TICKETS)
def test_a_ticket_does_not_depend_on_the_memory_order(spelling, rewound, ticket):
    original = copy(rewound)
    first, _ = take(spelling, rewound, ticket)
    rewound.load_state_dict(original)
    rewound = rewound.to(memory_format=torch.channels_last)
    strides = [p.stride() for p in rewound.parameters()]
    second, _ = take(spelling, rewound, ticket)
    assert changed(first, second) == (set(), set())
    assert [p.stride() for p in rewound.parameters()] == strides


@pytest.mark.parametrize("spelling", TICKETS)
def test_a_ticket_leaves_the_ticket_and_the_parameters_where_they_are(spelling, rewound, ticket):
    given = {name: value.clone() for name, value in ticket.network.items()}
    before = [id(p) for p in rewound.parameters()]
    take(spelling, rewound, ticket)
    assert [id(p) for p in rewound.parameters()] == before
    assert all(p.requires_grad for p in rewound.parameters())
    assert all(torch.equal(ticket.network[name], value) for name, value in given.items())
    assert all(torch.equal(value, given[name]) for name, value in ticket.initial.items())


@pytest.mark.parametrize(
    "spelling",
    ["ticket2", "ticket2-signs-k-magnitudes-init", "ticket2-signs-init-magnitudes-k"],
)
def test_without_a_stage_before_k_is_the_initialisation(spelling, initial, ticket):
    after, kept = take(spelling, initial, ticket)
    assert all(torch.equal(after[n][m], ticket.initial[n][m]) for n, m in kept.items())


# How tickets are spelt


def test_facts_of_tickets():
    for member in starts.members.values():
        facts = member.facts
        takes_one = "ticket" in inspect.signature(member.function).parameters
        assert facts.ticket == takes_one
        assert facts.prunes == ("level" in member.template.kinds)
        if facts.prunes:
            assert facts.inherits is None
        if facts.rewinds:
            assert facts.inherits


@pytest.mark.parametrize("spelling", TICKETS)
def test_a_ticket_has_one_spelling(spelling):
    assert str(starts.parse(spelling)) == spelling
    if spelling != "rewind":
        assert starts.parse(spelling).options["fraction"] == 0.2
        other = starts.parse(f"{spelling}-p0.3")
        assert str(other) == f"{spelling}-p0.3"
        assert other.options == {**starts.parse(spelling).options, "fraction": 0.3}
        with pytest.raises(SpellingError, match=re.escape(f"is spelt '{spelling}'")):
            starts.parse(f"{spelling}-p0.20")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("ticket08", "is spelt 'ticket8'"),
        ("ticket8-shuffle-LAYER", "is spelt 'ticket8-shuffle-layer'"),
        ("ticket8-p.3", "is spelt 'ticket8-p0.3'"),
        ("ticket8-p0.3-random", "unknown start"),
        ("ticket8-noise2.0", "is spelt 'ticket8-noise2'"),
        ("ticket0", "level: expected a whole number of at least 1 and at most 100, got 0"),
        ("ticket101-random", "level: expected a whole number of at least 1 and at most 100"),
        ("ticket8-p1", "fraction: expected a number above 0 and below 1, got 1.0"),
        ("ticket8-noise0", "std: expected a number above 0, got 0.0"),
        ("ticket8-shuffle-unit", "scope: expected one of global, layer, filter, got the text 'un"),
        ("ticket8-signs-k-magnitudes-j", "magnitudes: expected one of k, init, fresh, got the"),
        ("ticket8-signs-k", "unknown start"),
        ("ticket", "unknown start"),
        ("rewind2", "unknown start 'rewind2'"),
    ],
)
def test_another_spelling_of_a_ticket_is_refused(wrong, message):
    with pytest.raises(SpellingError, match=re.escape(message)):
        starts.parse(wrong)
