"""The library's methods in training: killed, recorded, on every network, on what is left of one."""

import pytest
import torch
from chain import Chain
from killed import killed_everywhere, whole
from own_members import own_members  # noqa: F401 (a fixture)
from test_cuda_graphs import Taped
from tiny import Folder, equal

from plasticity.models import masks
from plasticity.runs import Run, methods
from plasticity.training import checkpoint, loop
from plasticity.training.loop import EpochProgress, train_on

RULE = "adam-lr0.01-b16"
ON_THE_LOSS = ("l2init0.1", "parseval0.01", "spectral0.1", "wasserstein0.1")
ON_WEIGHTS = ("clip0.7", "shrinkperturb0.001x0.01")
SECOND = ("ema0.9", "hare0.9every1")
METHODS = (*ON_THE_LOSS, "sam0.1", *ON_WEIGHTS, *SECOND)
"""A spelling of each, in their order."""

TOGETHER = "+".join(method for method in METHODS if not method.startswith("ema"))
"""All of them that go together: one has a second network."""


def run_of(*stages: str, model: str = "resnet-d1w2") -> Run:
    return Run.parse("/".join([f"digits-clutter/{model}/seed0", *stages]))


def test_each_of_the_librarys_methods_is_below():
    assert {methods.parse(spelling).member for spelling in METHODS} >= {
        member
        for member in methods.members.values()
        if member.facts.acts != "units"  # which have tests of their own
    }


@pytest.mark.parametrize("spelling", METHODS)
def test_killed_and_recorded_it_ends_in_the_same_bits(folder: Folder, spelling: str):
    run = run_of(f"full_{RULE}+{spelling}_i6_init")
    straight = whole(folder, run)
    assert equal(straight, killed_everywhere(folder, run))
    assert equal(straight, whole(folder, run, "taped", hardware=Taped()))
    plain = whole(folder, run_of(f"full_{RULE}_i6_init"))
    assert not same(straight.weights, plain.weights)
    # An average that is evaluated alone leaves training as it is.
    assert same(straight.network, plain.network) == (spelling == "ema0.9")


def same(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("rule", ["sgd-lr0.05-m0.9-b16", "muon-lr0.01-b16"])
def test_all_together_they_end_in_the_same_bits(folder: Folder, rule: str):
    run = run_of(f"full+augment_{rule}+{TOGETHER}_i6_init")
    straight = whole(folder, run)
    assert equal(straight, killed_everywhere(folder, run))
    assert equal(straight, whole(folder, run, "taped", hardware=Taped()))


@pytest.mark.usefixtures("own_members")
@pytest.mark.parametrize(
    "model",
    ["resnet20-w2", "resnet-d1w2-group-crelu", "mlp-d2w8", "vit-p4d1w8", "lenet", "tokens",
     "frozennet", "sparenet", "noisynet"],
)  # fmt: skip
def test_all_of_them_work_on_every_network(folder: Folder, model: str):
    straight = whole(folder, run_of(f"full_{RULE}+{TOGETHER}_i3_init", model=model))
    assert straight.diverged is None
    assert all(value.isfinite().all() for value in straight.weights.values())


def test_they_work_on_a_large_network(chain: Chain):
    """But for the one that sorts all of its weights, in which nothing depends on their number."""
    spelt = "+".join(one for one in TOGETHER.split("+") if not one.startswith("wasserstein"))
    stage = chain.prepared(run_of(f"full_{RULE}+{spelt}_i1_init", model="vgg16"))
    state = stage.train_state
    before = copied(state.network)
    train_on(state, stage.train, stage.batches(0), EpochProgress.begin(stage.device))
    for network in (state.network, state.methods.evaluated(state.network)):
        assert all(value.isfinite().all() for value in network.state_dict().values())
        assert not any(same({name: one}, before) for name, one in network.named_parameters())


def test_pruned_weights_stay_zero(chain: Chain):
    run = run_of(f"full_{RULE}+{TOGETHER}_e2_ticket1-p0.5")
    ended = checkpoint.load(chain.state(run))
    assert ended.mask
    for name, mask in ended.mask.items():
        for state in (ended.network, ended.weights):
            assert (state[name][~mask] == 0).all()
            assert (state[name][mask] != 0).any()
    followed = run_of(str(run).split("/")[-1], f"full_{RULE}+sam0.1+hare0.9every1_e2_rewind")
    ended = checkpoint.load(chain.state(followed))
    assert all((ended.weights[name][~mask] == 0).all() for name, mask in ended.mask.items())


def test_both_gradients_of_a_pruned_network_leave_what_is_pruned(chain: Chain, monkeypatch):
    """The weights at which the second one is taken are those of the sub-network."""
    run = run_of(f"full_{RULE}+sam0.5_e1_ticket1-p0.5")
    mask = chain.mask(run.ticket)
    pruned = {name: ~layer for name, layer in masks.read_mask(mask).layers.items()}
    original, seen = loop.TrainState.backward, []

    def backward(self, images, labels):
        seen.append({name: value.clone() for name, value in masks.prunable(self.network).items()})
        return original(self, images, labels)

    monkeypatch.setattr(loop.TrainState, "backward", backward)
    chain.folder.train(run, mask=mask)
    assert len(seen) == 2 * 4
    assert all((one[name][where] == 0).all() for one in seen for name, where in pruned.items())
    first, second = seen[:2]
    assert not same(first, second)


# What is handed on


@pytest.mark.parametrize("spelling", SECOND)
def test_later_stages_start_from_the_second_network(chain: Chain, spelling: str):
    first = run_of(f"full_{RULE}+{spelling}_e2_init")
    ended = checkpoint.load(chain.state(first))
    assert not same(ended.weights, ended.network)
    after = chain.prepared(run_of(f"full_{RULE}+{spelling}_e2_init", f"full_{RULE}_e1_keep"))
    assert same(after.train_state.network.state_dict(), ended.weights)


def test_the_hare_starts_again_between_epochs_and_not_at_the_end(folder: Folder, monkeypatch):
    """Four steps an epoch: before the fifth the hare is where the tortoise was after the fourth."""
    from plasticity.interventions.methods.hare import Hare

    seen, original = [], Hare.change_weights

    def change_weights(self, at):
        original(self, at)
        seen.append((copied(at.network), copied(self.tortoise)))

    begun, event = [], Hare.event

    def happens(self, at):
        event(self, at)
        begun.append((len(seen), copied(at.network), copied(self.tortoise)))

    monkeypatch.setattr(Hare, "change_weights", change_weights)
    monkeypatch.setattr(Hare, "event", happens)
    whole(folder, run_of(f"full_{RULE}+hare0.9every2_e4_init"))
    assert len(seen) == 16
    ((steps, hare, tortoise),) = begun
    assert steps == 8
    assert same(hare, tortoise)
    assert same(tortoise, seen[7][1])
    assert not same(seen[7][0], seen[7][1])


def copied(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_a_rung_goes_on_with_what_a_method_remembers(folder: Folder):
    """Ten epochs, then ten more, as twenty in one piece."""
    spelt = f"half_{RULE}+shrinkperturb0.001x0.01+hare0.9every3_e{{}}_init"
    long = run_of(spelt.format(20))
    assert str(long.rung) == str(run_of(spelt.format(10)))
    rung = folder.train(long.rung, "rung").checkpoint
    ended = checkpoint.load(folder.train(long, "from rung", rung=rung).checkpoint)
    assert equal(ended, whole(folder, long))
