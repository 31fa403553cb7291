"""Methods at work beside update rules: to the same bits however a stage is trained."""

from pathlib import Path

import pytest
import torch
from chain import Chain
from killed import killed_everywhere, whole
from own_methods import KINDS, declared, own_methods  # noqa: F401 (a fixture)
from test_cuda_graphs import Taped
from tiny import Folder, equal

from plasticity.core.errors import UserError
from plasticity.interventions.method import Method
from plasticity.observe.calibration import network_cost
from plasticity.observe.telemetry import iterations
from plasticity.runs import MethodFacts, Run
from plasticity.runs.workload import Workload
from plasticity.training import checkpoint
from plasticity.training.loop import evaluate

PLACE = "digits-clutter/resnet-d1w2/seed0"
ALL = "l2init0.1+noise0.01+fade0.001+forget2+follow1"
pytestmark = pytest.mark.usefixtures("own_methods")


def run_of(*stages: str) -> Run:
    return Run.parse("/".join([PLACE, *stages]))


RULES = [("adam-lr0.01-b16", spelt) for spelt in KINDS] + [("sgd-lr0.05-m0.9-b16", ALL)]


@pytest.mark.parametrize(("rule", "spelt"), RULES)
def test_killed_and_recorded_it_ends_in_the_same_bits(folder: Folder, rule: str, spelt: str):
    run = run_of(f"full_{rule}+{spelt}_e2_init")
    straight = whole(folder, run)
    assert equal(straight, killed_everywhere(folder, run))
    recorded = whole(folder, run, "taped", hardware=Taped())
    assert equal(straight, recorded)


@pytest.mark.parametrize("spelt", KINDS)
def test_each_moves_the_weights(folder: Folder, spelt: str):
    """So that equal bits above are those of its work."""
    plain = whole(folder, run_of("full_adam-lr0.01-b16_e2_init"), "plain")
    other = whole(folder, run_of(f"full_adam-lr0.01-b16+{spelt}_e2_init"))
    assert not all(torch.equal(plain.weights[n], other.weights[n]) for n in plain.weights)


def test_a_longer_stage_goes_on_from_a_rung(folder: Folder):
    rule = f"full_adam-lr0.01-b32+{ALL}"
    long, rung = run_of(f"{rule}_e11_init"), run_of(f"{rule}_e10_init")
    assert long.rung == rung
    place = folder.train(rung, "rung").checkpoint
    assert equal(whole(folder, long), whole(folder, long, "continued", rung=place))


def test_a_stage_that_is_observed_goes_the_same_way(folder: Folder):
    run = run_of(f"full_adam-lr0.01-b16+{ALL}_e2_init")
    trained = whole(folder, run)
    stage = Chain(folder).prepared(run)
    steps = stage.steps.end - stage.steps.begin
    for _ in iterations(stage, [0, 1, 2, 5, steps]):
        pass
    state = stage.train_state.network.state_dict()
    assert all(torch.equal(state[name], trained.network[name]) for name in state)


def test_what_was_evaluated_is_what_a_later_stage_starts_from(folder: Folder):
    chain = Chain(folder)
    run = run_of("half_adam-lr0.01-b16+follow1_e2_init", "full_adam-lr0.01-b16_e1_keep")
    before = checkpoint.load(chain.state(run.parent))
    assert any(not torch.equal(before.network[n], before.weights[n]) for n in before.network)
    state = chain.prepared(run).train_state.network.state_dict()
    assert all(torch.equal(state[name], before.weights[name]) for name in state)
    # The accuracy in its metrics is of these weights too.
    stage = chain.prepared(run)
    _, correct, count, _ = evaluate(stage.train_state, stage.test).tolist()
    assert correct / count == before.history[-1].test_accuracy


class TestRefusals:
    def refused(self, folder: Folder, run: Run, match: str) -> None:
        with pytest.raises(UserError, match=match):
            folder.train(run)

    def test_what_is_no_method(self, folder: Folder):
        run = declared("none", lambda network: "none")
        self.refused(folder, run, "method none: returns str; expected a plasticity.interventions")

    def test_two_methods_that_call_two_modules_alike(self, folder: Folder):
        class Mine(Method):
            def watched(self):
                return {"first": torch.nn.ReLU()}

        declared("other", lambda network: Mine())
        run = run_of("full_sgd-lr0.1-b16+quiet0.1+other_e2_init")
        self.refused(folder, run, "method Mine: calls a module 'first' that it watches, and")

    def test_an_event_that_never_comes(self, folder: Folder):
        class Mine(Method):
            def event(self, at):
                pass

        run = declared("silent", lambda network: Mine())
        self.refused(folder, run, "method silent: has an event and does not say when it happens")

    def test_a_time_without_an_event(self, folder: Folder):
        run = declared("idle", lambda network: Method(), every=(2, "steps"))
        self.refused(
            folder, run, "method idle: declares every among its facts, and Method has no event"
        )

    def test_an_event_that_counts_in_python(self, folder: Folder):
        class Mine(Method):
            done = 0

            def event(self, at):
                self.done += 1

        run = declared("counting", lambda network: Mine(), every=(2, "steps"))
        self.refused(folder, run, "method Mine: its event changes a number or replaces a tensor")

    def test_what_cannot_be_saved(self, folder: Folder):
        class Mine(Method):
            def __init__(self):
                self.odd = object()

        run = declared("strange", lambda network: Mine())
        self.refused(folder, run, "method Mine: method 0/odd is of the type object, which cannot")

    @pytest.mark.parametrize("wrong", [(0, "steps"), (1, "days"), 5, "often"])
    def test_a_time_that_is_none(self, wrong):
        with pytest.raises(ValueError, match="every: got"):
            MethodFacts(acts="weights", every=wrong)


def test_what_it_counts_in_python_goes_on_and_is_not_recorded(folder: Folder):
    class Mine(Method):
        def __init__(self):
            self.done = 0

        def change_weights(self, at):
            self.done += 1
            for parameter in at.network.parameters():
                parameter.mul_(1 - 0.001 * self.done)

    run = declared("fading", lambda network: Mine())
    assert equal(whole(folder, run), killed_everywhere(folder, run))
    with pytest.raises(UserError, match="execution: SGD or Mine counts its steps"):
        whole(folder, run, "taped", hardware=Taped())


@pytest.mark.parametrize("spelt", ["l2init0.1", "twice0.05", "follow1", ALL])
def test_a_checkpoint_is_as_large_as_counted(tmp_path: Path, spelt: str):
    run = run_of(f"full_adam-lr0.001-b16+{spelt}_e1_init")
    size = Folder.prepare(tmp_path).train(run).checkpoint.stat().st_size
    workload = Workload(1, 8, 2, run.model, run.stage.optimiser, methods=run.stage.methods)
    assert Workload.parse(str(workload)) == workload
    assert workload.passes == (2 if "twice" in spelt else 1)
    assert network_cost(workload).checkpoint(epochs=1) == pytest.approx(size, rel=0.02)
