"""What users' own networks and rules draw and remember: the same bits, or refused by name."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from chain import Chain
from killed import disturb, killed_everywhere, whole
from own_members import REFUSED, STORABLE, own_members  # noqa: F401 (a fixture)
from tiny import Folder, equal

from plasticity.core.errors import UserError
from plasticity.models import generators
from plasticity.observe.telemetry import iterations
from plasticity.runs import Run
from plasticity.training import checkpoint, optimiser_state

pytestmark = pytest.mark.usefixtures("own_members")
PLACE = "digits-clutter/{model}/seed0/full_{rule}-b16_e{epochs}_init"
RULES = [rule.__name__ for rule in STORABLE]


def run_of(model="dropnet", rule="adam-lr0.01", epochs=3) -> Run:
    return Run.parse(PLACE.format(model=model, rule=rule, epochs=epochs))


@pytest.mark.parametrize("model", ["dropnet", "noisynet"])
def test_draws_of_the_global_generators_are_those_of_the_run(folder: Folder, model: str):
    run = run_of(model)
    first = whole(folder, run)
    assert equal(first, whole(folder, run, "again"))
    assert equal(first, killed_everywhere(folder, run))


@pytest.mark.parametrize("model", ["dropnet", "noisynet"])
def test_a_rung_goes_on_with_the_same_draws(folder: Folder, model: str):
    """What a longer stage goes on from, as the uninterrupted one."""
    rung = folder.train(run_of(model, epochs=10), "rung").checkpoint
    longer = run_of(model, epochs=20)
    assert str(longer.rung) == str(run_of(model, epochs=10))
    assert equal(whole(folder, longer), whole(folder, longer, "continued", rung=rung))


def test_stages_and_seeds_draw_otherwise():
    def drawn(path: str) -> float:
        generators.seed(Run.parse(path), torch.device("cpu"))
        return float(torch.rand(()))

    one = "digits-clutter/dropnet/seed{}/full_adam-lr0.01_e1_init"
    paths = [one.format(0), one.format(1), one.format(0) + "/full_adam-lr0.01_e1_keep"]
    assert len({drawn(path) for path in paths}) == 3
    assert drawn(paths[0]) == drawn(paths[0].replace("e1", "e2"))  # its rung draws alike


def test_an_own_start_draws_the_same(folder: Folder):
    run = Run.parse(str(run_of("resnet-d1w2", epochs=1)) + "/full_adam-lr0.01-b16_e1_jolt")
    parent = folder.train(run.parent).checkpoint
    first = whole(folder, run, parent=parent)
    assert equal(first, whole(folder, run, "again", parent=parent))


@pytest.mark.parametrize("model", ["dropnet", "noisynet"])
def test_an_observation_sees_the_bits_of_the_run(folder: Folder, model: str):
    """Though it evaluates at other steps, which in a network with noise draws as well."""
    from plasticity.training.loop import evaluate

    run = run_of(model, epochs=2)
    trained = whole(folder, run)
    disturb()
    stage = Chain(folder).prepared(run)
    for _ in iterations(stage, [1, 2, 3, 8]):
        evaluate(stage.train_state, stage.test)
    state = stage.train_state.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in trained.network.items())


def test_states_of_generators_read_back():
    generators.seed(run_of(), torch.device("cpu"))
    random.gauss(0, 1)
    np.random.normal()
    state = generators.states(torch.device("cpu"))

    def draws():
        ours = (random.gauss(0, 1), random.random(), np.random.normal(), np.random.random())
        return (*ours, float(torch.rand(())))

    first = draws()
    generators.restore(state)
    assert draws() == first
    with generators.kept(torch.device("cpu")):
        after = draws()
    assert draws() == after


# What rules remember


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_goes_on_as_if_it_had_not_stopped(folder: Folder, rule: str):
    run = run_of("dropnet", f"{rule}-lr0.05")
    assert equal(whole(folder, run), killed_everywhere(folder, run))


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_goes_on_from_a_rung(folder: Folder, rule: str):
    rung = folder.train(run_of("sparenet", f"{rule}-lr0.05", 10), "rung").checkpoint
    longer = run_of("sparenet", f"{rule}-lr0.05", 20)
    assert equal(whole(folder, longer), whole(folder, longer, "continued", rung=rung))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("inner", "optimiser Outer: attribute base is of the type SGD, which cannot be saved"),
        ("noting", "optimiser Noting: state/0/note is of the type object, which cannot be saved"),
    ],
)
def test_what_cannot_be_saved_is_refused_after_one_step(folder: Folder, rule: str, words: str):
    assert {one.__name__ for one in REFUSED} == {"inner", "noting"}
    lines: list[str] = []
    with pytest.raises(UserError, match=words):
        folder.train(run_of(rule=f"{rule}-lr0.05"), keep=False, log=lines.append)
    assert lines == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({(1, 2): 3}, "slot has keys of the type tuple"),
        ({None: 3}, "slot has keys of the type NoneType"),
        ({1: 3, "1": 4}, "slot has keys that are spelt alike"),
        ([1, {2}], "slot/1 is of the type set"),
        (torch.zeros(2).to_sparse(), "slot is a tensor that is sparse"),
        (torch.arange(4.0)[None].expand(2, 4), None),
    ],
)
def test_values_are_refused_by_their_place(value, words):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    optimiser.param_groups[0]["slot"] = value
    if words is None:
        optimiser_state.taken_apart(optimiser)
        return
    with pytest.raises(UserError, match=f"optimiser SGD: param_groups/0/{words}"):
        optimiser_state.taken_apart(optimiser)


@pytest.mark.parametrize("options", [{}, {"fused": True}])
@pytest.mark.parametrize("rule", ["Adagrad", "Adam", "AdamW", "SGD"])
def test_of_the_attributes_of_a_rule_only_those_that_a_user_added_are_saved(rule, options):
    """Torch's fused rules note in others how a step is carried out."""

    class Counts(getattr(torch.optim, rule)):
        _calls = 0

        def step(self, closure=None):
            self._calls += 1
            return super().step(closure)

    parameter = torch.nn.Parameter(torch.zeros(2))
    optimiser = Counts([parameter], lr=0.1, **options)
    parameter.grad = torch.ones(2)
    optimiser.step()
    plain, _ = optimiser_state.taken_apart(optimiser)
    assert plain["attributes"] == {"_calls": 1}


def test_views_of_memory_that_is_kept_elsewhere_are_refused():
    parameter = torch.nn.Parameter(torch.zeros(4))
    optimiser = torch.optim.SGD([parameter], lr=0.1)
    whole = torch.zeros(4)
    optimiser.state[parameter] = {"halves": [whole[:2], whole[2:]]}
    optimiser_state.taken_apart(optimiser)  # which share nothing
    optimiser.state[parameter]["whole"] = whole
    with pytest.raises(UserError, match="state/0/whole shares memory"):
        optimiser_state.taken_apart(optimiser)
    optimiser.state[parameter] = {"view": parameter.detach()[1:]}
    with pytest.raises(UserError, match="state/0/view shares memory"):
        optimiser_state.taken_apart(optimiser)


def test_values_of_all_kinds_come_back(tmp_path):
    """With their types, their memory order, and what is the same thing still being it."""
    parameter = torch.nn.Parameter(torch.zeros(2, 3))

    def made():
        return torch.optim.SGD([parameter], lr=0.1, momentum=0.9)

    optimiser = made()
    half = torch.arange(6, dtype=torch.bfloat16).view(3, 2).t()
    kept = {
        "half": half, "none": None, "flag": True, "words": "a", "pair": (1, 2.5),
        "many": [float("inf"), 10**30, {"a": half, 3: [half]}], "owner": parameter,
        "numbers": np.arange(3, dtype=np.int16), "number": np.float32(0.1),
    }  # fmt: skip
    optimiser.state[parameter] = kept
    optimiser.more, optimiser.groups = [kept["many"]], optimiser.param_groups
    optimiser.param_groups[0]["lr"] = np.float64(0.05)
    identity = checkpoint.Identity(*["x"] * 11)
    network = torch.nn.Module()
    network.weight = parameter
    checkpoint.save(tmp_path / "s", checkpoint.capture(identity, network, optimiser, []))
    other = made()
    checkpoint.restore(checkpoint.load(tmp_path / "s"), network, other)
    found = other.state[parameter]
    assert (found["none"], found["flag"], found["words"], found["pair"]) == (
        None,
        True,
        "a",
        (1, 2.5),
    )
    assert found["half"].dtype is torch.bfloat16
    assert found["half"].stride() == half.stride()
    assert torch.equal(found["half"], half)
    assert found["many"][:2] == kept["many"][:2]
    assert found["many"][2]["a"] is found["half"]
    assert found["many"][2][3][0] is found["half"]
    assert found["owner"] is parameter
    assert found["numbers"].dtype == np.int16
    assert found["numbers"].tolist() == [0, 1, 2]
    assert isinstance(found["number"], np.float32)
    assert other.more[0] is found["many"]
    assert other.groups is other.param_groups
    assert other.param_groups[0]["lr"] == 0.05
    assert other.param_groups[0]["momentum"] == 0.9


def test_a_state_of_an_earlier_version_is_left_alone(folder: Folder):
    """It may still be a parent; nothing is misread."""
    run = run_of(epochs=2)
    outputs = folder.outputs(run)
    state = checkpoint.load(folder.train(run, "whole").checkpoint)
    checkpoint.save(outputs.resume, replace(state, plain=None, generators={}))
    lines: list[str] = []
    again = folder.train(run, log=lines.append)
    assert "left by an earlier version, without all of its optimiser" in lines[0]
    assert equal(state, checkpoint.load(again.checkpoint))
