"""What is left to train, by hand: which files are there decides, and dropped checkpoints do not."""

import pytest

from plasticity.runs import Run, layout
from plasticity.runs.kinds import CONNECTIVITY, KINDS, MASK, PRETRAIN, TELEMETRY, TUNE, Job
from plasticity.study.pending import pending, requires

PLACE = "cifar10/resnet18/seed0/"
COLD = Run.parse(PLACE + "full_adam-lr0.001_e5_init")
HALF = Run.parse(PLACE + "half_adam-lr0.001_e30_init")
WARM = Run.parse(f"{HALF}/full_adam-lr0.001_e5_keep")
RESET = Run.parse(f"{HALF}/full_adam-lr0.001_e5_reset6")
LATER = Run.parse(f"{HALF}/half_adam-lr0.001_e1_keep/full_adam-lr0.001_e5_keep")
RUNGS = [HALF.rung, HALF.rung.rung]  # 20 and 10 epochs


def files(*runs, kind=PRETRAIN, dropped=False):
    """What a finished job leaves."""
    found = {layout.done(Job(kind, run)) for run in runs}
    if kind is PRETRAIN and not dropped:
        found |= {layout.checkpoint(run) for run in runs}
    return found


def of(pretrain=(), tune=(), **more):
    """Jobs that are pending, by kind."""
    runs = {"pretrain": pretrain, "tune": tune, **more}
    return frozenset(Job(KINDS[name], run) for name in runs for run in runs[name])


def by_kind(jobs, kind):
    return {job.run for job in jobs if job.kind is kind}


def jobs(runs, there=frozenset(), **more):
    found = pending([Job(TUNE, run) for run in runs], present=there.__contains__, **more)
    return by_kind(found, PRETRAIN), by_kind(found, TUNE)


def test_the_rungs_of_the_test():
    assert [run.stage.length.number for run in RUNGS] == [20, 10]


def test_at_first_everything_is_left():
    assert jobs([COLD, WARM, RESET]) == ({HALF, *RUNGS}, {COLD, WARM, RESET})
    assert jobs([LATER]) == ({HALF, *RUNGS, LATER.parent}, {LATER})


def test_at_last_nothing_is_left():
    there = files(COLD, WARM, kind=TUNE) | files(HALF, *RUNGS)
    assert jobs([COLD, WARM], there) == (set(), set())


def test_dropped_checkpoints_are_not_missed():
    there = files(COLD, WARM, kind=TUNE) | files(HALF, *RUNGS, dropped=True)
    assert jobs([COLD, WARM], there) == (set(), set())


def test_a_new_run_brings_back_what_it_starts_from_and_no_finished_run():
    there = files(COLD, WARM, kind=TUNE) | files(HALF, *RUNGS, dropped=True)
    assert jobs([COLD, WARM, RESET], there) == ({HALF, *RUNGS}, {RESET})


def test_a_rung_that_was_kept_is_continued():
    there = files(WARM, kind=TUNE) | files(HALF, dropped=True) | files(*RUNGS)
    assert jobs([WARM, RESET], there) == ({HALF}, {RESET})


def test_what_is_told_of_pretraining_is_made_too():
    """Tables need the metrics of pretraining, also where the tuned run is there."""
    assert jobs([WARM], files(WARM, kind=TUNE)) == ({HALF, *RUNGS}, set())


def test_a_checkpoint_that_is_asked_for_itself():
    there = files(HALF, *RUNGS, dropped=True)
    assert jobs([], there, states=[HALF]) == ({HALF, *RUNGS}, set())
    assert jobs([], files(HALF), states=[HALF]) == (set(), set())


def test_a_finished_run_of_other_code_brings_back_what_was_dropped():
    there = files(WARM, RESET, kind=TUNE) | files(HALF, *RUNGS, dropped=True)
    found = jobs([WARM, RESET], there, current=lambda job: job.run != RESET)
    assert found == ({HALF, *RUNGS}, {RESET})
    # Where it stands there, Snakemake sees by itself what is to be trained again.
    there = files(WARM, RESET, kind=TUNE) | files(HALF, *RUNGS)
    assert jobs([WARM, RESET], there, current=lambda job: False) == (set(), set())


def test_a_checkpoint_made_again_does_not_concern_a_current_run():
    there = files(WARM, kind=TUNE) | files(HALF)
    nothing = of()
    for current in (True, False):
        needs = requires(
            Job(TUNE, WARM),
            Job(PRETRAIN, HALF),
            lambda: nothing,
            lambda job, yes=current: yes,
            there.__contains__,
        )
        assert needs is not current


@pytest.mark.parametrize(
    ("run", "kind", "earlier", "there", "left_over", "needs"),
    [
        (WARM, TUNE, HALF, set(), of({HALF}, {WARM}), True),
        (WARM, TUNE, HALF, files(WARM, kind=TUNE), of(), False),
        # Another run needs the same checkpoint.
        (WARM, TUNE, HALF, files(WARM, kind=TUNE), of({HALF}), False),
        # It still stands there.
        (
            WARM,
            TUNE,
            HALF,
            files(WARM, kind=TUNE) | files(HALF),
            of(),
            True,
        ),
        # It is of other code.
        (
            WARM,
            TUNE,
            HALF,
            files(WARM, kind=TUNE),
            of({HALF}, {WARM}),
            True,
        ),
        (HALF, PRETRAIN, HALF.rung, set(), of(), True),
        (HALF, PRETRAIN, HALF.rung, files(HALF), of(), False),
        (HALF, PRETRAIN, HALF.rung, files(HALF, HALF.rung), of(), True),
        (
            HALF,
            PRETRAIN,
            HALF.rung,
            files(HALF, dropped=True),
            of(),
            False,
        ),
        (
            HALF,
            PRETRAIN,
            HALF.rung,
            files(HALF, dropped=True),
            of({HALF}),
            True,
        ),
    ],
)
def test_when_a_job_needs_what_it_is_trained_from(run, kind, earlier, there, left_over, needs):
    found = requires(
        Job(kind, run), Job(PRETRAIN, earlier), lambda: left_over, present=there.__contains__
    )
    assert found is needs


# Tickets

DENSE = Run.parse(PLACE.replace("18", "20") + "full_sgd-lr0.1_e2_init")
STATE = Run.parse(PLACE.replace("18", "20") + "full_sgd-lr0.1_i100_init")
LEVELS = [Run.parse(f"{STATE}/full_sgd-lr0.1_till2_ticket{level}") for level in (1, 2)]
NOISY = Run.parse(f"{STATE}/full_sgd-lr0.1_till2_ticket2-noise1")


def masks(*runs):
    return {layout.mask(run) for run in runs}


def test_a_ticket_needs_all_levels_before_it():
    found = pending([Job(TUNE, NOISY)], present=lambda path: False)
    assert by_kind(found, TUNE) == {NOISY}
    assert by_kind(found, MASK) == set(LEVELS)
    assert by_kind(found, PRETRAIN) == {DENSE, STATE, LEVELS[0]}


def test_a_mask_that_is_there_needs_no_level():
    found = pending([Job(TUNE, NOISY)], present=masks(*LEVELS).__contains__)
    assert by_kind(found, MASK) == set()
    assert by_kind(found, PRETRAIN) == {STATE}


def test_a_mask_of_other_code_brings_back_what_was_dropped():
    there = masks(*LEVELS)
    found = pending(
        [Job(TUNE, NOISY)], current=lambda job: job.run != LEVELS[1], present=there.__contains__
    )
    assert by_kind(found, MASK) == {LEVELS[1]}
    assert by_kind(found, PRETRAIN) == {STATE, LEVELS[0]}


def test_a_run_that_is_measured_as_a_state_is_left_where_its_metrics_are():
    there = files(LEVELS[0], STATE, dropped=True)
    assert pending([Job(PRETRAIN, LEVELS[0])], present=there.__contains__) == of()
    found = pending([Job(PRETRAIN, LEVELS[0])], present=files(STATE).__contains__)
    assert found == of({LEVELS[0], DENSE}, masks={LEVELS[0]})


def test_what_is_observed_needs_the_ends_of_its_runs():
    found = pending([Job(TELEMETRY, DENSE)], present=lambda path: False)
    assert found == of({DENSE}, telemetry={DENSE})
    found = pending([Job(CONNECTIVITY, DENSE)], present=lambda path: False)
    assert found == of({DENSE, DENSE.reordered_run}, connectivity={DENSE})
    there = {layout.done(Job(CONNECTIVITY, DENSE))}
    assert pending([Job(CONNECTIVITY, DENSE)], present=there.__contains__) == of()


def test_a_mask_does_not_depend_on_a_state_that_was_dropped():
    job, earlier = Job(MASK, LEVELS[0]), Job(PRETRAIN, DENSE)
    there = masks(LEVELS[0])
    assert not requires(job, earlier, of, present=there.__contains__)
    assert requires(job, earlier, of, present=frozenset().__contains__)
    assert requires(job, earlier, lambda: of(masks={LEVELS[0]}), present=there.__contains__)
