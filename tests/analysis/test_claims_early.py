"""Claims of Frankle et al.: what each compares, and what it says where something is missing."""

import math

import numpy as np
import pytest
from claim_tables import evidence_of
from early_claim_tables import played
from judged import made, only, without

from plasticity.analysis.claims.early import CLAIMS, FRANKLE
from plasticity.analysis.claims.evidence import Evidence, NotJudgedError

ON_GAIN = {"signs", "iid", "blur-selfsup", "labels", "random-labels"}
BY_ITERATION = ["signs", "iid"]
BY_TASK = ["blur-selfsup", "labels"]


def test_what_the_claims_say_of_themselves():
    assert {name for name, claim in CLAIMS.items() if claim.smallest} == {"rewind", "labels"}
    recalled = {"labels", "random-labels", "phases"}
    assert {name for name, claim in CLAIMS.items() if claim.recalled} == recalled
    assert "2.7" not in CLAIMS["rewind"].statement  # what others gain is not what is tested
    assert {claim.paper for claim in CLAIMS.values()} == {FRANKLE}
    assert not any(claim.conjecture for claim in CLAIMS.values())


@pytest.mark.parametrize(
    ("claim", "cases"),
    [
        ("rewind", [""]),
        ("signs", ["k = 500", "k = 2000"]),
        ("iid", ["k = 500", "k = 2000"]),
        ("blur-selfsup", ["rotation", "blur4"]),
        ("labels", ["rotation", "blur4"]),
        ("random-labels", ["randomlabels"]),
        ("phases", ["gradients, border 10", "movement, border 500"]),
    ],
)
def test_the_cases_of_a_claim(claim, cases):
    contrast = CLAIMS[claim].read(made(claim, 3.0, seeds=200))
    assert [case.name for case in contrast.cases] == cases
    means = [case.values.mean() for case in contrast.cases]
    assert sorted(means) == pytest.approx(sorted([3.0] + [8.0] * (len(cases) - 1)), abs=0.5)


def equalised(evidence, where, seed=1):
    """`evidence` of one figure with the runs `where` at 80 points and a little."""
    ((name, runs),) = evidence.runs.items()
    chance = np.random.default_rng(seed).normal(0.8, 0.01, len(runs))
    accuracy = runs["test_accuracy"].where(~where(runs), chance)
    return Evidence({name: runs.assign(test_accuracy=accuracy)}, {})


@pytest.mark.parametrize("claim", sorted(ON_GAIN))
def test_without_a_gain_there_is_nothing_to_compare_with(claim):
    roles = ["start", "rewound", "unchanged"]
    found = only(claim, equalised(made(claim, 3.0), lambda runs: runs["role"].isin(roles)))
    assert found.verdict == "undecided"
    assert found.reason.startswith("No gain of rewinding to compare with: it is ")
    assert math.isnan(found.p_value)


@pytest.mark.parametrize("claim", BY_ITERATION)
def test_the_gain_is_asked_of_each_iteration_apart(claim):
    def unchanged(k):
        return lambda runs: (runs["role"] == "unchanged") & (runs["pretrain_iterations"] == k)

    found = only(claim, equalised(made(claim, 4.0), unchanged(500)))
    assert (found.verdict, found.case) == ("undecided", "k = 500")
    assert found.reason.startswith("No gain of rewinding")
    # Where there is none at 2000, iteration 500 alone can speak against the claim.
    found = only(claim, equalised(made(claim, -4.0, scatter=0.5), unchanged(2000)))
    assert (found.verdict, found.case) == ("contradicted", "k = 500")


def test_the_density_closest_to_the_one_of_the_claim_is_told():
    found = only("rewind", made("rewind", 4.0))
    assert found.estimate == pytest.approx(4.0, abs=2.0)
    assert found.reason.endswith(
        "k = 500 with 16.8% of the weights left, where ResNet-20 on CIFAR-10 is reported to gain "
        "2.7 points."
    )
    evidence = made("rewind", 4.0)
    runs = evidence.runs["early_tickets"]
    half = runs.assign(density=0.5 ** (runs["level"] - 6))  # 50%, 25% and 12.5%
    (case,) = CLAIMS["rewind"].read(Evidence({"early_tickets": half}, {})).cases
    assert "12.5% of the weights left" in case.detail
    # A level that only one role has is none to compare at.
    lacking = half[(half["level"] != 9) | (half["role"] == "start")]
    (case,) = CLAIMS["rewind"].read(Evidence({"early_tickets": lacking}, {})).cases
    assert "25.0% of the weights left" in case.detail


def test_the_latest_iteration_where_there_is_no_500():
    evidence = without(made("rewind", 4.0), lambda runs: runs["pretrain_iterations"] != 500)
    (case,) = CLAIMS["rewind"].read(evidence).cases
    assert case.detail.startswith("k = 2000 ")
    assert case.values.mean() == pytest.approx(19, abs=2)
    found = only("labels", without(made("labels", 4.0), lambda r: r["pretrain_iterations"] != 500))
    assert found.reason.startswith("No gain of rewinding")  # at 100 these runs lose
    assert "100 iterations of ordinary training against 391 of pretraining" in found.reason


@pytest.mark.parametrize("claim", BY_ITERATION)
def test_iterations_that_are_there_in_part_are_left_out(claim):
    def keep(runs):
        return (runs["role"] != "unchanged") | (runs["pretrain_iterations"] == 500)

    (case,) = CLAIMS[claim].read(without(made(claim, 4.0), keep)).cases
    assert case.name == "k = 500"


def test_the_budget_is_that_of_the_runs_from_the_initialisation():
    """The runs with the other budget are 50 points below, and taken only where they are alone."""
    evidence = made("random-labels", 4.0)
    late = without(
        evidence, lambda runs: (runs["role"] != "pretrained") | (runs["length"] == "till160")
    )
    (first,) = CLAIMS["random-labels"].read(evidence).cases
    (second,) = CLAIMS["random-labels"].read(late).cases
    assert second.values == pytest.approx(first.values + 50)


def test_images_may_be_blurred_by_another_factor_and_shown_unaugmented():
    evidence = made("blur-selfsup", 4.0)
    runs = evidence.runs["early_data"]
    views = runs["pretrain_views"].str.replace("blur4", "blur2").str.replace("+augment", "")
    found = CLAIMS["blur-selfsup"].read(
        Evidence({"early_data": runs.assign(pretrain_views=views)}, {})
    )
    assert [case.name for case in found.cases] == ["rotation", "blur2"]


def test_the_details_of_a_case():
    def detail(claim):
        return CLAIMS[claim].read(made(claim, 3.0)).cases[0].detail

    assert detail("signs").startswith("keeps ")
    assert detail("signs").endswith(" points with 16.8% of the weights left")
    assert detail("blur-selfsup").endswith(" points after 3910 iterations of pretraining")
    assert detail("labels") == "500 iterations of ordinary training against 782 of pretraining"


def test_half_of_the_gain_by_hand():
    """From 80 to 90 points in every seed; 83, 84 and 88 keep 3, 4 and 8 of the ten."""
    figure = "early_data"
    evidence = evidence_of(
        played(figure, "start", np.full(3, 80.0)),
        played(figure, "rewound", np.full(3, 90.0), pretrain_iterations=500),
        played(
            figure,
            "pretrained",
            np.array([83.0, 84.0, 88.0]),
            pretrain_views="randomlabels",
            pretrain_iterations=782,
        ),
    )
    (case,) = CLAIMS["random-labels"].read(evidence).cases
    assert case.values == pytest.approx(np.array([2, 1, -3]))
    assert case.gap == pytest.approx(np.full(3, 10))
    assert case.detail == "keeps 5.00 of 10.00 points after 782 iterations of pretraining"


@pytest.mark.parametrize(
    ("claim", "role"),
    [
        *(("rewind", role) for role in ("start", "rewound")),
        *(("signs", role) for role in ("start", "unchanged", "mixed")),
        *(("iid", role) for role in ("start", "unchanged", "shuffled")),
        *((claim, role) for claim in BY_TASK for role in ("start", "rewound", "pretrained")),
        *(("random-labels", role) for role in ("start", "rewound", "pretrained")),
        ("phases", "dense"),
    ],
)
def test_a_role_that_is_missing_is_said(claim, role):
    found = only(claim, without(made(claim, 3.0), lambda runs: runs["role"] != role))
    assert found.verdict == "undecided"
    assert found.reason.endswith(
        f"{CLAIMS[claim].figures[0][1:]} has no runs in the role '{role}'."
    )
    assert found.claims_corrected_for == 0


@pytest.mark.parametrize(
    ("claim", "keep", "reason"),
    [
        ("rewind", lambda r: (r["role"] == "start") ^ (r["level"] == 8), "no level of pruning"),
        ("rewind", lambda r: (r["role"] == "start") ^ (r["seed"] > 2), "no seed has all"),
        ("signs", lambda r: r["magnitudes"] != "fresh", "signs of iteration k with fresh"),
        ("iid", lambda r: r["scope"] != "layer", "no runs with weights shuffled in layers"),
        (
            "iid",
            lambda r: (r["role"] == "unchanged") ^ (r["pretrain_iterations"] != 500),
            "no iteration both unchanged and with weights shuffled in layers",
        ),
        (
            "blur-selfsup",
            lambda r: r["pretrain_views"] != "rotation+augment",
            "no pretraining on rotations alone",
        ),
        (
            "blur-selfsup",
            lambda r: r["pretrain_views"] != "blur4+augment",
            "no pretraining on blurred images alone",
        ),
        (
            "random-labels",
            lambda r: r["pretrain_views"] != "randomlabels+augment",
            "no pretraining on random labels alone",
        ),
        (
            "labels",
            lambda r: r["pretrain_iterations"] <= 500,
            "no pretraining on rotation of 500 iterations or more",
        ),
    ],
)
def test_what_is_missing_is_said(claim, keep, reason):
    with pytest.raises(NotJudgedError, match=reason):
        CLAIMS[claim].read(without(made(claim, 3.0), keep))


def test_iterations_that_nobody_measured_are_said():
    runs = made("rewind", 3.0).runs["early_tickets"].assign(pretrain_iterations=math.nan)
    with pytest.raises(NotJudgedError, match="does not tell to which iterations"):
        CLAIMS["rewind"].read(Evidence({"early_tickets": runs}, {}))
