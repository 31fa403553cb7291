"""What is left to train, by hand: which files are there decides, and dropped checkpoints do not."""

import pytest

from plasticity import layout
from plasticity.spec import Run
from plasticity.study.progress import Jobs, left, still_needs

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


def test_a_finished_run_of_other_code_brings_back_what_was_dropped():
    there = files(WARM, RESET, kind="tune") | files(HALF, *RUNGS, dropped=True)
    found = jobs([WARM, RESET], there, current=lambda run, kind: run != RESET)
    assert found == ({HALF, *RUNGS}, {RESET})
    # Where it stands there, Snakemake sees by itself what is to be trained again.
    there = files(WARM, RESET, kind="tune") | files(HALF, *RUNGS)
    assert jobs([WARM, RESET], there, current=lambda run, kind: False) == (set(), set())


def test_a_checkpoint_made_again_does_not_concern_a_current_run():
    there = files(WARM, kind="tune") | files(HALF)
    nothing = Jobs(frozenset(), frozenset())
    for current in (True, False):
        needs = still_needs(
            WARM, "tune", HALF, nothing, lambda run, kind, yes=current: yes, there.__contains__
        )
        assert needs is not current


@pytest.mark.parametrize(
    ("run", "kind", "earlier", "there", "left_over", "needs"),
    [
        (WARM, "tune", HALF, set(), Jobs(frozenset({HALF}), frozenset({WARM})), True),
        (WARM, "tune", HALF, files(WARM, kind="tune"), Jobs(frozenset(), frozenset()), False),
        # Another run needs the same checkpoint.
        (WARM, "tune", HALF, files(WARM, kind="tune"), Jobs(frozenset({HALF}), frozenset()), False),
        # It still stands there.
        (
            WARM,
            "tune",
            HALF,
            files(WARM, kind="tune") | files(HALF),
            Jobs(frozenset(), frozenset()),
            True,
        ),
        # It is of other code.
        (
            WARM,
            "tune",
            HALF,
            files(WARM, kind="tune"),
            Jobs(frozenset({HALF}), frozenset({WARM})),
            True,
        ),
        (HALF, "pretrain", HALF.rung, set(), Jobs(frozenset(), frozenset()), True),
        (HALF, "pretrain", HALF.rung, files(HALF), Jobs(frozenset(), frozenset()), False),
        (HALF, "pretrain", HALF.rung, files(HALF, HALF.rung), Jobs(frozenset(), frozenset()), True),
        (
            HALF,
            "pretrain",
            HALF.rung,
            files(HALF, dropped=True),
            Jobs(frozenset(), frozenset()),
            False,
        ),
        (
            HALF,
            "pretrain",
            HALF.rung,
            files(HALF, dropped=True),
            Jobs(frozenset({HALF}), frozenset()),
            True,
        ),
    ],
)
def test_when_a_job_needs_what_it_is_trained_from(run, kind, earlier, there, left_over, needs):
    assert still_needs(run, kind, earlier, left_over, present=there.__contains__) is needs
