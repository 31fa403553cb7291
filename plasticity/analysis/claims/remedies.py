"""The claim of our own about remedies, judged from the arms of the figure `remedies`.

What it is and why is in docs/claims.md.
"""

from __future__ import annotations

import pandas as pd

from plasticity.analysis.claims.evidence import (
    Case,
    Claims,
    Contrast,
    Evidence,
    NotJudgedError,
    Paper,
    compared,
)
from plasticity.analysis.summary.costs import at_cold_cost
from plasticity.analysis.summary.remedies import tried
from plasticity.runs.roles import COLD, WARM, arm_of, counterpart

FIGURE = "remedies"

OURS = Paper("ours", "Remedies of the gap, tuned and compared alike", presumes_fit=False)

CLAIMS = Claims(OURS)

HALF = 0.5
"""The fraction of the gap that a remedy must close."""


@CLAIMS.declare(
    "remedy",
    "At least one remedy closes half of the gap at no more compute than training from scratch, and "
    "does so against a network trained from scratch with the same method too.",
    (FIGURE,),
    "half of the gap, minus what is left of it at the cost of the run from scratch",
)
def remedy(evidence: Evidence) -> Contrast:
    """Half the gap minus the gap of an arm to cold, and to cold with the same, two cases an arm.

    The accuracy of an arm, and of its counterpart from scratch, is that by the time that it has
    cost as much as the cold run of its seed.
    """
    # Which roles there are says the study; what was tried of each, validation accuracy chooses.
    evidence.played(FIGURE, COLD), evidence.played(FIGURE, WARM)
    runs = tried(evidence.runs[FIGURE])
    runs = runs[runs["chosen"]]
    points = at_cold_cost(runs, evidence.curves[FIGURE]) * 100
    levels = {
        str(role): pd.Series(points.reindex(of["run"]).to_numpy(), of["seed"].to_numpy())
        for role, of in runs.groupby("role", sort=False)
    }
    arms = [role for role in levels if role.startswith(WARM) and arm_of(role)]
    if not arms:
        raise NotJudgedError(f"{FIGURE} has no arms but plain warm starts")
    gap = levels[COLD] - levels[WARM]
    cases = [
        _closes(arm_of(role), against, levels[cold] - levels[role], gap)
        for role in arms
        for against, cold in (
            ("cold", COLD),
            ("cold with the same", counterpart(role, levels)),
        )
        if (against, cold) != ("cold with the same", COLD)
    ]
    cases.sort(key=lambda case: not len(case.values))  # what has none to be shown comes last
    if not len(cases[0].values):
        raise NotJudgedError("no seed has all the runs that are compared of any arm")
    named = [COLD, WARM, *arms, *(counterpart(role, levels) for role in arms)]
    return Contrast(tuple(cases), compared(runs[runs["role"].isin(named)]))


def _closes(arm: str, against: str, left: pd.Series, gap: pd.Series) -> Case:
    """Half of the `gap` minus what is `left` of it, both by seed."""
    # An arm that diverged in all seeds counts among those that were tried all the same.
    values = (HALF * gap - left).dropna().to_numpy()
    return Case(f"{arm}, against {against}", values, gap=gap.dropna().to_numpy(), arm=arm)
