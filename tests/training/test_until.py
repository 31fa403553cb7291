"""Stages that last until a training accuracy: where they stop, and that they do when resumed."""

from dataclasses import replace

import pyarrow.compute as pc
import pytest
from chain import Chain
from killed import killed_everywhere, whole
from made_metrics import ABOUT, history
from tiny import Folder, equal

from plasticity.analysis.summary.runs import Measured, describe_run
from plasticity.observe import telemetry
from plasticity.runs import Run, metrics
from plasticity.runs.cadence import Cadence
from plasticity.runs.length import Length
from plasticity.runs.workload import epochs_of, step_range
from plasticity.training import checkpoint

PLACE = "digits-clutter/resnet-d1w2/seed0"
RULE = "adam-lr0.001-b16"


def run_of(length: str, after: str = "") -> Run:
    return Run.parse(f"{PLACE}/full_{RULE}_{length}_init{after}")


def accuracies(folder: Folder, run: Run) -> list[float]:
    return metrics.read(folder.outputs(run, "whole").metrics)[0]["train_accuracy"].to_pylist()


@pytest.fixture
def target(folder: Folder) -> float:
    """A percentage that is reached in the middle of eight epochs, to the last digit."""
    whole(folder, run_of("e8"))
    found = accuracies(folder, run_of("e8"))
    stops = [n for n in range(2, 7) if found[n] > max(found[:n])]
    return 100 * found[stops[0]]


def test_it_stops_after_the_epoch_that_reaches_it(folder: Folder, target: float):
    """And is the beginning of the stage that goes on."""
    run = run_of(f"until{target:g}x8")
    lines: list[str] = []
    state = whole(folder, run, log=lines.append)
    found, longer = accuracies(folder, run), accuracies(folder, run_of("e8"))
    assert 100 * found[-1] == target > 100 * max(found[:-1])
    assert found == longer[: len(found)]
    assert len(found) < 8
    assert (
        lines[-1] == f"reached its training accuracy after epoch {len(found)}: training stops here"
    )
    assert equal(state, whole(folder, run_of(f"e{len(found)}"), "short"))


def test_it_stops_at_the_cap_otherwise(folder: Folder):
    state = whole(folder, run_of("until100x2"))
    assert equal(state, whole(folder, run_of("e2"), "e"))


def test_it_stops_there_when_killed_anywhere(folder: Folder, target: float):
    run = run_of(f"until{target:g}x8")
    assert equal(whole(folder, run), killed_everywhere(folder, run))


def test_an_attempt_that_was_ended_after_the_last_epoch_only_writes(folder: Folder, target: float):
    run = run_of(f"until{target:g}x8")
    state = whole(folder, run)
    checkpoint.save(folder.outputs(run).resume, state)
    lines: list[str] = []
    again = folder.train(run, log=lines.append)
    assert [line.split(",")[0] for line in lines] == [f"resuming after {len(state.history)} epochs"]
    assert equal(state, checkpoint.load(again.checkpoint))


def test_a_later_stage_goes_on_from_where_it_stopped(folder: Folder, target: float):
    run = run_of(f"until{target:g}x8", f"/full_{RULE}_e1_keep")
    found = checkpoint.load(Chain(folder).state(run))
    same = run_of(f"e{len(accuracies_of(folder, run.parent))}", f"/full_{RULE}_e1_keep")
    assert equal(found, checkpoint.load(Chain(folder).state(same)))


def accuracies_of(folder: Folder, run: Run) -> list[float]:
    return metrics.read(folder.outputs(run).metrics)[0]["train_accuracy"].to_pylist()


@pytest.mark.parametrize("percent", [99, 99.5, 99.9, 33.3, 0.7, 100])
def test_an_accuracy_that_equals_the_target_reaches_it(percent: float):
    """Whatever a division rounds to."""
    length = Length.parse(f"until{percent:g}x3")
    correct = round(percent * 10)
    assert metrics.reaches(correct / 1000, length.percent)
    assert not metrics.reaches((correct - 1) / 1000, length.percent)
    assert not metrics.reaches(1.0, Length.parse("e3").percent)


def test_it_counts_as_its_cap_and_has_no_rungs():
    run = Run.parse("cifar10/resnet18/seed0/half_adam-lr0.001_until99x350_init")
    assert run.rung is None
    capped = replace(run.stage, length=Length("e", 350))
    same = Run.of(run.dataset, run.model, run.seed, (capped,))
    assert (step_range(run), epochs_of(run)) == (step_range(same), 350)
    assert str(run.from_scratch) == str(run)


def test_what_it_took_is_in_the_table():
    """With the final accuracy over the last fifth of what was trained."""
    place = "digits-clutter/resnet-d1w8/seed0/"
    run = Run.parse(f"{place}half_adam-lr0.01_until50x99_init/full_adam-lr0.01_until90x20_keep")
    before = Measured(metrics_of(history([0.1] * 3, [0.3, 0.4, 0.6])), ABOUT)
    test, train = [n / 20 for n in range(10)], [*[0.5] * 9, 0.9]
    row = describe_run(run, Measured(metrics_of(history(test, train)), ABOUT), [before])
    assert (row["epochs"], row["epochs_trained"], row["target_reached"]) == (20, 10, True)
    assert (row["pretrain_epochs"], row["pretrain_epochs_trained"]) == (99, 3)
    assert row["test_accuracy"] == pytest.approx((0.4 + 0.45) / 2)
    row = describe_run(run, Measured(metrics_of(history(test, test)), ABOUT), [before])
    assert row["target_reached"] is False
    diverged = {**ABOUT, "diverged_step": 3}
    row = describe_run(run, Measured(metrics_of([]), diverged), [before])
    assert (row["epochs_trained"], row["target_reached"]) == (0, False)


def metrics_of(rows):
    columns = [[getattr(row, name) for row in rows] for name in metrics.SCHEMA.names]
    return metrics.tables.of_numbers(columns, metrics.SCHEMA)


def test_telemetry_observes_no_step_after_its_end(folder: Folder, target: float):
    run = run_of(f"until{target:g}x8")
    ended = whole(folder, run).iteration
    stage = Chain(folder).prepared(run)
    table = telemetry.observe(stage, None, Cadence(32), lambda line: None, ended=ended)
    assert pc.max(table["iteration"]).as_py() == ended < 32
