"""Stages that begin with a remedy: trained, killed and trained again to the same bits."""

import pytest
import torch
from chain import Chain
from killed import killed_everywhere, whole
from own_members import own_members  # noqa: F401 (a fixture)
from tiny import Folder, equal

from plasticity.core.errors import UserError
from plasticity.runs import Run
from plasticity.training import checkpoint

RULE = "adam-lr0.01-b16"
REMEDIES = [
    "shrink0.4-fresh0.1",
    "shrink0.3-noise0.01",
    "shrink0.2-init",
    "dash0.3",
    "dash0.05-eval",
    "fire",
    "rescale",
]


def run_of(start: str, model: str = "resnet-d1w2", data: str = "full") -> Run:
    place = f"digits-clutter/{model}/seed0"
    return Run.parse(f"{place}/half_{RULE}_e1_init/{data}_{RULE}_e2_{start}")


@pytest.mark.parametrize("start", REMEDIES)
def test_it_is_killed_and_trained_again_to_the_same_bits(folder: Folder, start: str):
    run = run_of(start)
    parent = folder.train(run.parent).checkpoint
    straight = whole(folder, run, parent=parent)
    assert straight.history[-1].train_loss < straight.history[0].train_loss
    assert equal(straight, killed_everywhere(folder, run, parent=parent))


@pytest.mark.parametrize("start", REMEDIES)
@pytest.mark.parametrize("model", ["vit-p4d1w8", "mlp-d1w8"])
def test_it_is_trained_with_other_networks(folder: Folder, model: str, start: str):
    run = run_of(start, model)
    parent = folder.train(run.parent).checkpoint
    states = [whole(folder, run, name, parent=parent) for name in ("first", "second")]
    assert equal(*states)
    kept = whole(folder, run_of("keep", model), parent=parent)
    assert kept.network.keys() == states[0].network.keys()
    assert not all(torch.equal(kept.network[n], states[0].network[n]) for n in kept.network)


@pytest.mark.parametrize("start", ["dash1", "dash1-eval", "shrink1-init"])
@pytest.mark.usefixtures("own_members")
@pytest.mark.parametrize("model", ["resnet-d1w2", "dropnet"])
def test_one_that_changes_nothing_is_the_warm_start(folder: Folder, model: str, start: str):
    parent = folder.train(run_of(start, model).parent).checkpoint
    states = [whole(folder, run_of(word, model), parent=parent) for word in (start, "keep")]
    assert all(torch.equal(states[0].network[n], states[1].network[n]) for n in states[0].network)


@pytest.mark.parametrize("start", REMEDIES)
@pytest.mark.usefixtures("own_members")
@pytest.mark.parametrize("model", ["lenet", "tokens", "frozennet", "sparenet", "normnet"])
def test_networks_of_one_s_own(chain: Chain, model: str, start: str):
    stage = chain.prepared(run_of(start, model))
    assert all(one.isfinite().all() for one in stage.train_state.network.parameters())
    assert stage.initial_state.changed > 0


@pytest.mark.parametrize("start", ["shrink0-init", "rescale", "dash0.3", "fire"])
def test_another_task_has_a_head_of_its_own(chain: Chain, start: str):
    """Its initialisation is that of a run from scratch on this task."""
    run = run_of(start, data="full+rotation")
    stage = chain.prepared(run)
    scratch = Run.parse(f"digits-clutter/resnet-d1w2/seed0/full+rotation_{RULE}_e2_init")
    first = dict(chain.prepared(scratch).train_state.network.named_parameters())
    found = dict(stage.train_state.network.named_parameters())
    head = "numbered.5.weight"
    if start == "shrink0-init":
        assert all(torch.equal(found[name], value) for name, value in first.items())
    elif start == "rescale":
        assert found[head].norm().item() == pytest.approx(first[head].norm().item(), rel=1e-5)
    assert found[head].shape == (4, 16)


@pytest.mark.parametrize("start", REMEDIES)
def test_what_is_pruned_stays_so(chain: Chain, start: str):
    place = "digits-clutter/resnet-d1w2/seed0"
    run = Run.parse(f"{place}/half_{RULE}_e1_ticket1-p0.5/full_{RULE}_e1_{start}")
    state = checkpoint.load(chain.state(run))
    assert all((state.network[name][~mask] == 0).all() for name, mask in state.mask.items())


@pytest.mark.usefixtures("own_members")
def test_a_network_that_cannot_be_set_is_refused_in_words(chain: Chain):
    with pytest.raises(UserError, match="computes its weight from other parameters"):
        chain.prepared(run_of("fire", "normednet"))
