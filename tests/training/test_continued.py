"""Stages that go on with the state of the optimiser of the stage before."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from chain import Chain
from killed import killed_everywhere, whole
from own_members import own_members  # noqa: F401 (a fixture)
from test_cuda_graphs import Taped
from tiny import Folder, equal

from plasticity.core.errors import UserError
from plasticity.runs import Run, SpellingError
from plasticity.training import checkpoint
from plasticity.training.checkpoint import Checkpoint
from plasticity.training.cuda_graphs import put_counts_on_device
from plasticity.training.stages import inherit, optimiser_of

PLACE = "digits-clutter/resnet-d1w2/seed0"
SGD = "sgd-lr0.05-m0.9-b16"
RULES = [SGD, "adam-lr0.01-b16-drop1x2", "nadam-lr0.01-b16", "muon-lr0.01-b16", "halved-lr0.05-b16"]


def run_of(*stages: str) -> Run:
    return Run.parse("/".join([PLACE, *stages]))


def same_weights(one: Checkpoint, other: Checkpoint) -> bool:
    return all(torch.equal(one.network[name], other.network[name]) for name in one.network)


@pytest.mark.usefixtures("own_members")
@pytest.mark.parametrize("rule", RULES)
def test_a_training_in_two_parts_is_the_whole_to_the_bit(tmp_path: Path, rule: str):
    chain = Chain(Folder.prepare(tmp_path))
    run = run_of(f"full_{rule}_i6_init", f"full_{rule}_till3_continue")
    straight = checkpoint.load(chain.state(run_of(f"full_{rule}_e3_init")))
    assert same_weights(checkpoint.load(chain.state(run)), straight)
    anew = checkpoint.load(chain.state(run_of(str(run.parent.stage), f"full_{rule}_till3_keep")))
    assert not same_weights(anew, straight)


def test_it_is_killed_and_recorded_to_the_same_bits(folder: Folder):
    run = run_of("half_adam-lr0.01-b16_e2_init", "half_adam-lr0.02-b16-warm1-cosine_e2_continue")
    parent = folder.train(run.parent).checkpoint
    straight = whole(folder, run, parent=parent)
    assert equal(straight, killed_everywhere(folder, run, parent=parent))
    recorded = whole(folder, run, "taped", parent=parent, hardware=Taped())
    assert same_weights(straight, recorded)


@pytest.mark.usefixtures("own_members")
@pytest.mark.parametrize("rule", RULES)
def test_a_state_that_was_saved_on_a_gpu_goes_on_on_the_cpu(folder: Folder, rule: str):
    run = run_of(f"full_{rule}_e1_init", f"full_{rule}_e1_continue")
    parent = folder.train(run.parent).checkpoint
    here = checkpoint.load(folder.train(run, "here", parent=parent).checkpoint)
    checkpoint.save(parent, as_of_a_gpu(checkpoint.load(parent)))
    assert same_weights(checkpoint.load(folder.train(run, parent=parent).checkpoint), here)


def as_of_a_gpu(state: Checkpoint) -> Checkpoint:
    """`state` as recorded steps on a GPU leave it: rates and counts are tensors there."""
    text = json.dumps(state.plain).replace('"cpu": true', '"cpu": false')
    text = text.replace('["capturable", false]', '["capturable", true]')
    rate = json.dumps({"tensor": "rate", "stride": [], "cpu": False})
    return replace(
        state,
        identity=replace(state.identity, device="cuda", execution="graphs", gpu="H100"),
        plain=json.loads(re.sub(r'(?<=\["lr", )[^\]]*', rate, text)),
        optimiser={**state.optimiser, "rate": torch.tensor(0.1)},
    )


@pytest.mark.usefixtures("own_members")
@pytest.mark.parametrize("rule", RULES)
def test_a_state_that_was_saved_on_the_cpu_goes_where_the_parameters_are(folder: Folder, rule: str):
    """Meta stands for a GPU: all but counts that torch keeps elsewhere until steps are recorded."""
    chain = Chain(folder)
    run = run_of(f"full_{rule}_e1_init", f"full_{rule}_e1_continue")
    parent = checkpoint.load(chain.state(run.parent))
    optimiser = optimiser_of(run, chain.prepared(run).train_state.network.to("meta"))
    inherit(optimiser, None, parent)
    slots = [slots for slots in optimiser.state.values() if slots]
    (group, *_) = optimiser.param_groups
    assert slots
    elsewhere = "capturable" in group and not group.get("fused")
    for slot in (slot for each in slots for slot in each.values()):
        assert slot.device.type == ("cpu" if elsewhere and not slot.dim() else "meta")
    put_counts_on_device(optimiser)
    assert {slot.device.type for each in slots for slot in each.values()} == {"meta"}


def test_the_rate_and_the_schedule_are_its_own(folder: Folder):
    """A rule that was slowed down by then begins with the rate that is spelt."""
    run = run_of(f"full_{SGD}-drop1_e2_init", "full_sgd-lr0.2-m0.9-b8-drop2_e3_continue")
    chain = Chain(folder)
    before = checkpoint.load(chain.state(run.parent))
    stage = chain.prepared(run)
    optimiser = stage.train_state.optimiser
    (group,) = optimiser.param_groups
    assert group["lr"] == 0.2
    for number, parameter in enumerate(group["params"]):
        buffer = before.optimiser[f"state/{number}/momentum_buffer"]
        assert torch.equal(optimiser.state[parameter]["momentum_buffer"], buffer)
    stage.batches(stage.steps.begin + 2 * stage.steps.per_epoch)
    assert group["lr"] == 10.0**-1 * 0.2


def test_a_mask_is_kept_as_well(tmp_path: Path):
    chain = Chain(Folder.prepare(tmp_path))
    run = run_of(f"full_{SGD}_e1_ticket1-p0.5", f"full_{SGD}_e1_continue")
    state = checkpoint.load(chain.state(run))
    assert all(torch.equal(state.network[n] != 0, mask) for n, mask in state.mask.items())
    assert not all(mask.all() for mask in state.mask.values())


def test_a_state_without_its_optimiser_is_refused(folder: Folder):
    run = run_of(f"full_{SGD}_e1_init", f"full_{SGD}_e1_continue")
    parent = folder.train(run.parent).checkpoint
    checkpoint.save(parent, replace(checkpoint.load(parent), plain=None))
    with pytest.raises(UserError, match="without all of its optimiser, with which this stage"):
        folder.train(run, parent=parent)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([f"full_{SGD}_e1_continue"], "but no stage stands before it"),
        ([f"full_{SGD}_e1_init", "full_adam-lr0.05-b16_e1_continue"], "take the same rule with"),
        ([f"full_{SGD}_e1_init", "full_sgd-lr0.05-m0.8-b16_e1_continue"], "take the same rule"),
        ([f"full+rotation_{SGD}_e1_init", f"full_{SGD}_e1_continue"], "other labels than"),
    ],
)
def test_what_does_not_fit_is_refused(stages: list[str], words: str):
    with pytest.raises(SpellingError, match=words):
        run_of(*stages)
