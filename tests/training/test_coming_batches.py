"""Starts that look at batches of what the stage is about to train on."""

import pytest
import torch
from chain import Chain
from torch.nn.functional import cross_entropy

from plasticity.core.errors import UserError
from plasticity.runs import Integer, Run, StartFacts, starts, workload

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

    asked = StartFacts(inherits=None, batches="epoch", initial=True, seed=True)

    @starts.member("survey", facts=asked)
    def survey(network, generator, batches, initial, seed):
        """Takes all that there is, and spoils the network as it was initialised."""
        given.append((len([*batches]), {n: v.clone() for n, v in initial.state_dict().items()}))
        given.append(seed)
        next(initial.parameters()).zero_()

    @starts.member("recall", facts=StartFacts(initial=True))
    def recall(network, generator, initial):
        """Nothing but the network as it was initialised."""
        network.load_state_dict(initial.state_dict())

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


def test_all_that_a_start_may_ask_for_comes_in_one_order(chain: Chain, looks):
    run = Run.parse(f"{PLACE.replace('seed0', 'seed3')}/half_{RULE}_e1_init/full_{RULE}_e2_survey")
    chain.prepared(run)
    (number, initial), seed = looks
    assert (number, seed) == (4, 3)  # 64 examples
    cold = chain.prepared(Run.parse(f"{PLACE.replace('seed0', 'seed3')}/full_{RULE}_e1_init"))
    first = cold.train_state.network.state_dict()
    assert all(torch.equal(initial[name], value) for name, value in first.items())


def test_the_network_as_it_was_initialised_is_another_one(chain: Chain, looks):
    stage = chain.prepared(Run.parse(f"{PLACE}/full_{RULE}_e2_survey"))
    plain = chain.prepared(Run.parse(f"{PLACE}/full_{RULE}_e2_init"))
    pairs = zip(*(one.train_state.network.parameters() for one in (stage, plain)), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    again = chain.prepared(Run.parse(f"{PLACE}/half_{RULE}_e1_init/full_{RULE}_e2_recall"))
    state = plain.train_state.network.state_dict()
    found = again.train_state.network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_passes_of_a_start_are_counted(looks):
    first = f"{PLACE}/half_{RULE}_e1_init"
    per_epoch = workload.steps_per_epoch(Run.parse(f"{first}/full_{RULE}_e1_keep"))
    counts = {"keep": 0, "look": 6, "glance4": 3, "survey": per_epoch, "recall": 0}
    counts["dash0.3"] = per_epoch
    for start, passes in counts.items():
        assert workload.start_passes(Run.parse(f"{first}/full_{RULE}_e1_{start}")) == passes
    assert per_epoch > 6
    with pytest.raises(UserError, match="start 'glance1': batches: got 0, expected a whole number"):
        workload.start_passes(Run.parse(f"{first}/full_{RULE}_e1_glance1"))


@pytest.mark.parametrize(
    "facts", [{"batches": -1}, {"batches": 2.0}, {"batches": True}, {"batches": "all"}]
)
def test_what_is_no_number_of_batches_is_refused(facts):
    words = r"batches: got .*, expected a whole number of at least 0 or 'epoch'"
    with pytest.raises(ValueError, match=words):
        StartFacts(**facts)


@pytest.mark.parametrize("passes", [-1, 1.0, True])
def test_what_is_no_number_of_passes_is_refused(passes):
    with pytest.raises(ValueError, match=r"passes_per_batch: got .*, expected a whole number"):
        StartFacts(batches=2, passes_per_batch=passes)


@pytest.mark.parametrize("asked", [{"batches": 2}, {"initial": True}, {"seed": True}])
def test_a_start_of_a_sub_network_is_given_none(asked):
    with pytest.raises(ValueError, match="a start that trains a sub-network is given none"):
        StartFacts(rewinds=True, **asked)


def test_a_function_that_cannot_be_given_them_is_refused_where_it_is_declared(looks):
    def stare(network, generator):
        """Too few parameters."""

    with pytest.raises(ValueError, match=r"expected \(network, generator, batches\), given by pos"):
        starts.member("stare", facts=StartFacts(batches=2))(stare)

    def gaze(network, generator, batches):
        """Too many, as nothing asks for them."""

    with pytest.raises(ValueError, match=r"takes \(network, generator, batches\); expected \(net"):
        starts.member("gaze")(gaze)
