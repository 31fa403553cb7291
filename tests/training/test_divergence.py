"""Training that diverged: it stops and says where, and what goes on from it has diverged too."""

import os
import signal
from dataclasses import replace

import pytest
import torch
from chain import Chain
from tiny import CODE, HARDWARE, equal

from plasticity.core.shutdown import Ended
from plasticity.models import masks
from plasticity.observe import connectivity, telemetry
from plasticity.observe.connectivity import observe_connectivity
from plasticity.observe.telemetry import observe_telemetry
from plasticity.runs import Run, metrics
from plasticity.runs.cadence import Cadence
from plasticity.training import checkpoint, loop, train
from plasticity.training.checkpoint import Divergence

PLACE = "digits-clutter/resnet20-w2/seed0"
SGD, WILD = "sgd-lr0.1-b16", "sgd-lr1000000000000000-b16"
DEAD = Run.parse(f"{PLACE}/full_{WILD}_e3_init")
STEPS = 4
"""Steps of an epoch: 64 examples in batches of 16."""


def facts(chain: Chain, run: Run):
    """The epochs that were measured, and what the metrics say about the run."""
    chain.state(run)
    table, about = metrics.read(chain.folder.outputs(run).metrics)
    return table["epoch"].to_pylist(), about


def first_bad_step(chain: Chain, run: Run) -> int:
    """The first step whose loss is not finite, found loss by loss."""
    stage = chain.prepared(run)
    step = stage.steps.begin
    while True:
        for batch in stage.order.rest_of_epoch(step, stage.device):
            step += 1
            part = loop.EpochProgress.begin(stage.device)
            loop.train_on(stage.train_state, stage.train, iter([batch]), part)
            if not part.sums[0].isfinite():
                return step


def poisoned(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """The weights are no longer finite after so many steps."""
    bare, made = loop.bare_step, 0

    def bare_step(optimiser):
        step = bare(optimiser)

        def poison():
            nonlocal made
            step()
            made += 1
            if made == at:
                with torch.no_grad():
                    optimiser.param_groups[0]["params"][0].view(-1)[0] = float("nan")

        return poison

    monkeypatch.setattr(loop, "bare_step", bare_step)


def test_it_stops_and_tells_the_step(chain: Chain):
    lines: list[str] = []
    chain.folder.train(DEAD, log=lines.append)
    expected = first_bad_step(chain, DEAD)
    assert 1 < expected <= STEPS  # within an epoch, not at its end
    epochs, about = facts(chain, DEAD)
    assert (epochs, about["diverged_step"]) == ([], expected)
    assert (about["begins"], about["ends"]) == (0, 3 * STEPS)
    assert lines == [f"epoch 1: diverged at step {expected}, training stops here"]
    assert checkpoint.load(chain.state(DEAD)).diverged == Divergence(expected, 3 * STEPS)


def test_a_run_that_does_not_says_so(chain: Chain):
    epochs, about = facts(chain, Run.parse(f"{PLACE}/full_{SGD}_e1_init"))
    assert (epochs, about["diverged_step"]) == ([1], None)
    assert "diverged_step" in about


@pytest.mark.parametrize("at", [5, 6, 7, 8])
def test_epochs_before_it_are_kept(chain: Chain, monkeypatch: pytest.MonkeyPatch, at: int):
    """The loss is that of the step after; weights that the last step broke are found as well."""
    poisoned(monkeypatch, at)
    run = Run.parse(f"{PLACE}/full_{SGD}_e3_init")
    epochs, about = facts(chain, run)
    assert epochs == [1]
    assert about["diverged_step"] == min(at + 1, 8)
    assert len(checkpoint.load(chain.state(run)).history) == 1


def test_weights_that_nothing_uses_count(chain: Chain):
    stage = chain.prepared(Run.parse(f"{PLACE}/full_{SGD}_e1_init"))
    network = stage.train_state.network
    network.spare = torch.nn.Parameter(torch.tensor([1.0, float("inf")]))
    part = loop.EpochProgress.begin(stage.device)
    loop.train_on(stage.train_state, stage.train, stage.order.rest_of_epoch(0, stage.device), part)
    measured = loop.finish_epoch(stage.train_state, 1, STEPS, part, stage.test)
    assert measured == loop.Diverged(STEPS)


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_an_attempt_that_was_ended_finds_the_same_step(chain: Chain, at: int):
    original, calls = loop.add_batch, 0

    def counted(*arguments):
        nonlocal calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "add_batch", counted)
        with pytest.raises(Ended):
            chain.folder.train(DEAD)
    _, about = facts(chain, DEAD)
    assert about["diverged_step"] == first_bad_step(chain, DEAD)


def test_an_attempt_that_was_ended_after_it_is_not_accepted(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
):
    original = loop.Diverged

    def asked(step):
        os.kill(os.getpid(), signal.SIGTERM)
        return original(step)

    monkeypatch.setattr(loop, "Diverged", asked)
    with pytest.raises(Ended):
        chain.folder.train(DEAD)
    monkeypatch.undo()
    assert not chain.folder.outputs(DEAD).metrics.exists()
    assert facts(chain, DEAD)[1]["diverged_step"] == first_bad_step(chain, DEAD)


def test_a_rung_that_diverged_goes_on_as_what_it_is(chain: Chain):
    rung = Run.parse(f"{PLACE}/full_{WILD}_e10_init")
    longer = Run.parse(f"{PLACE}/full_{WILD}_e20_init")
    assert longer.rung == rung
    lines: list[str] = []
    place = chain.folder.train(longer, "continued", rung=chain.state(rung), log=lines.append)
    assert lines == ["continuing from the shorter pretraining of 0 epochs"]
    continued, whole = checkpoint.load(place.checkpoint), checkpoint.load(chain.state(longer))
    assert continued.diverged == whole.diverged == Divergence(whole.diverged.step, 20 * STEPS)
    assert continued.history == whole.history == []
    assert {name for name, value in whole.network.items() if not value.isfinite().all()}


@pytest.mark.parametrize("start", ["keep", "reset1", "reset1+2+3+4+5"])
def test_what_goes_on_from_it_is_not_trained(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, start: str
):
    step = facts(chain, DEAD)[1]["diverged_step"]
    monkeypatch.setattr(train, "train_on", None)
    run = Run.parse(f"{DEAD}/full_{SGD}_e2_{start}")
    later = Run.parse(f"{run}/full_{SGD}_e1_keep")
    for one, ends in ((run, 2), (later, 1)):
        epochs, about = facts(chain, one)
        assert (epochs, about["diverged_step"]) == ([], step)
        assert (about["begins"], about["ends"]) == (0, ends * STEPS)
        assert about["perturbation"] is None


def test_a_stage_on_the_clock_of_one_that_diverged_begins_where_that_should_have_ended(
    chain: Chain,
):
    run = Run.parse(f"{PLACE}/full_{WILD}_i6_init/full_{WILD}_till3_keep")
    _, about = facts(chain, run)
    assert (about["begins"], about["ends"]) == (6, 12)
    assert about["diverged_step"] == facts(chain, run.parent)[1]["diverged_step"]


def test_masks_of_it_and_what_trains_with_them_have_diverged(chain: Chain):
    """At every level, with as many weights left as otherwise."""
    for level in (1, 2):
        for words in ("", "-random", "-noise1", "-shuffle-layer"):
            run = Run.parse(f"{PLACE}/full_{WILD}_e3_ticket{level}{words}-p0.5")
            epochs, about = facts(chain, run)
            mask = masks.read_mask(chain.mask(run.ticket))
            assert mask.diverged == about["diverged_step"] == facts(chain, DEAD)[1]["diverged_step"]
            assert epochs == []
            assert about["density"] == pytest.approx(0.5**level, abs=1e-3)


def test_it_is_finished_once(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    """An attempt that waited for another one sees that nothing is left to do."""
    run = Run.parse(f"{DEAD}/full_{SGD}_e2_keep")
    chain.state(run)
    stage = chain.prepared(run)
    assert train.is_finished(chain.folder.outputs(run), train.describe(stage, HARDWARE))


def observed(chain: Chain, run: Run, tmp_path, lines):
    inputs = train.Inputs(
        chain.folder.train_file,
        chain.folder.test_file,
        chain.folder.split(run),
        chain.state(run.parent) if run.parent else None,
    )
    output = tmp_path / "observed.parquet"
    return inputs, output, lines.append


def test_telemetry_ends_before_it(chain: Chain, tmp_path):
    lines: list[str] = []
    inputs, output, log = observed(chain, DEAD, tmp_path, lines)
    final = chain.state(DEAD)
    step = checkpoint.load(final).diverged.step
    observe_telemetry(DEAD, inputs, final, output, HARDWARE, Cadence(9, 9, 1, 9), CODE, log)
    table, about = telemetry.read(output)
    assert about["diverged_step"] == step
    assert max(table["iteration"].to_pylist()) == step - 1
    assert f"the run diverged at step {step}: not observed from there on" in lines


def test_telemetry_of_what_goes_on_from_it_is_empty(chain: Chain, tmp_path):
    run = Run.parse(f"{DEAD}/full_{SGD}_e3_keep")
    inputs, output, log = observed(chain, run, tmp_path, [])
    final = chain.state(run)
    observe_telemetry(run, inputs, final, output, HARDWARE, Cadence(9, 9, 1, 9), CODE, log)
    assert telemetry.read(output)[0].num_rows == 0


def test_there_is_no_barrier_where_an_end_diverged(chain: Chain, tmp_path):
    run = Run.parse(f"{PLACE}/full_{SGD}_i4_init/full_{SGD}_till2_keep")
    alive = [chain.state(one) for one in (run, run.reordered_run)]
    state = checkpoint.load(alive[1])
    dead = tmp_path / "dead"
    checkpoint.save(dead, replace(state, diverged=Divergence(7, 8)))
    tables = {}
    for name, ends in (("both", alive), ("one", [alive[0], dead])):
        inputs, output, log = observed(chain, run, tmp_path, [])
        observe_connectivity(run, inputs, ends, output, HARDWARE, 3, 40, CODE, log)
        tables[name], _ = connectivity.read(output)
    assert tables["both"]["reason"].null_count == 3
    assert tables["both"]["test_accuracy"].null_count == 0
    assert tables["one"]["alpha"].to_pylist() == [0, 0.5, 1]
    assert tables["one"]["test_accuracy"].null_count == tables["one"]["train_loss"].null_count == 3
    assert set(tables["one"]["reason"].to_pylist()) == {f"{run.reordered_run} diverged at step 7"}


def test_a_line_through_what_is_not_finite_has_no_accuracy_there(chain: Chain, tmp_path):
    run = Run.parse(f"{PLACE}/full_{SGD}_i4_init/full_{SGD}_till2_keep")
    ends = [chain.state(one) for one in (run, run.reordered_run)]
    state = checkpoint.load(ends[1])
    # So large that even a few of them have no finite sum, on any processor.
    head = {
        name: torch.full_like(value, 3e38)
        for name, value in state.network.items()
        if "weight" in name
    }
    broken = tmp_path / "broken"
    checkpoint.save(broken, replace(state, network={**state.network, **head}))
    lines: list[str] = []
    inputs, output, log = observed(chain, run, tmp_path, lines)
    observe_connectivity(run, inputs, (ends[0], broken), output, HARDWARE, 3, 40, CODE, log)
    table, _ = connectivity.read(output)
    assert table["test_accuracy"].to_pylist()[0] is not None
    assert table["test_accuracy"].to_pylist()[-1] is None
    assert lines[-1] == "no barrier: the loss is not finite everywhere on the line"


def test_a_finished_state_is_the_same_each_time(chain: Chain):
    again = checkpoint.load(chain.folder.train(DEAD, "again").checkpoint)
    first = checkpoint.load(chain.state(DEAD))
    assert first.diverged == again.diverged
    assert not equal(first, again)  # what is no number equals nothing
    assert first.digest == again.digest
