"""What is left to train, by hand: which files are there decides, and dropped checkpoints do not."""

import pytest

from plasticity import layout
from plasticity.spec import Run
from plasticity.study.progress import Jobs, is_finished, left

PLACE = "cifar10/resnet18/seed0/"
COLD = Run.parse(PLACE + "full_adam-lr0.001_e5_init")
HALF = Run.parse(PLACE + "half_adam-lr0.001_e30_init")
WARM = Run.parse(f"{HALF}/full_adam-lr0.001_e5_keep")
RESET = Run.parse(f"{HALF}/full_adam-lr0.001_e5_reset6")
LATER = Run.parse(f"{HALF}/half_adam-lr0.001_e1_keep/full_adam-lr0.001_e5_keep")
RUNGS = [HALF.rung, HALF.rung.rung]  # 20 and 10 epochs


def files(*runs, kind="pretrain", dropped=False):
    """What a finished job leaves."""
    found = {layout.metrics(run, kind) for run in runs}
    if kind == "pretrain" and not dropped:
        found |= {layout.checkpoint(run) for run in runs}
    return found


def jobs(runs, there=frozenset(), **more):
    found = left(runs, present=there.__contains__, **more)
    return set(found.pretrain), set(found.tune)


def test_the_rungs_of_the_test():
    assert [run.stage.epochs for run in RUNGS] == [20, 10]


def test_at_first_everything_is_left():
    assert jobs([COLD, WARM, RESET]) == ({HALF, *RUNGS}, {COLD, WARM, RESET})
    assert jobs([LATER]) == ({HALF, *RUNGS, LATER.parent}, {LATER})


def test_at_last_nothing_is_left():
    there = files(COLD, WARM, kind="tune") | files(HALF, *RUNGS)
    assert jobs([COLD, WARM], there) == (set(), set())


def test_dropped_checkpoints_are_not_missed():
    there = files(COLD, WARM, kind="tune") | files(HALF, *RUNGS, dropped=True)
    assert jobs([COLD, WARM], there) == (set(), set())


def test_a_new_run_brings_back_what_it_starts_from_and_no_finished_run():
    there = files(COLD, WARM, kind="tune") | files(HALF, *RUNGS, dropped=True)
    assert jobs([COLD, WARM, RESET], there) == ({HALF, *RUNGS}, {RESET})


def test_a_rung_that_was_kept_is_continued():
    there = files(WARM, kind="tune") | files(HALF, dropped=True) | files(*RUNGS)
    assert jobs([WARM, RESET], there) == ({HALF}, {RESET})


def test_what_is_told_of_pretraining_is_made_too():
    """Tables need the metrics of pretraining, also where the tuned run is there."""
    assert jobs([WARM], files(WARM, kind="tune")) == ({HALF, *RUNGS}, set())


def test_a_checkpoint_that_is_asked_for_itself():
    there = files(HALF, *RUNGS, dropped=True)
    assert jobs([], there, pretrained=[HALF]) == ({HALF, *RUNGS}, set())
    assert jobs([], files(HALF), pretrained=[HALF]) == (set(), set())


@pytest.mark.parametrize(
    ("run", "kind", "there", "needed", "finished"),
    [
        (WARM, "tune", set(), (), False),
        (WARM, "tune", files(WARM, kind="tune"), (), True),
        (WARM, "tune", files(WARM, kind="tune") | files(HALF), (), False),  # it still stands there
        (COLD, "tune", files(COLD, kind="tune"), (), False),  # nothing that could be dropped
        (HALF, "pretrain", set(), (), False),
        (HALF, "pretrain", files(HALF), (), False),
        (HALF, "pretrain", files(HALF, dropped=True), (), True),
        (HALF, "pretrain", files(HALF, dropped=True), (HALF,), False),
    ],
)
def test_when_a_job_no_longer_needs_what_it_was_trained_from(run, kind, there, needed, finished):
    wanted = Jobs(frozenset(needed), frozenset())
    assert is_finished(run, kind, wanted, there.__contains__) is finished
