"""Claims of both papers judged from tables with a known answer, one study or many."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
from claim_tables import Made
from early_claim_tables import EarlyMade
from remedy_tables import MadeRemedies
from scipy.stats import binom

from plasticity.analysis.claims.early import CLAIMS as LATER
from plasticity.analysis.claims.evidence import Contrast, Evidence
from plasticity.analysis.claims.ledger import CLAIMS as LEDGER
from plasticity.analysis.claims.paper import CLAIMS as FIRST
from plasticity.analysis.claims.remedies import CLAIMS as OURS
from plasticity.analysis.claims.verdict import decide, judge, weigh

ROOT = Path(__file__).parents[2]
FIRST_PAPER = [name for name, claim in FIRST.items() if not claim.conjecture]
"""The claims of Berariu et al. that are measured."""
LATER_PAPER = list(LATER)
"""The claims of Frankle et al."""
MEASURED = [*FIRST_PAPER, *LATER_PAPER]
"""Those of both papers, which are all among the targets; our own is where it is asked for."""
STUDIES, SEEDS = 300, 5


def made(claim, effect, others=8.0, seeds=6, scatter=1.0, seed=0):
    """Evidence for `claim`, as `Made` says."""
    kind = EarlyMade if claim in LATER else MadeRemedies if claim in OURS else Made
    return kind(effect, others, seeds, scatter, np.random.default_rng(seed)).evidence(claim)


def only(claim, evidence):
    """The judgement on one claim, as if it were the only one."""
    (judgement,) = judge({claim: LEDGER[claim]}, evidence)
    return judgement


def without(evidence, keep):
    """`evidence` of one figure with the runs that `keep` says."""
    ((name, runs),) = evidence.runs.items()
    return Evidence({name: runs[keep(runs)]}, {}, evidence.observations)


def early():
    """Evidence for all claims of the second paper."""
    runs = {}
    for name in LATER:
        for figure, table in made(name, 3.0).runs.items():
            runs[figure] = pd.concat([*([runs[figure]] if figure in runs else []), table])
            runs[figure] = runs[figure].drop_duplicates("run")
    return Evidence(runs, {}, made("phases", 3.0).observations)


def first_paper():
    """Evidence for all claims of the first paper but ``gap-early`` and ``gap-early-all``."""
    runs = {name: rows for claim in FIRST_PAPER for name, rows in made(claim, 3.0).runs.items()}
    # Three claims read this figure.
    grown = made("retrain", 3.0).runs["fig04"]
    runs["fig04"] = pd.concat(
        [grown[grown["role"] != "imbalanced"], made("gap-imbalance", 3.0).runs["fig04"]]
    )
    runs |= made("gap-grows-all", 3.0).runs  # where no pretraining was measured
    return Evidence(runs, made("reset-speed", 3.0).curves)


def everything():
    """Evidence for the claims of both papers: a table a figure, and the telemetry."""
    first, second = first_paper(), early()
    return Evidence(first.runs | second.runs, first.curves, second.observations)


def tolerated(rate, studies=STUDIES):
    """The fraction of wrong verdicts that a rule of this `rate` exceeds once in 1,000 tests."""
    return binom.ppf(0.999, studies, rate) / studies


def studies_of(claim, effect, others, scatter=2.0, seed=0, studies=STUDIES):
    """The p values of `claim` in many studies: the seeds of one large study, five at a time."""
    if claim == "phases":
        scatter /= 4  # these are powers of ten
    evidence = made(claim, effect, others, seeds=studies * SEEDS, scatter=scatter, seed=seed)
    return split(claim, evidence)


def split(claim, evidence, seeds=SEEDS):
    """The p values of `claim` for each `seeds` of a large study."""
    whole = LEDGER[claim].read(evidence)
    for start in range(0, len(whole.cases[0].values), seeds):
        part = slice(start, start + seeds)
        cases = tuple(
            replace(
                case,
                values=case.values[part],
                gap=None if case.gap is None else case.gap[part],
            )
            for case in whole.cases
        )
        yield weigh(Contrast(cases, whole.runs), LEDGER[claim].smallest)


def how_often(claim, verdict, *means):
    """The fraction of studies in which `claim` alone gets this `verdict`."""
    found = [decide([one])[0].verdict for one in studies_of(claim, *means)]
    return found.count(verdict) / STUDIES


class Page(HTMLParser):
    """Ids, links and pictures of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.pictures, self.text = set(), set(), [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if "id" in found:
            assert found["id"] not in self.ids
            self.ids.add(found["id"])
        if tag == "a":
            self.links.add(found["href"])
        if tag == "img":
            self.pictures.append(found["src"])
        assert "src" not in found or found["src"].startswith("data:")

    def handle_data(self, data):
        self.text += data
