"""All families of networks, and modules of torch's alone, through all that is done to a network."""

import pytest
import torch
from chain import Chain
from own_members import own_members  # noqa: F401 (a fixture)
from tiny import HARDWARE

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.models import masks
from plasticity.observe import telemetry
from plasticity.observe.calibration import network_cost
from plasticity.observe.connectivity import Line, barrier
from plasticity.runs import Run
from plasticity.runs.cadence import Cadence
from plasticity.runs.workload import Workload
from plasticity.training import checkpoint
from plasticity.training.stages import describe

pytestmark = pytest.mark.usefixtures("own_members")
MODELS = [
    "mlp-d2w8",
    "vit-p4d1w8",
    "resnet-d1w2-group-crelu",
    "resnet20-w2-nonorm-leaky",
    "resnet-d1w2-layer",
    "lenet",
    "tokens",
]
RULE = "adam-lr0.01-b16"


def first_of(model: str) -> Run:
    return Run.parse(f"digits-clutter/{model}/seed0/full_{RULE}_e1_init")


@pytest.mark.parametrize("model", MODELS)
def test_each_module_alone_is_drawn_anew(chain: Chain, model: str):
    """To the draw that all subsets share, and nothing of the network is left out."""
    first = first_of(model)
    before = checkpoint.load(chain.state(first)).network
    original = chain.prepared(first).train_state.network
    modules = original.numbered_modules
    assert sorted(name for one in modules for name in one.entries) == sorted(before)
    fresh = original.fresh(torch_generator(0, "start", 2)).state_dict()
    for number, module in enumerate(modules, start=1):
        run = Run.parse(f"{first}/full_{RULE}_e1_reset{number}")
        after = chain.prepared(run).train_state.network.state_dict()
        for name, value in after.items():
            assert torch.equal(value, (fresh if name in module.entries else before)[name])


@pytest.mark.parametrize("model", MODELS)
def test_sub_networks_are_pruned_trained_and_observed(chain: Chain, model: str):
    run = Run.parse(str(first_of(model)).replace("init", "ticket1-p0.5"))
    after = checkpoint.load(chain.state(run)).network
    stage = chain.prepared(run)
    assert stage.initial_state.density == pytest.approx(0.5, abs=0.01)
    for name, mask in stage.initial_state.mask.items():
        assert (after[name][~mask] == 0).all()
    table = telemetry.observe(stage, after, Cadence(3, 3, 1, 1), lambda line: None).to_pydict()
    values = {
        (i, q): v
        for i, q, v in zip(table["iteration"], table["quantity"], table["value"], strict=True)
    }
    assert values[0, "nonzero_share"] == pytest.approx(0.5, abs=0.02)
    assert values[3, "gradient_norm"] > 0


@pytest.mark.parametrize("model", MODELS)
def test_a_line_has_the_ends_of_its_states(chain: Chain, model: str):
    """Statistics of normalisation are taken anew where there are any."""
    run = first_of(model)
    stage = chain.prepared(run)
    state = checkpoint.load(chain.state(run)).network
    stage.train_state.network.load_state_dict(state)
    line = Line(2, 4, 16, 64)
    table = barrier(
        stage.train_state.network, state, state, stage.train, stage.test, line,
        torch_generator(0), HARDWARE.precision,
    )  # fmt: skip
    losses = table["test_loss"].to_pylist()
    assert losses[0] == losses[1]


def by_hand(model: str) -> int:
    """Multiply-adds of an image of 12 x 12 pixels with one channel, for 10 classes."""
    tokens = 9 + 1
    block = 4 * 8 * 8 + 2 * 8 * 16  # the layer's hidden width is 16
    attention = 2 * tokens * tokens * 8
    return {
        "mlp-d2w8": 144 * 8 + 8 * 8 + 8 * 10,
        "vit-p4d1w8": 9 * 16 * 8 + tokens * 12 * 8 * 8 + attention + 8 * 10,
        "lenet": 144 * 9 * 4 + 36 * 9 * 4 * 8 + 8 * 36 * 10,
        "tokens": 9 * 16 * 8 + tokens * block + attention + 8 * 10,
    }[model]


@pytest.mark.parametrize("model", ["mlp-d2w8", "vit-p4d1w8", "lenet", "tokens"])
def test_a_pass_costs_what_is_counted_by_hand(model: str):
    assert network_cost(Workload.of(first_of(model))).multiply_adds == by_hand(model)


def test_attention_of_torch_is_pruned_whole(chain: Chain):
    network = chain.prepared(first_of("tokens")).train_state.network
    names = list(masks.prunable(network))
    assert [name.removeprefix("network.layers.layers.0.") for name in names] == [
        "network.patches.weight", "self_attn.in_proj_weight", "self_attn.out_proj.weight",
        "linear1.weight", "linear2.weight", "network.head.weight",
    ]  # fmt: skip


def test_a_weight_that_is_computed_is_trained_and_neither_pruned_nor_observed(chain: Chain):
    run = first_of("normednet")
    chain.state(run)
    words = "layer network.1 of the network computes its weight from other parameters"
    with pytest.raises(UserError, match=words):
        chain.state(Run.parse(str(run).replace("init", "ticket1-p0.5")))
    with pytest.raises(UserError, match=words):
        telemetry.observe(chain.prepared(run), None, Cadence(3, 3, 1, 1), lambda line: None)


def test_ends_with_other_statistics_of_their_own_have_no_line(chain: Chain):
    stage = chain.prepared(first_of("countingnet"))
    one = checkpoint.load(chain.state(first_of("countingnet"))).network
    other = {**one, "network.0.seen": torch.tensor(7.0)}
    seen = (stage.train, stage.test, Line(2, 4, 16, 64), torch_generator(0), HARDWARE.precision)
    with pytest.raises(UserError, match=r"differ in network.0.seen, a buffer of _Counting"):
        barrier(stage.train_state.network, one, other, *seen)


def test_a_module_that_a_network_turns_out_to_lack_is_refused(chain: Chain):
    run = Run.parse(f"{first_of('lenet')}/full_{RULE}_e1_reset4")
    words = "start 'reset4': lenet has the modules 1 to 3 .conv1, conv2, fc., there is no module 4"
    with pytest.raises(UserError, match=words):
        chain.prepared(run)


def test_metrics_name_the_modules(chain: Chain):
    run = first_of("lenet")
    chain.state(run)
    assert describe(chain.prepared(run), HARDWARE)["modules"] == ["conv1", "conv2", "fc"]
