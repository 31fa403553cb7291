"""Claims of Berariu et al.: what each compares, and what it says where something is missing."""

import math
import re

import numpy as np
import pytest
from claim_tables import EPOCHS, Made, evidence_of, leaps, played
from judged import made, only

from plasticity.analysis.claims.evidence import Evidence, NotJudgedError
from plasticity.analysis.claims.paper import CLAIMS, FASTER
from plasticity.analysis.claims.verdict import judge, shows_gap


@pytest.mark.parametrize(
    "claim", ["reset-few", "reset-top", "reset-top-needed", "rate-fixed", "rate-each"]
)
def test_without_a_gap_there_is_none_to_close(claim):
    evidence = made(claim, 3.0)
    (name,) = evidence.runs
    runs = evidence.runs[name].copy()
    none = runs["role"].isin(["cold", "none"]) if name == "fig06" else runs["lr"] > 0
    runs.loc[none, "test_accuracy"] = np.random.default_rng(1).normal(0.7, 0.02, none.sum())
    found = only(claim, Evidence({name: runs}, {}))
    assert found.verdict == "undecided"
    assert "no gap to close" in found.reason.lower()
    assert math.isnan(found.p_value)


def test_a_gap_is_shown_at_the_uncorrected_level():
    assert shows_gap(np.array([3.0, 5.0, 4.0]))
    assert not shows_gap(np.array([1.0, 2.0, 3.0]))  # p is 0.074
    assert not shows_gap(-np.array([3.0, 5.0, 4.0]))
    assert not shows_gap(np.array([3.0]))


def test_a_run_that_never_gets_there_counts_as_one_epoch_more():
    reached = {"cold": [20, 20, 20], "keep1": [30, 31, 99], "keep2": [25, 26, 28]}
    accuracies = [played("fig11", role, np.full(3, 80.0)) for role in reached]
    evidence = evidence_of(*accuracies, curves=leaps(reached))
    first, second = CLAIMS["reset-speed"].read(evidence).cases
    assert first.values == pytest.approx(np.array([30, 31, EPOCHS + 1]) - FASTER * 20)
    assert second.values == pytest.approx(np.array([25, 26, 28]) - FASTER * 20)
    assert first.detail == "34.0 epochs against 20.0 from scratch"


def test_the_details_of_a_case():
    few = CLAIMS["reset-few"].read(made("reset-few", 3.0, scatter=0.0))
    assert {case.name for case in few.cases} == {"reset 6", "reset 5+6", "reset 1+2"}
    assert all(re.fullmatch(r"regains -?\d\.\d\d of \d+\.\d\d points", c.detail) for c in few.cases)
    for claim, at in (("rate-fixed", "pretraining"), ("rate-each", "tuning")):
        (rate,) = CLAIMS[claim].read(made(claim, 3.0, scatter=0.0)).cases
        told = rf"gap \d+\.\d\d points at the equal rate, .* from scratch at the rate of {at}"
        assert re.fullmatch(told, rate.detail)
    (early,) = CLAIMS["gap-early"].read(made("gap-early", 3.0)).cases
    assert early.detail == "after 5 epochs of pretraining"


def test_the_two_readings_of_a_tenfold_rate_differ_in_what_is_compared_with():
    """Cold loses five points at the tenfold rate, warm gains five: the gap of ten closes there."""
    rates = {"cold": {0.001: 80.0, 0.01: 75.0}, "warm": {0.001: 70.0, 0.01: 75.0}}
    tables = [
        played("fig07", role, np.full(3, accuracy), lr=lr, pretrain_lr=0.001)
        for role, accuracies in rates.items()
        for lr, accuracy in accuracies.items()
    ]
    evidence = evidence_of(*tables)
    (fixed,) = CLAIMS["rate-fixed"].read(evidence).cases
    (each,) = CLAIMS["rate-each"].read(evidence).cases
    assert fixed.values == pytest.approx(np.full(3, 0.5 * 10 - 5))
    assert each.values == pytest.approx(np.full(3, 0.5 * 10 - 0))


def test_what_counts_as_few_modules_and_as_less_than_the_last_four():
    subsets = ["alone_6", "top_56", "bottom_12", "bottom_123", "top_456", "bottom_12345"]
    regained = dict.fromkeys([*subsets, "top_3456", "top_23456", "top_123456"], 5)
    evidence = Made(0, 0, 3, 0.0, np.random.default_rng(0)).resets(**regained)

    def cases(claim):
        return {case.name.removeprefix("reset ") for case in CLAIMS[claim].read(evidence).cases}

    assert cases("reset-few") == {"6", "5+6", "1+2"}
    assert cases("reset-top") == {"3+4+5+6", "2+3+4+5+6"}
    assert cases("reset-top-needed") == {"6", "5+6", "1+2", "1+2+3", "4+5+6", "1+2+3+4+5"}


def test_most_of_the_gap_regained_is_no_full_recovery():
    """Nine of ten points: not enough to fully recover the gap, and yet more than three quarters."""
    evidence = Made(0, 0, 6, 0.3, np.random.default_rng(0)).resets(alone_6=8.9)
    assert only("reset-few", evidence).verdict == "reproduced"
    assert only("reset-top-needed", evidence).verdict == "contradicted"


@pytest.mark.parametrize(
    ("kept", "verdict"), [(20, "reproduced"), (18, "undecided"), (16, "contradicted")]
)
def test_speed_is_decided_where_all_seeds_agree(kept, verdict):
    """Nine tenths of 20 epochs are 18. Whole numbers are taken to scatter by half an epoch."""
    reached = {"cold": [20] * 5, "keep1": [kept] * 5, "keep2": [kept] * 5}
    accuracies = [played("fig11", role, np.full(5, 80.0)) for role in reached]
    found = only("reset-speed", evidence_of(*accuracies, curves=leaps(reached)))
    assert (found.verdict, found.estimate, found.deviation) == (verdict, kept - 18, 0.5)
    assert found.high - found.estimate == pytest.approx(2.776445 * 0.5 / math.sqrt(5))


def test_speed_is_known_as_exactly_as_evaluations_are_frequent():
    """Every fourth epoch and the last fifth of 40: what leaps at 17 is seen at 20, as cold is."""
    reached = {"cold": [20] * 5, "keep1": [17] * 5, "keep2": [34] * 5}
    curves = leaps(reached)
    curves.loc[(curves["epoch"] % 4 > 0) & (curves["epoch"] <= 32), "test_accuracy"] = math.nan
    accuracies = [played("fig11", role, np.full(5, 80.0)) for role in reached]
    cases = CLAIMS["reset-speed"].read(evidence_of(*accuracies, curves=curves)).cases
    assert [case.resolution for case in cases] == [0.5 * 4] * 2
    assert [case.values.tolist() for case in cases] == [[2.0] * 5, [16.0] * 5]


def test_drift_is_judged_without_the_second_control_too():
    runs = made("gap-drift", 3.0).runs["fig03"]
    found = only("gap-drift", Evidence({"fig03": runs[runs["role"] != "resampled"]}, {}))
    assert (found.verdict, found.cases) == ("reproduced", 2)


def test_the_conjectures_are_listed_as_not_measured():
    found = {one.id: one for one in judge(CLAIMS, Evidence({}, {}))}
    assert list(found) == list(CLAIMS)
    assert {name for name in found if found[name].conjecture} == {"noise", "sharpness"}
    for name in ("noise", "sharpness"):
        assert found[name].verdict == "undecided"
        assert found[name].reason.startswith("Not measured")


@pytest.mark.parametrize(
    ("claim", "keep", "reason"),
    [
        ("gap", lambda runs: runs["role"] != "warm", "fig01 has no runs in the role 'warm'"),
        ("gap", lambda runs: (runs["role"] == "cold") ^ (runs["seed"] > 2), "no seed has all"),
        ("gap-early", lambda runs: runs["pretrain_epochs"] != 5, "no pretraining of 5 to 10"),
        ("gap-grows", lambda runs: runs["pretrain_epochs"] < 100, "at least 3 lengths"),
        ("reset-top", lambda runs: runs["role"] != "top", "resets no such subset"),
        ("rate-fixed", lambda runs: runs["lr"] < 0.005, "both an equal and a tenfold one"),
        ("rate-each", lambda runs: runs["lr"] < 0.005, "both an equal and a tenfold one"),
        (
            "rate-each",
            lambda runs: (runs["role"] == "warm") | (runs["lr"] < 0.005),
            "both an equal and a tenfold one",
        ),
        ("gap-grows-all", lambda runs: runs["pretrain_epochs"] < 100, "at least 3 lengths"),
        ("gap-early-all", lambda runs: runs["pretrain_epochs"] != 10, "fig02: no pretraining of"),
        ("retrain", lambda runs: runs["role"] != "cold", "fig04 has no runs in the role 'cold'"),
    ],
)
def test_what_is_missing_is_said(claim, keep, reason):
    evidence = made(claim, 3.0)
    evidence = Evidence({name: runs[keep(runs)] for name, runs in evidence.runs.items()}, {})
    with pytest.raises(NotJudgedError, match=reason):
        CLAIMS[claim].read(evidence)


@pytest.mark.parametrize("best", [1.0, math.nan])
def test_pretraining_that_had_fitted_in_one_seed_is_not_early(best):
    runs = made("gap-early", 3.0).runs["fig02"].reset_index(drop=True)
    short = runs["pretrain_epochs"].between(1, 5)
    runs.loc[short & (runs["seed"] == 2), "pretrain_best_train_accuracy"] = best
    found = only("gap-early", Evidence({"fig02": runs}, {}))
    assert "stayed below 100% training accuracy in every seed" in found.reason
