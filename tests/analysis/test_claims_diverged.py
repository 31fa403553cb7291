"""Runs that diverged are counted by claims, and never judged on."""

import numpy as np
import pandas as pd
import pytest
from claim_tables import evidence_of, leaps, played
from judged import FIRST_PAPER, MEASURED, made, only

from plasticity.analysis.claims.evidence import Evidence
from plasticity.analysis.claims.paper import CLAIMS, FASTER


def ended(evidence, where, accuracy):
    """`evidence` in which the runs `where` diverged, with this final `accuracy`."""
    return Evidence(
        {
            name: runs.assign(
                diverged=where(runs),
                test_accuracy=runs["test_accuracy"].mask(where(runs), accuracy),
            )
            for name, runs in evidence.runs.items()
        },
        evidence.curves,
        evidence.observations,
    )


@pytest.mark.parametrize("accuracy", [np.nan, 0.1])
@pytest.mark.parametrize("claim", MEASURED)
def test_a_seed_whose_runs_diverged_is_left_out(claim, accuracy):
    """To the same numbers as if it had never been, whatever accuracy a dead network has."""
    evidence = made(claim, 3.0)
    without = Evidence(
        {name: runs[runs["seed"] > 0] for name, runs in evidence.runs.items()},
        {name: curves[curves["seed"] > 0] for name, curves in evidence.curves.items()},
        evidence.observations,
    )
    found = only(claim, ended(evidence, lambda runs: runs["seed"] == 0, accuracy))
    other = only(claim, without)
    assert (found.n, found.verdict, found.estimate) == (5, other.verdict, other.estimate)
    assert found.p_value == other.p_value
    assert found.diverged == found.runs - other.runs > 0
    assert other.diverged == 0
    words = f"; {found.diverged} of {found.runs} runs diverged and are left out."
    assert found.reason == other.reason.removesuffix(".") + words
    assert (found.stages, found.below_full_train_accuracy) == (
        (other.stages, 0) if claim in FIRST_PAPER else (None, None)
    )


@pytest.mark.parametrize("claim", MEASURED)
def test_where_all_diverged_nothing_is_judged(claim):
    found = only(claim, ended(made(claim, 3.0), lambda runs: runs["seed"] >= 0, np.nan))
    assert (found.verdict, found.n) == ("undecided", 0)
    count = sum(runs["run"].nunique() for runs in made(claim, 3.0).runs.values())
    where = ", ".join(CLAIMS[claim].figures) if claim in CLAIMS else ""
    assert f"; diverged and left out: {count} runs of {where}" in found.reason


def test_one_seed_that_is_left_is_not_tested():
    found = only("gap", ended(made("gap", 3.0), lambda runs: runs["seed"] > 0, np.nan))
    assert (found.verdict, found.n) == ("undecided", 1)
    assert found.reason.startswith("One seed shows no scatter")
    assert found.reason.endswith("10 of 12 runs diverged and are left out.")


def test_a_run_that_diverged_did_not_take_its_epochs_to_tune():
    """Its curve ends early, below the target, and says nothing about speed."""
    reached = {"cold": [20] * 4, "keep1": [30, 31, 99, 33], "keep2": [25] * 4}
    tables = [played("fig11", role, np.full(4, 80.0)) for role in reached]
    tables[1].loc[2, ["diverged", "test_accuracy"]] = True, np.nan
    first, second = CLAIMS["reset-speed"].read(evidence_of(*tables, curves=leaps(reached))).cases
    assert first.values == pytest.approx(np.array([30, 31, 33]) - FASTER * 20)
    assert len(second.values) == 4


def test_a_short_pretraining_that_diverged_does_not_count_as_fitted():
    runs = made("gap-early", 3.0).runs["fig02"].reset_index(drop=True)
    dead = (runs["pretrain_epochs"] == 5) & (runs["seed"] == 2)
    runs.loc[dead, ["diverged", "test_accuracy", "pretrain_best_train_accuracy"]] = (
        *(True, np.nan, np.nan),
    )
    found = only("gap-early", Evidence({"fig02": runs}, {}))
    assert (found.verdict, found.n, found.diverged) == ("reproduced", 5, 1)


def test_telemetry_of_a_run_that_diverged_is_left_out():
    evidence = made("phases", 3.0)
    table = evidence.observations["early_telemetry"]
    wild = table.assign(value=table["value"].mask(table["seed"] == 0, np.inf))
    wild = Evidence(evidence.runs, {}, {"early_telemetry": wild})
    found = only("phases", ended(wild, lambda runs: runs["seed"] == 0, np.nan))
    assert (found.verdict, found.n, found.diverged) == ("reproduced", 5, 1)
    assert pd.notna(found.estimate)
