"""The claim that some remedy closes half of the gap: what speaks for it, and what does not."""

import math

import numpy as np
import pytest
from judged import how_often, only, tolerated
from remedy_tables import evidence_of

from plasticity.analysis import stats
from plasticity.analysis.claims.verdict import LEVEL

COLD = np.array([80.0, 80.4, 79.6, 80.2, 79.8])
SCATTER = np.array([0.1, -0.1, 0.2, -0.2, 0.0])
"""So that differences over seeds are not all alike."""


def levels(**arms):
    """A gap of ten points, and arms with the accuracy of cold plus so many points."""
    plain = {"cold": COLD, "warm": COLD - 10 + SCATTER}
    return plain | {role.replace("_", "-"): COLD + more - SCATTER for role, more in arms.items()}


def test_a_start_that_closes_more_than_half_of_the_gap_is_enough():
    judged = only("remedy", evidence_of(levels(warm_bad=-12, warm_good=-2)))
    assert judged.verdict == "reproduced"
    assert judged.case == "good, against cold"
    assert judged.estimate == pytest.approx(3.0)
    assert "for good, one of 2 arms" in judged.reason


def test_arms_that_close_less_are_a_contradiction():
    judged = only("remedy", evidence_of(levels(warm_bad=-12, warm_fair=-7)))
    assert judged.verdict == "contradicted"
    assert judged.case == "fair, against cold"
    assert judged.estimate == pytest.approx(-2.0)


def test_a_method_that_lifts_cold_as_well_closes_no_gap():
    """It ends where plain cold does, eight points below cold with the same method."""
    lifting = evidence_of(levels(warm_lift=0, cold_lift=8))
    judged = only("remedy", lifting)
    assert judged.verdict == "contradicted"
    assert judged.case == "lift, against cold with the same"
    alone = only("remedy", evidence_of(levels(warm_lift=0, cold_lift=1)))
    assert alone.verdict == "reproduced"


def test_two_passes_a_step_have_half_of_the_epochs():
    """By then it has learnt nothing, though in the end it is as good as cold."""
    arms = levels(warm_twice=0, cold_twice=0)
    assert only("remedy", evidence_of(arms)).verdict == "reproduced"
    passes = {"warm-twice": 2, "cold-twice": 2}
    assert only("remedy", evidence_of(arms, passes=passes)).verdict == "contradicted"


def test_no_gap_is_nothing_to_close():
    flat = {"cold": COLD, "warm": COLD + SCATTER, "warm-good": COLD + 5 - SCATTER}
    judged = only("remedy", evidence_of(flat))
    assert judged.verdict == "undecided"
    assert "no gap to close" in judged.reason.lower()


def test_plain_warm_starts_alone_are_not_judged():
    judged = only("remedy", evidence_of(levels()))
    assert judged.verdict == "undecided"
    assert "no arms" in judged.reason


def dead(evidence, *roles):
    runs = evidence.runs["remedies"]
    runs.loc[runs["role"].isin(roles), ["diverged", "test_accuracy"]] = True, math.nan
    return evidence


def test_an_arm_that_diverged_counts_among_those_that_were_tried():
    evidence = dead(evidence_of(levels(warm_dead=-1, warm_good=-2)), "warm-dead")
    judged = only("remedy", evidence)
    assert judged.verdict == "reproduced"
    assert "one of 2 arms" in judged.reason
    assert judged.diverged == 5
    judged = only("remedy", dead(evidence, "warm-good"))
    assert (judged.verdict, judged.n) == ("undecided", 0)


def test_several_cases_of_one_arm_must_all_be_shown_and_one_arm_is_enough():
    """The p values are those of the arm's weaker case, times the number of arms."""
    evidence = evidence_of(levels(warm_pull=-2, cold_pull=2.5, warm_last=-9))
    judged = only("remedy", evidence)
    assert judged.case == "pull, against cold with the same"
    one = only("remedy", evidence_of(levels(warm_pull=-2, cold_pull=2.5)))
    assert judged.p_value == pytest.approx(2 * one.p_value)


@pytest.mark.parametrize(
    ("effect", "others", "verdict"),
    [(0.0, 0.0, "reproduced"), (0.0, -8.0, "reproduced"), (0.0, 0.0, "contradicted")],
)
def test_a_wrong_verdict_is_rare(effect, others, verdict):
    """Where no arm closes more than half, and where one closes just that."""
    rate = how_often("remedy", verdict, effect, others)
    assert rate <= tolerated(LEVEL / 2)


def test_a_remedy_is_found_and_its_lack_is_told():
    assert how_often("remedy", "reproduced", 6.0, -8.0) > 0.8
    assert how_often("remedy", "contradicted", -6.0, -6.0) > 0.8


def test_seeds_needed_are_those_of_the_quickest_arm():
    """Half of a gap of 10 is 5: an arm one point above it, with scatter, and one far below."""
    arms = levels(warm_bad=-9) | {"warm-good": COLD - 4 + 15 * SCATTER}
    judged = only("remedy", evidence_of(arms))
    values = 1 + 14.5 * SCATTER
    needed = stats.seeds_needed(1.0, values.std(ddof=1), LEVEL / 2 / 2, 100)
    assert judged.verdict == "undecided"
    assert judged.seeds_needed == needed
    assert 5 < needed < 100
