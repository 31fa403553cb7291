"""What became of each claim: the table of judgements, a row a claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import pyarrow as pa

from plasticity.analysis.storage import COUNT, FLAG, REAL, TEXT

Verdict = Literal["reproduced", "contradicted", "undecided"]

JUDGEMENTS = pa.schema(
    [
        ("paper", TEXT),
        ("id", TEXT),
        ("statement", TEXT),
        ("conjecture", FLAG),
        ("recalled", FLAG),
        ("figures", TEXT),
        ("verdict", TEXT),
        ("reason", TEXT),
        # The comparison that decides, where the claim is about every one of several.
        ("cases", COUNT),
        ("case", TEXT),
        ("effect", TEXT),
        ("unit", TEXT),
        ("estimate", REAL),
        ("deviation", REAL),
        ("low", REAL),
        ("high", REAL),
        ("n", COUNT),
        # Two-sided, of the claim as a whole.
        ("test", TEXT),
        ("p_value", REAL),
        ("p_corrected", REAL),
        ("claims_corrected_for", COUNT),
        ("seeds_needed", COUNT),
        ("runs", COUNT),
        # Those of them that diverged: their seeds are left out.
        ("diverged", COUNT),
        # The others, and the stages that these went through, that ended below 100% training
        # accuracy, where the paper presumes it.
        ("below_full_train_accuracy", COUNT),
        ("stages", COUNT),
        ("stages_below_full_train_accuracy", COUNT),
    ]
)


@dataclass(frozen=True)
class Judgement:
    """What became of a claim: a row of `JUDGEMENTS`.

    `estimate` with its 95% interval, `deviation` and `n` are those of `case`, in `unit`; they and
    the p values are not a number where there is none. `seeds_needed` is None where it is not
    known, and one more than `MOST_SEEDS` where it is larger than that. `diverged` is None where
    nothing was compared; what follows it, where the paper does not presume that networks fit their
    data, too. A stage that several runs share counts with each.
    """

    paper: str
    id: str
    statement: str
    conjecture: bool
    recalled: bool
    figures: str
    verdict: Verdict
    reason: str
    cases: int = 0
    case: str = ""
    effect: str = ""
    unit: str = ""
    estimate: float = math.nan
    deviation: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    test: str = ""
    p_value: float = math.nan
    p_corrected: float = math.nan
    claims_corrected_for: int = 0
    seeds_needed: int | None = None
    runs: int = 0
    diverged: int | None = None
    below_full_train_accuracy: int | None = None
    stages: int | None = None
    stages_below_full_train_accuracy: int | None = None


def table(judgements: Sequence[Judgement]) -> pa.Table:
    """`judgements` as a table by `JUDGEMENTS`."""
    return pa.Table.from_pylist([asdict(one) for one in judgements], schema=JUDGEMENTS)
