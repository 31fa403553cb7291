"""Starts that look at batches of what the stage is about to train on."""

import pytest
import torch
from chain import Chain
from torch.nn.functional import cross_entropy

from plasticity.core.errors import UserError
from plasticity.runs import Integer, Run, StartFacts, starts

RULE = "adam-lr0.01-b16"
PLACE = "digits-clutter/resnet-d1w2/seed0"


@pytest.fixture
def looks(monkeypatch):
    """What starts of one's own were given, which can be spelt in the test."""
    given = []
    monkeypatch.setattr(starts, "_members", dict(starts.members))

    @starts.member("look", facts=StartFacts(inherits=None, batches=6))
    def look(network, generator, batches):
        """Looks, and leaves everything as it is but one weight and its gradients."""
        given.append([*batches])
        for (images, labels), (again, _) in zip(batches, given[-1], strict=True):
            assert torch.equal(images, again)
            with torch.enable_grad():
                cross_entropy(network(images), labels).backward()
        weight = next(network.parameters())
        weight.sub_(weight.grad)

    facts = StartFacts(batches=lambda *, number: number - 1)

    @starts.member("glance{number}", facts=facts, number=Integer(at_least=1))
    def glance(network, generator, batches, *, number):
        """Counts them."""
        given.append(len(batches))

    yield given
    monkeypatch.undo()
    starts.parse.cache_clear()
    starts.read.cache_clear()


def test_they_are_what_the_stage_sees_of_a_draw_of_their_own(chain: Chain, looks):
    run = Run.parse(f"{PLACE}/half_{RULE}_e1_init/full_{RULE}_e2_look")
    stage = chain.prepared(run)
    (seen,) = looks
    assert [images.shape for images, _ in seen] == [(16, 1, 8, 8)] * 6
    examples = (stage.train.images.float() - stage.train.mean) / stage.train.std
    where = [[int((examples == one).flatten(1).all(1).nonzero()) for one in b] for b, _ in seen]
    for numbers, (_, labels) in zip(where, seen, strict=True):
        assert torch.equal(labels, stage.train.labels[numbers])
    assert sorted(number for numbers in where[:4] for number in numbers) == list(range(64))
    assert len({*where[4], *where[5]}) == 32
    own = [batch.indices.tolist() for batch in stage.batches(0)]
    assert where[:4] != own


def test_they_are_the_same_whenever_the_stage_begins_and_no_gradient_is_left(chain: Chain, looks):
    run = Run.parse(f"{PLACE}/full+rotation_{RULE}_e2_look")
    first, again = (chain.prepared(run).train_state.network for _ in range(2))
    for one, other in zip(*looks, strict=True):
        assert all(map(torch.equal, one, other))
    assert {label for _, labels in looks[0] for label in labels.tolist()} == {0, 1, 2, 3}
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    assert all(parameter.grad is None for parameter in first.parameters())
    plain = chain.prepared(Run.parse(f"{PLACE}/full+rotation_{RULE}_e2_init"))
    pairs = zip(plain.train_state.network.parameters(), first.parameters(), strict=True)
    moved = [not torch.equal(one, other) for one, other in pairs]
    assert moved == [True, *[False] * (len(moved) - 1)]


def test_how_many_may_depend_on_options_and_is_checked(chain: Chain, looks):
    path = f"{PLACE}/half_{RULE}_e1_init/half_{RULE}_e1_glance"
    chain.prepared(Run.parse(f"{path}4"))
    assert looks == [3]
    with pytest.raises(UserError, match="start 'glance1': batches: got 0, expected a whole number"):
        chain.prepared(Run.parse(f"{path}1"))


@pytest.mark.parametrize("facts", [{"batches": -1}, {"batches": 2.0}, {"batches": True}])
def test_what_is_no_number_of_batches_is_refused(facts):
    with pytest.raises(ValueError, match=r"batches: got .*, expected a whole number of at least 0"):
        StartFacts(**facts)


def test_a_start_of_a_sub_network_is_given_none():
    with pytest.raises(ValueError, match="a start that trains a sub-network is given none"):
        StartFacts(rewinds=True, batches=2)


def test_a_function_that_cannot_be_given_them_is_refused_where_it_is_declared(looks):
    def stare(network, generator):
        """Too few parameters."""

    with pytest.raises(ValueError, match=r"expected \(network, generator, batches\), given by pos"):
        starts.member("stare", facts=StartFacts(batches=2))(stare)

    def gaze(network, generator, batches):
        """Too many, as nothing asks for them."""

    with pytest.raises(ValueError, match=r"takes \(network, generator, batches\); expected \(net"):
        starts.member("gaze")(gaze)
