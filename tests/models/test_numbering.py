"""Which modules of any network are numbered, their names, and fresh draws of modules of torch's."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.models.network import build, initialise
from plasticity.models.numbering import numbered_modules
from plasticity.runs import ModelFacts, models


@pytest.fixture
def declared(monkeypatch):
    """Declares a model for one test; gives its network for ten classes and grey images."""
    monkeypatch.setattr(models, "_members", dict(models.members))

    def declare(function, modules=None):
        def own(classes, channels, height, width):
            """Of a test."""
            return function()

        models.member("own", facts=ModelFacts(modules=modules))(own)
        return build(models.parse("own"), 10, 1, 8, 8)

    yield declare
    monkeypatch.undo()
    models.parse.cache_clear()
    models.read.cache_clear()


class Tower(nn.Module):
    """Tokens beside its children, and a normalisation that is no module of its own."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.act = nn.ReLU()
        self.blocks = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2)
        self.token = nn.Parameter(torch.zeros(1, 4))
        self.register_buffer("table", torch.ones(3))


def found(network, names=None):
    return {one.name: one.entries for one in numbered_modules(network, names)}


def test_children_with_a_state_are_numbered_in_their_order():
    assert found(Tower()) == {
        "stem": ("token", "table", "stem.weight", "stem.bias"),
        "blocks": ("blocks.0.weight", "blocks.0.bias", "blocks.1.weight", "blocks.1.bias"),
        "norm": ("norm.weight", "norm.bias"),
        "head": ("head.weight", "head.bias"),
    }


def test_what_is_not_named_goes_with_the_module_before_it():
    modules = found(Tower(), ("blocks.0", "blocks.1", "head"))
    assert modules["blocks.0"][:4] == ("token", "table", "stem.weight", "stem.bias")
    assert modules["blocks.1"][-2:] == ("norm.weight", "norm.bias")
    assert sorted(sum(modules.values(), ())) == sorted(Tower().state_dict())


@pytest.mark.parametrize(
    ("network", "names"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), ["1 Linear"]),
        (nn.Linear(4, 2), ["0 Linear"]),
        (nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))),
         ["0 Linear", "2 Linear"]),
        (nn.Sequential(nn.Identity(), Tower()), ["stem", "blocks", "norm", "head"]),
    ],
)  # fmt: skip
def test_an_only_child_is_looked_into(network, names):
    assert list(found(network)) == names


def test_an_attribute_says_which_are_numbered():
    network = Tower()
    network.numbered = [network.stem, network.blocks, network.head]
    assert list(found(network)) == ["0 Conv2d", "1 Sequential", "2 Linear"]
    assert list(found(network, ("a", "b", "c"))) == ["a", "b", "c"]
    network.numbered = {"body": network.blocks, "top": network.head}
    assert found(network)["top"] == ("head.weight", "head.bias")
    assert sorted(sum(found(network).values(), ())) == sorted(network.state_dict())


@pytest.mark.parametrize(
    ("numbered", "names", "words"),
    [
        ([nn.Linear(1, 1)], None, "network Tower: numbered holds list; expected a list of modules"),
        (3, None, "network Tower: numbered holds int"),
        (None, ("stem", "layer9"), "'layer9', and there is none; its children are stem, act,"),
    ],
)
def test_modules_that_are_none_are_refused(numbered, names, words):
    network = Tower()
    if numbered is not None:
        network.numbered = numbered
    with pytest.raises(UserError, match=words):
        numbered_modules(network, names)


def test_a_network_without_parameters_is_refused():
    with pytest.raises(UserError, match="network Sequential: has no module with parameters"):
        numbered_modules(nn.Sequential(nn.Flatten()))


def state_of(network, seed):
    initialise(network, torch_generator(seed))
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


class Drawn(nn.Module):
    """Draws from all global generators, and knows no reset."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(3))
        self.register_buffer("features", torch.tensor([np.random.random(), random.random()]))

    def forward(self, images):
        return images


@pytest.mark.parametrize("of_ours", [False, True])
def test_a_fresh_draw_builds_the_network_anew(declared, of_ours):
    """Under a seed: of the generator alone, and the global ones stay as they are."""

    def make():
        modules = [Drawn(), nn.Linear(8, 10)]
        if not of_ours:
            return nn.Sequential(*modules)
        from plasticity.models.network import Network

        network = Network()
        network.numbered = nn.ModuleList(modules)
        return network

    network = declared(make)
    first = state_of(network, 0)
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert same(first, state_of(network, 0))
    other = state_of(network, 1)
    assert not any(torch.equal(first[name], other[name]) for name in first)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), np.random.get_state()[1].tolist())
    fresh = network.fresh(torch_generator(1))
    assert same(fresh.state_dict(), other)
    assert same(network.state_dict(), other)


def test_a_module_of_torch_is_drawn_as_its_constructor_draws(declared):
    network = declared(lambda: nn.Linear(8, 10))
    seed = int(torch.randint(2**62, (), generator=torch_generator(0)))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        expected = nn.Linear(8, 10)
    initialise(network, torch_generator(0))
    assert torch.equal(network.network.weight, expected.weight)


def test_declared_modules_must_be_those_of_the_network(declared):
    with pytest.raises(UserError, match=r"declares modules=3 .* has 4 numbered modules \(stem, bl"):
        declared(Tower, 3)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda classes, channels: None,
         r"takes \(classes, channels\); expected \(classes, channels, height, width\), given by"),
        (lambda classes, channels, height, width, depth: None, r"width, depth\); expected"),
        (lambda classes, *, width: None, r"expected \(classes, channels, height, image_width\)"),
    ],
)  # fmt: skip
def test_a_function_that_takes_something_else_is_refused_where_it_is_declared(function, words):
    kinds = (
        {"width": models.members["fully_connected"].template.kinds["width"]}
        if "image" in words
        else {}
    )
    function.__doc__ = "Of a test."
    with pytest.raises(ValueError, match=f"model <lambda>: its function {words}|{words}"):
        models.member("own" + "".join(f"-{{{name}}}" for name in kinds), **kinds)(function)


@pytest.mark.parametrize("modules", [0, True, "six", ("a", "a"), 1.5])
def test_facts_about_modules_are_checked(modules):
    with pytest.raises(ValueError, match="modules: got"):
        ModelFacts(modules=modules)


class Shuffled(nn.Module):
    """An order of the pixels that is drawn by the constructor and is in no state."""

    def __init__(self):
        super().__init__()
        self.order = torch.randperm(64)
        self.last = nn.Linear(64, 10)

    def forward(self, images):
        return self.last(images.flatten(1)[:, self.order])


def test_what_a_constructor_draws_and_no_state_holds_is_the_same_each_time(declared):
    """As in two stages of a run, whose global generators are seeded each for itself."""
    torch.manual_seed(1)
    network = declared(Shuffled)
    initialise(network, torch_generator(0, "initialisation"))
    torch.manual_seed(2)
    later = network.fresh(torch_generator(1, "initialisation"))
    again = build(models.parse("own"), 10, 1, 8, 8)
    assert torch.equal(again.network.order, network.network.order)
    assert torch.equal(later.network.order, network.network.order)
    assert not torch.equal(later.network.last.weight, network.network.last.weight)
