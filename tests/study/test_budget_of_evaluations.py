"""The budget of what is no training: evaluations, and the passes that a start makes."""

import pytest
from test_budget import COST, PLACE, budgets, small

from plasticity.runs import Run
from plasticity.runs.costs import Throughput
from plasticity.runs.kinds import TUNE
from plasticity.runs.workload import Workload
from plasticity.study import budget


def test_a_cadence_of_evaluation_saves_its_images():
    """Every fifth of 35 epochs, and the last 7: 35 // 5 - 1 of them before, and 7."""
    study = small(evaluate_every=5)
    job = next(
        j for j in budget.trainings(study.jobs_of([study.figures["drift"]])) if j.epochs == 35
    )
    assert [job.evaluations(every) for every in (1, 5, 1000)] == [35, 5 + 7, 7]
    found = {Workload.of(job.run)}
    costs = dict.fromkeys(found, Throughput(100, 1000)), dict.fromkeys(found, COST)
    often, seldom = (
        budget.Rates(*costs, every).budget("", [job], lambda path: False) for every in (1, 5)
    )
    assert often.seconds - seldom.seconds == pytest.approx(23 * 10_000 / 1000)


def test_a_stage_that_goes_on_is_evaluated_by_its_clock():
    """Epochs 20 and 30, and 33 to 40: the last fifth of 40, and not of the 30 that are its own."""
    run = Run.parse(f"{PLACE}/full_adam-lr0.01_e10_init/full_adam-lr0.01_till40_keep")
    assert budget.Training(TUNE, run).evaluations(10) == 2 + 8


def test_the_passes_of_a_start_take_time_and_its_rungs_make_them_once():
    found = {}
    for start in ("keep", "dash0.3"):
        stages = ("half_{adam}_e10_init", f"full_{{adam}}_e{{pretrain}}_{start}")
        run = "/".join((*stages, "full_{adam}_e{tune}_keep"))
        figure = {"title": "", "caption": "", "draw": "warm_start", "runs": {"warm": run}}
        found[start] = budgets(figures={"lengths": figure}, targets=["lengths"])["lengths"]
    assert found["dash0.3"].pretrain == (4, 0)
    assert found["dash0.3"].images == found["keep"].images
    assert found["dash0.3"].seconds == pytest.approx(found["keep"].seconds + 896 / 100)
