"""The rule by which claims are judged: two one-sided tests a claim, corrected over all claims.

The rule, and why its verdicts are wrong in at most 5% of studies, is in docs/claims.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from plasticity.analysis import stats
from plasticity.analysis.claims.evidence import Case, Claim, Contrast, Evidence, NotJudgedError
from plasticity.analysis.claims.judgements import Judgement, Verdict

LEVEL = 0.05
"""The chance of any wrong verdict in a study: half of it to either direction."""

MOST_SEEDS = 100
"""The largest number of seeds that is told to a reader."""


@dataclass(frozen=True)
class Weighed:
    """The one-sided p values of the cases of a contrast, float [cases].

    `above` are those for a mean above the bound of the case, `below` those for one below the
    smallest of interest; not a number where a case has one seed, or all seeds alike.
    """

    above: np.ndarray
    below: np.ndarray
    arms: Sequence[Sequence[int]] = ()
    """Places of the cases that are shown together, where one such group is enough; else all."""

    @property
    def for_claim(self) -> float:
        """The p value for the claim: every case must be shown, so it is the largest.

        One of several arms is enough, so the smallest of theirs, by Bonferroni.
        """
        return min(1.0, len(self._above) * float(self._above.min()))

    @property
    def against(self) -> float:
        """The p value against the claim: one case is enough, so the smallest, by Bonferroni.

        In each of several arms, so the largest of theirs.
        """
        return float(self._below.max())

    @property
    def decides(self) -> tuple[list[int], list[int]]:
        """The places of the cases of the arm that decides for the claim, and against it."""
        groups = self._groups
        return groups[int(self._above.argmin())], groups[int(self._below.argmax())]

    @property
    def _groups(self) -> list[list[int]]:
        return [list(arm) for arm in self.arms] or [list(range(len(self.above)))]

    @property
    def _above(self) -> np.ndarray:
        p_values = np.nan_to_num(self.above, nan=1.0)
        return np.array([p_values[arm].max() for arm in self._groups])

    @property
    def _below(self) -> np.ndarray:
        p_values = np.nan_to_num(self.below, nan=1.0)
        return np.array([min(1.0, len(arm) * p_values[arm].min()) for arm in self._groups])


UNTESTED = Weighed(np.array([math.nan]), np.array([math.nan]))
"""A claim for which the tables hold no number: it counts in the correction all the same."""


@dataclass(frozen=True)
class Decision:
    """The verdict on a claim, and its p values for and against, two-sided and corrected."""

    verdict: Verdict
    for_claim: float
    against: float


def weigh(contrast: Contrast, smallest: float) -> Weighed:
    """Test every case of `contrast` in both directions.

    A case is not tested where the gap that it presumes is not shown to be there.
    """
    tested = [(np.empty(0) if _lacks_gap(case) else case.values, case) for case in contrast.cases]
    return Weighed(
        np.array([stats.p_above(each, case.bound, case.resolution) for each, case in tested]),
        np.array([stats.p_above(-each, -smallest, case.resolution) for each, case in tested]),
        contrast.arms,
    )


def _lacks_gap(case: Case) -> bool:
    return case.gap is not None and not shows_gap(case.gap)


def shows_gap(gap: np.ndarray) -> bool:
    """Whether the mean of `gap`, float [n], is above 0: uncorrected, as it only bars a verdict."""
    return stats.p_above(gap, 0.0) <= LEVEL / 2


def decide(weighed: Sequence[Weighed]) -> list[Decision]:
    """The verdicts on all claims of a study together.

    Holm's correction is applied to the p values for the claims, and apart from these to those
    against them; each takes half of `LEVEL`, so that corrected p values are doubled.
    """
    for_claim = 2 * stats.holm(np.array([one.for_claim for one in weighed]))
    against = 2 * stats.holm(np.array([one.against for one in weighed]))
    decisions = []
    for yes, no in zip(np.minimum(for_claim, 1.0), np.minimum(against, 1.0), strict=True):
        verdict: Verdict = "undecided"
        if yes <= LEVEL:
            verdict = "reproduced"
        elif no <= LEVEL:
            verdict = "contradicted"
        decisions.append(Decision(verdict, float(yes), float(no)))
    return decisions


def judge(claims: Mapping[str, Claim], evidence: Evidence) -> list[Judgement]:
    """Every one of `claims` judged by `evidence`, in their order.

    Raises `UserError` where runs that are to be compared are not comparable.
    """
    contrasts: dict[str, Contrast] = {}
    missing: dict[str, str] = {}
    for claim in claims.values():
        try:
            contrasts[claim.id] = claim.read(evidence)
        except NotJudgedError as error:
            missing[claim.id] = str(error)
    # By design alone, never by what was found: each claim whose figures are there counts.
    weighed = {
        claim.id: weigh(contrasts[claim.id], claim.smallest) if claim.id in contrasts else UNTESTED
        for claim in claims.values()
        if claim.figures and evidence.runs.keys() >= set(claim.figures)
    }
    decisions = dict(zip(weighed, decide(list(weighed.values())), strict=True))
    return [
        _missing(claim, missing[claim.id])
        if claim.id in missing
        else _judged(
            claim, contrasts[claim.id], weighed[claim.id], decisions[claim.id], len(weighed)
        )
        for claim in claims.values()
    ]


def _missing(claim: Claim, reason: str) -> Judgement:
    return Judgement(
        claim.paper.name,
        claim.id,
        claim.statement,
        claim.conjecture,
        claim.recalled,
        " ".join(claim.figures),
        "undecided",
        _sentence(reason),
        effect=claim.effect,
        unit=claim.unit if claim.effect else "",
    )


def _judged(
    claim: Claim, contrast: Contrast, weighed: Weighed, decision: Decision, family: int
) -> Judgement:
    """The judgement on a tested claim, with the case that decides it."""
    match decision.verdict:
        case "reproduced":
            in_favour = True
        case "contradicted":
            in_favour = False
        case "undecided":
            # A case without a test is why, unless another one speaks clearly against the claim.
            untested = np.isnan(weighed.above)[weighed.decides[0]]
            barred = untested.any() and 2 * weighed.against > LEVEL
            towards = decision.for_claim, weighed.for_claim
            in_favour = bool(barred) or towards <= (decision.against, weighed.against)
    shown, refuted = weighed.decides
    if in_favour:
        means = np.array([contrast.cases[place].values.mean() for place in shown])
        # The last is the largest p value, and of those that have none the smallest mean.
        p_values = np.nan_to_num(weighed.above[shown], nan=1.0)
        position = shown[int(np.lexsort((np.negative(means), p_values))[-1])]
    else:
        position = refuted[int(np.nan_to_num(weighed.below[refuted], nan=1.0).argmin())]
    case = contrast.cases[position]
    if np.isnan(weighed.above[position]):  # no test of this case, hence none of the claim
        reason = _untested(claim, case)
        judged = _described(claim, contrast, case, "undecided", reason)
        return replace(judged, claims_corrected_for=family)
    raw = weighed.for_claim if in_favour else weighed.against
    bound = f"above {case.bound:.2g}" if in_favour else f"below {claim.smallest:g}"
    judged = _described(
        claim,
        contrast,
        case,
        decision.verdict,
        _reason(claim, contrast, case, weighed, decision, in_favour, family),
    )
    return replace(
        judged,
        test=f"t test, mean {bound}{_of_cases(contrast, in_favour)}",
        p_value=min(1.0, 2 * raw),
        p_corrected=decision.for_claim if in_favour else decision.against,
        claims_corrected_for=family,
        seeds_needed=_seeds_needed(claim, contrast, family)
        if decision.verdict == "undecided"
        else None,
    )


def _described(
    claim: Claim, contrast: Contrast, case: Case, verdict: Verdict, reason: str
) -> Judgement:
    """A judgement without a test: what was measured."""
    mean = stats.mean_difference(case.values, case.resolution)
    runs = contrast.runs.drop_duplicates("run")
    ended = runs[~runs["diverged"].astype(bool)]
    diverged = len(runs) - len(ended)
    left_out = f"{diverged} of {len(runs)} runs diverged and are left out" if diverged else ""
    unfitted = ended["stages_below_full_train_accuracy"]
    judged = Judgement(
        paper=claim.paper.name,
        id=claim.id,
        statement=claim.statement,
        conjecture=claim.conjecture,
        recalled=claim.recalled,
        figures=" ".join(claim.figures),
        verdict=verdict,
        reason=_sentence("; ".join(part for part in (reason, case.detail, left_out) if part)),
        cases=len(contrast.cases),
        case=case.name,
        effect=claim.effect,
        unit=claim.unit,
        estimate=mean.mean,
        deviation=mean.std,
        low=mean.low,
        high=mean.high,
        n=mean.n,
        runs=len(runs),
        diverged=diverged,
    )
    if not claim.paper.presumes_fit:
        return judged
    return replace(
        judged,
        below_full_train_accuracy=int((unfitted > 0).sum()),
        stages=int(ended["stages"].sum()),
        stages_below_full_train_accuracy=int(unfitted.sum()),
    )


def _untested(claim: Claim, case: Case) -> str:
    """Why `case` has no p value."""
    if len(case.values) == 1:
        return f"{_named(case)}one seed shows no scatter, so nothing can be tested"
    if case.gap is not None and not shows_gap(case.gap):
        gap = stats.mean_difference(case.gap)
        interval = f" ({gap.low:.2f} to {gap.high:.2f})" if gap.low == gap.low else ""
        return (
            f"no {claim.presumes}: it is {gap.mean:.2f} points{interval}, not shown to be above 0"
        )
    return f"{_named(case)}all seeds differ alike, which tells nothing about the next one"


def _reason(
    claim: Claim,
    contrast: Contrast,
    case: Case,
    weighed: Weighed,
    decision: Decision,
    in_favour: bool,
    family: int,
) -> str:
    """Why the verdict is what it is."""
    many, arms = len(contrast.cases), len(contrast.arms)
    too_small = "below 0"
    if claim.smallest:
        too_small = f"below the {claim.smallest:g} {claim.unit} that would be of interest"
    enough = f"above {case.bound:.2g}"
    if decision.verdict == "reproduced":
        where = f" in all {many} cases, the weakest of which is {case.name}" if many > 1 else ""
        where = f" for {case.arm}, one of {arms} arms" if arms > 1 else where
        small = contrast.cases[int(weighed.below.argmin())]
        also = f"; yet {_named(small)}it is {too_small}" if decision.against <= LEVEL else ""
        return f"shown to be {enough}{where}{also}"
    if decision.verdict == "contradicted":
        every = f"so is each of {arms} arms, the least clear of which is " if arms > 1 else ""
        return f"{every}{_named(case)}shown to be {too_small}"
    where = f"the weakest of {many} cases is {case.name}: " if many > 1 else ""
    where = (
        f"the clearest of {arms} arms, by its weaker case, is {case.name}: " * (arms > 1) or where
    )
    if 2 * (weighed.for_claim if in_favour else weighed.against) <= LEVEL:
        side = "in favour" if in_favour else "against"
        return f"{where}speaks {side}, but not clearly enough with {family} claims tested at once"
    return f"{where}shown neither to be {enough} nor to be {too_small}"


def _seeds_needed(claim: Claim, contrast: Contrast, family: int) -> int | None:
    """The seeds that would decide the claim in 80% of studies if all is as estimated.

    At the strictest level that the correction may ask for. Either every case is to be shown to be
    above its bound, each missed in so few studies that all are shown in 80%; or one of them to be
    below the smallest of interest; whichever takes fewer seeds. Of several arms one is to be shown
    so, or all. None where a case has no scatter,
    and one more than `MOST_SEEDS` where these are not enough.
    """
    level = LEVEL / 2 / family
    if not all(len(case.values) for case in contrast.cases):
        return None
    means = [stats.mean_difference(case.values, case.resolution) for case in contrast.cases]
    if not all(mean.std > 0 for mean in means):
        return None
    enough = MOST_SEEDS + 1
    for_claim, against = [], []
    for arm in contrast.arms:
        each = 1.0 - (1.0 - stats.POWER) / len(arm)
        strict = level / len(contrast.arms)
        above = [
            stats.seeds_needed(
                means[i].mean - contrast.cases[i].bound, means[i].std, strict, MOST_SEEDS, each
            )
            for i in arm
        ]
        below = [
            stats.seeds_needed(
                claim.smallest - means[i].mean, means[i].std, level / len(arm), MOST_SEEDS
            )
            for i in arm
        ]
        for_claim.append(max(n or enough for n in above))
        against.append(min(n or enough for n in below))
    return min(*for_claim, max(against))


def _of_cases(contrast: Contrast, in_favour: bool) -> str:
    """How the cases of a claim are taken together, as a part of a sentence."""
    many, arms = len(contrast.cases), len(contrast.arms)
    if many == 1:
        return ""
    if arms > 1:
        return (
            f" in each case of one of {arms} arms (Bonferroni)"
            if in_favour
            else (f" in one case of each of {arms} arms (Bonferroni)")
        )
    return f" in each of {many} cases" if in_favour else f" in one of {many} cases (Bonferroni)"


def _named(case: Case) -> str:
    return f"{case.name}: " if case.name else ""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
