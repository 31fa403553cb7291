"""How often verdicts on claims are wrong, and what they find: the tables of docs/claims.md.

    python tests/claim_rates.py

simulates them and writes them there, in some minutes. Every claim is judged in studies of five
seeds with made-up numbers, whose truth is known, as `tests/analysis/claim_tables.py` makes them.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "analysis")]

from descents import NULLS, by_the_former_rule, descents  # noqa: E402
from judged import MEASURED, OURS, SEEDS, split, studies_of  # noqa: E402

from plasticity.analysis.claims.ledger import CLAIMS  # noqa: E402
from plasticity.analysis.claims.verdict import LEVEL, decide  # noqa: E402

DOCUMENT = ROOT / "docs/claims.md"
STUDIES, DESCENTS = 2000, 200
EFFECT, SCATTER = 2.0, 1.0
FAR = 12.0
FINER = {"phases": 4, "gap-stages": 4}
"""Claims of which effect and distance are so many times smaller, in their unit."""


def studies(claim, effect, others, count=STUDIES):
    """The p values of `claim` in so many studies, whose weakest case has this `effect`."""
    return [*studies_of(claim, effect, others, scatter=SCATTER, studies=count)]


def part(weighed, verdict):
    """The fraction of studies in which a claim, judged alone, gets this `verdict`."""
    return [decide([one])[0].verdict for one in weighed].count(verdict) / len(weighed)


def row(claim, count=STUDIES):
    """The row of a `claim`: what it is called, its rates of wrong verdicts, and its power."""
    smallest, finer = CLAIMS[claim].smallest, FINER.get(claim, 1)
    effect, far, strictest = EFFECT / finer, FAR / finer, LEVEL / 2 / len({*MEASURED, claim})
    # Of arms one is enough: beside one that is not the others have to be far below.
    far = -far if claim in OURS else far
    above = studies(claim, effect, effect, count)
    below = studies(claim, smallest - effect, smallest - effect, count)
    rates = (
        part(studies(claim, 0.0, far, count), "reproduced"),
        part(studies(claim, smallest, smallest, count), "contradicted"),
        part(above, "reproduced"),
        sum(one.for_claim <= strictest for one in above) / count,
        part(below, "contradicted"),
        sum(one.against <= strictest for one in below) / count,
    )
    return [f"`{claim}`", f"{effect:g}", *(f"{rate:.1%}" for rate in rates)]


def null(name, count=DESCENTS):
    """The row of gradients without borders: how often sub-phases are found, before and now."""
    evidence = descents(*NULLS[name], seeds=count * SEEDS)
    rules = by_the_former_rule(evidence, SEEDS), split("phases", evidence)
    return [name, *(f"{part([*weighed], 'reproduced'):.1%}" for weighed in rules)]


RATES = (
    *("claim", "effect", "wrongly reproduced", "wrongly contradicted"),
    *("found, alone", "found, with all", "refuted, alone", "refuted, with all"),
)
PHASES = ("gradients", "former rule", "this rule")


def table(head, rows):
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def read(name):
    """The rows of the table of that `name` in the document, by their first cell."""
    found = re.search(
        rf"<!-- {name} -->\n(.*?)\n<!-- end -->", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL
    )
    lines = [line.strip("| ").split(" | ") for line in found[1].splitlines()[2:]]
    return {first: cells for first, *cells in lines}


def write(name, text):
    """Put `text` in the place of the table of that `name` in the document."""
    place = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
    new = re.sub(
        place, rf"\g<1>{text}\n\g<2>", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    DOCUMENT.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    write("rates", table(RATES, [row(claim) for claim in (*MEASURED, *OURS)]))
    write("phases", table(PHASES, [null(name) for name in NULLS]))
