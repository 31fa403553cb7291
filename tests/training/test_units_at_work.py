"""Methods on units at work: to the same bits however a stage is trained, in every network."""

import pytest
import torch
from chain import Chain
from killed import killed_everywhere, whole
from own_members import own_members  # noqa: F401 (a fixture)
from test_cuda_graphs import Taped
from tiny import Folder, equal
from torch import nn

from plasticity.runs import Run
from plasticity.training import checkpoint

ADAM, SGD = "adam-lr0.01-b16", "sgd-lr0.05-m0.9-b16"
METHODS = ("redo0.95every3steps", "cbp0.3-mature2-decay0.9")
"""So often, and so many, that units are replaced also in a short stage."""

pytestmark = pytest.mark.usefixtures("own_members")


def run_of(model: str, methods: str, rule: str = ADAM, start: str = "init") -> Run:
    return Run.parse(f"digits-clutter/{model}/seed0/full_{rule}+{methods}_e2_{start}")


def differs(one: checkpoint.Checkpoint, other: checkpoint.Checkpoint) -> bool:
    return any(not torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


@pytest.mark.parametrize("methods", METHODS)
@pytest.mark.parametrize("rule", [ADAM, SGD])
@pytest.mark.parametrize("model", ["resnet-d1w2", "mlp-d2w8"])
def test_killed_and_recorded_it_ends_in_the_same_bits(
    folder: Folder, model: str, rule: str, methods: str
):
    run = run_of(model, methods, rule)
    straight = whole(folder, run)
    assert equal(straight, killed_everywhere(folder, run))
    taped = Taped()
    assert equal(straight, whole(folder, run, "taped", hardware=taped))
    assert taped.tape.replayed > 0
    assert differs(straight, whole(folder, Run.parse(str(run).replace(f"+{methods}", ""))))


@pytest.mark.parametrize("methods", METHODS)
@pytest.mark.parametrize(
    "model",
    ["mlp-d2w8", "resnet20-w2-nonorm-leaky", "resnet-d1w2-group-crelu", "vit-p4d1w8", "lenet"],
)
def test_networks_of_all_kinds_are_trained_and_units_replaced(
    folder: Folder, model: str, methods: str
):
    run = run_of(model, methods)
    straight = whole(folder, run)
    assert equal(straight, whole(folder, run, "taped", hardware=Taped()))
    plain = Run.parse(str(run).replace(f"+{methods}", ""))
    assert differs(straight, whole(folder, plain))
    assert all(value.isfinite().all() for value in straight.weights.values())


@pytest.mark.parametrize("methods", METHODS)
def test_what_was_pruned_stays_so_when_units_begin_anew(chain: Chain, methods: str):
    run = run_of("mlp-d2w8", methods, start="ticket1-p0.5")
    after = checkpoint.load(chain.state(run)).network
    stage = chain.prepared(run)
    network = stage.train_state.network
    masks = stage.initial_state.mask
    assert all((after[name][~mask] == 0).all() for name, mask in masks.items())
    nn.init.constant_(network.module(1)[1].bias, -100)  # a layer that is silent
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for _ in stage.batches(0):  # without their steps: events alone change weights
        state = network.state_dict()
        assert all((state[name][~mask] == 0).all() for name, mask in masks.items())
    changed = any(not torch.equal(before[name], state[name]) for name in masks)
    assert changed == methods.startswith("redo")
