"""Schedules of the learning rate: their formulas by hand, and the same rates however a run goes."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from chain import Chain
from hypothesis import given
from hypothesis import strategies as st
from killed import killed_everywhere, whole
from test_cuda_graphs import Taped
from tiny import Folder, equal

from plasticity.observe.telemetry import iterations
from plasticity.runs import Run
from plasticity.training import checkpoint
from plasticity.training.batches import StepRange
from plasticity.training.schedule import Schedule

PLACE = "digits-clutter/resnet-d1w2/seed0"
SGD = "sgd-lr0.1-m0.9-b16"
"""Four steps an epoch on all of the 64 examples, two on half of them."""


def rates_of(chain: Chain, path: str) -> list[float]:
    """The rate of each step of the last stage of `path`."""
    stage, found = chain.prepared(Run.parse(f"{PLACE}/{path}")), []
    done = stage.steps.begin
    while done < stage.steps.end:
        for _ in stage.batches(done):
            found.append(stage.train_state.optimiser.param_groups[0]["lr"])
            done += 1
    return found


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(Folder.prepare(tmp_path))


@pytest.mark.parametrize(
    ("spelt", "expected"),
    [
        ("-warm2", [*(n / 8 for n in range(1, 9)), 1, 1, 1, 1]),
        ("-cosine", [(1 + math.cos(math.pi * n / 12)) / 2 for n in range(12)]),
        ("-warm1-cosine", [0.25, 0.5, 0.75, 1]
            + [(1 + math.cos(math.pi * n / 8)) / 2 for n in range(8)]),
        ("-drop1x2-warm2", [0.125, 0.25, 0.375, 0.5, *(n / 80 for n in (5, 6, 7, 8)), *[0.01] * 4]),
    ],
)  # fmt: skip
def test_rates_by_hand(chain: Chain, spelt: str, expected: list[float]):
    found = rates_of(chain, f"full_{SGD}{spelt}_e3_init")
    assert found == pytest.approx([0.1 * factor for factor in expected], rel=1e-6)


@given(st.integers(1, 20), st.integers(1, 30), st.integers(1, 30), st.booleans())
def test_a_rate_rises_and_then_falls(per_epoch: int, epochs: int, warm: int, cosine: bool):
    """It is never 0, never above the rule's own, and that once the warm-up is over."""
    schedule = Schedule(StepRange(0, epochs * per_epoch, per_epoch), warm=warm, cosine=cosine)
    factors = [schedule.factor(done) for done in range(epochs * per_epoch)]
    assert all(0 < factor <= 1 for factor in factors)
    rising = factors[: warm * per_epoch]
    assert all(one < other for one, other in pairwise(rising))
    assert epochs < warm or rising[-1] == 1
    falling = factors[warm * per_epoch :]
    assert all((one > other) if cosine else (one == other == 1) for one, other in pairwise(falling))


def test_a_stage_begins_its_schedule_anew_unless_its_clock_goes_on(chain: Chain):
    rule = f"{SGD}-warm1-cosine"
    straight = rates_of(chain, f"full_{rule}_e3_init")
    assert rates_of(chain, f"full_{SGD}_i6_init/full_{rule}_till3_keep") == straight[6:]
    assert rates_of(chain, f"full_{SGD}_e2_init/full_{rule}_e3_keep") == straight
    assert rates_of(chain, f"full_{rule}_i6_init")[:4] == straight[:4]
    assert rates_of(chain, f"full_{rule}_i6_init")[5] < straight[5]


@pytest.mark.parametrize("rule", [f"{SGD}-warm1-cosine", "adam-lr0.01-b16-drop1-warm2"])
def test_a_killed_run_follows_it_to_the_same_bits(folder: Folder, rule: str):
    run = Run.parse(f"{PLACE}/half_{rule}_e3_init")
    assert equal(whole(folder, run), killed_everywhere(folder, run))


@pytest.mark.parametrize("rule", [SGD, "sgd-lr0.1-b16", "adam-lr0.01-b16", "muon-lr0.01-wd0.1-b16"])
def test_a_recorded_step_follows_it(folder: Folder, rule: str):
    """Recorded once, to the bits of steps that are not."""
    run, taped = Run.parse(f"{PLACE}/half_{rule}-warm1-cosine_e3_init"), Taped()
    eager, recorded = whole(folder, run), whole(folder, run, "taped", hardware=taped)
    rates = {name for name in recorded.optimiser if name.endswith("/lr")}  # which live on a device
    assert recorded.optimiser.keys() == {*eager.optimiser, *rates}
    kept = {name: recorded.optimiser[name] for name in eager.optimiser}
    assert equal(eager, replace(recorded, optimiser=kept))
    assert taped.tape.recorded == 2  # a step, and the evaluation
    assert taped.tape.replayed >= 3 * 2 - 1 + 3


def test_a_recorded_run_is_resumed_with_its_rates(folder: Folder):
    run = Run.parse(f"{PLACE}/half_{SGD}-warm1-cosine_e3_init")
    recorded = whole(folder, run, hardware=Taped())
    assert equal(recorded, killed_everywhere(folder, run, hardware=Taped()))


def test_a_warm_up_goes_on_from_a_rung_and_a_cosine_has_none(folder: Folder):
    ten, longer = (Run.parse(f"{PLACE}/half_{SGD}-warm11_e{n}_init") for n in (10, 12))
    assert longer.rung == ten
    rung = folder.train(ten, "rung").checkpoint
    assert equal(whole(folder, longer), whole(folder, longer, "continued", rung=rung))
    assert Run.parse(f"{PLACE}/half_{SGD}-cosine_e12_init").rung is None


def test_a_shorter_cosine_is_no_part_of_a_longer_one():
    """So the mask of a ticket is pruned after what trains on from where it is set back to."""
    path = f"{PLACE}/full_{SGD}{{0}}_i6_init/full_{SGD}{{0}}_till3_ticket1"
    assert str(Run.parse(path.format("")).pruned_from) == f"{PLACE}/full_{SGD}_e3_init"
    expected = path.format("-cosine").replace("ticket1", "keep")
    assert str(Run.parse(path.format("-cosine")).pruned_from) == expected


def test_telemetry_follows_it(folder: Folder):
    run = Run.parse(f"{PLACE}/half_{SGD}-warm1-cosine_e3_init")
    stage = Chain(folder).prepared(run)
    for _ in iterations(stage, [1, 3, 6]):
        pass
    found, expected = stage.train_state.network.state_dict(), whole(folder, run).network
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_it_keeps_is_in_the_state(folder: Folder):
    """The rate of the last step, and the one from which it was taken."""
    run = Run.parse(f"{PLACE}/half_{SGD}-cosine_e3_init")
    plain = checkpoint.load(folder.train(run).checkpoint).plain
    group = dict(dict(plain["state"]["dict"])["param_groups"]["list"][0]["dict"])
    assert group["initial_lr"] == 0.1
    assert group["lr"] == pytest.approx(0.05 * (1 + math.cos(math.pi * 5 / 6)), rel=1e-6)
