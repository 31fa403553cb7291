"""The judgements as a page of HTML that stands alone, paper by paper, the figures inside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from plasticity.analysis.claims.evidence import Paper
from plasticity.analysis.claims.ledger import PAPERS
from plasticity.analysis.claims.verdict import LEVEL, MOST_SEEDS, Judgement
from plasticity.analysis.stats import POWER

MARKS = {"reproduced": "✓", "contradicted": "✗", "undecided": "?"}

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; padding: 0 2em; max-width: 84em;
  color: #222; }
p, figcaption { max-width: 52em; }
table { border-collapse: collapse; margin: 1.5em 0; }
th, td { padding: .5em .8em; border-bottom: 1px solid #ddd; text-align: right;
  vertical-align: top; }
th { font-size: 13px; border-bottom: 2px solid #999; vertical-align: bottom; }
th:nth-child(-n+2), td:nth-child(-n+2), th:last-child, td:last-child { text-align: left; }
td:nth-child(1) { min-width: 17em; }
td:last-child { min-width: 15em; }
small { display: block; color: #555; }
.verdict { white-space: nowrap; font-weight: 600; padding: .1em .5em; border-left: .3em solid; }
.reproduced { border-color: #0072b2; }
.contradicted { border-color: #d55e00; }
.undecided { border-color: #999; }
figure { margin: 2em 0; }
figure img { max-width: 100%; width: 48em; }
a { color: #0055a0; }
"""


@dataclass(frozen=True)
class Picture:
    """A figure of the page: the words above and below it, and its PNG."""

    title: str
    caption: str
    path: str | Path


def claims_page(
    study: str, judgements: Sequence[Judgement], pictures: Mapping[str, Picture]
) -> str:
    """The page of `study`; `pictures` are by figure, those that are there."""
    used = {figure for one in judgements for figure in one.figures.split()}
    shown = {name: picture for name, picture in pictures.items() if name in used}
    by_paper = {
        paper: [one for one in judgements if one.paper == paper]
        for paper in dict.fromkeys(one.paper for one in judgements)
    }
    sections = "\n".join(_section(PAPERS[name], of, shown) for name, of in by_paper.items())
    figures = "\n".join(_figure(name, picture) for name, picture in shown.items())
    counts = ", ".join(
        f"{sum(one.verdict == verdict for one in judgements)} {verdict}" for verdict in MARKS
    )
    name = escape(study)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Claims: {name}</title>
<style>{STYLE}</style>
<h1>Claims of papers in the study {name}</h1>
<p>{counts}, of {len(judgements)} claims{_of(list(by_paper))}.</p>
<p><b>How a verdict comes about.</b> Every claim is put as a number that it says is above 0, such
as the test accuracy of one network minus that of another. The number is taken seed by seed, and a
t test asks what its mean can be. A claim is <b>reproduced</b> where the mean is shown to be above
0. It is <b>contradicted</b> where the mean is shown to be below 0, or, where the claim is that
there is a gap, below the smallest gap of interest. Otherwise it is <b>undecided</b>: the seeds are
too few, the scatter is too large, or something was not measured; that is no verdict against
it. A claim about every one of several cases is reproduced where each is shown, and contradicted
where one is; its row has the case that decides.</p>
<p>The more claims are tested, the likelier is a mistake among them. So verdicts go by the corrected
p value, at most {LEVEL:g}: the chance that any verdict “reproduced” or “contradicted” on this page
is wrong is at most {LEVEL:.0%}, whichever papers they are about. The 95% intervals are of single
numbers, not corrected. Seeds needed: how many would decide the claim in {POWER:.0%} of studies if
mean and scatter are as estimated here. All this holds for a number of seeds that was fixed
beforehand: adding seeds and looking again, until something is decided, makes mistakes likelier.</p>
{sections}
{figures}
</html>
"""


def _of(papers: Sequence[str]) -> str:
    """Whose claims they are, as a part of a sentence."""
    return f" of {' and of '.join(map(escape, papers))}" if papers else ""


def _section(paper: Paper, judgements: Sequence[Judgement], pictures: Mapping[str, Picture]) -> str:
    """The claims of `paper` under a heading of their own."""
    rows = "\n".join(_row(one, pictures) for one in judgements)
    notes = []
    if paper.presumes_fit:
        notes.append(
            "The paper presumes that every run fits its training data: the column before the last "
            "counts the runs compared, from scratch and warm, whose training accuracy never "
            "reached 100%."
        )
    else:
        notes.append(
            "The paper does not presume that runs fit their training data, so the column before "
            "the last is empty."
        )
    if any(one.conjecture for one in judgements):
        notes.append("A conjecture is what the paper supposes and does not test.")
    if any(one.recalled for one in judgements):
        notes.append(
            "What is recalled is told from memory of the paper: no source at hand states it."
        )
    return f"""<h2>{escape(paper.name)}, “{escape(paper.title)}”</h2>
<table>
<thead><tr><th>claim</th><th>verdict</th><th>estimate<small>95% interval</small></th>
<th>seeds</th><th>p</th><th>p corrected</th><th>seeds needed</th><th>runs below 100% train</th>
<th>reason</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
<p>{" ".join(notes)}</p>"""


def _row(one: Judgement, pictures: Mapping[str, Picture]) -> str:
    links = ", ".join(
        f'<a href="#{escape(name)}">{escape(name)}</a>' if name in pictures else escape(name)
        for name in one.figures.split()
    )
    kinds = ["conjecture"] * one.conjecture + ["recalled"] * one.recalled
    about = " · ".join(part for part in (escape(one.id), *kinds, links) if part)
    cells = [
        f"{escape(one.statement)}<small>{about}</small>",
        f'<span class="verdict {one.verdict}">{MARKS[one.verdict]} {one.verdict}</span>',
        _estimate(one),
        str(one.n) if one.n else "",
        _number(one.p_value),
        _number(one.p_corrected),
        seeds_in_words(one),
        ""
        if one.below_full_train_accuracy is None
        else f"{one.below_full_train_accuracy} of {one.runs}",
        f"{escape(one.reason)}<small>{escape(one.test)}</small>",
    ]
    return f'<tr id="{escape(one.id)}">{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _estimate(one: Judgement) -> str:
    """The estimate with its interval, and what it is of."""
    if one.n == 0:
        return ""
    interval = f"{one.low:.2f} to {one.high:.2f}" if one.low == one.low else "no interval"
    what = f"{one.effect} ({one.case})" if one.case else one.effect
    return (
        f"<b>{one.estimate:.2f}</b> {escape(one.unit)}<small>{interval}</small>"
        f"<small>{escape(what)}</small>"
    )


def seeds_in_words(one: Judgement) -> str:
    """The seeds that would decide a claim, as far as that is known."""
    if one.seeds_needed is None:
        return "at least 2" if one.verdict == "undecided" and one.n == 1 else ""
    return str(one.seeds_needed) if one.seeds_needed <= MOST_SEEDS else f"more than {MOST_SEEDS}"


def _number(p_value: float) -> str:
    return f"{p_value:.2g}" if p_value == p_value else ""


def _figure(name: str, picture: Picture) -> str:
    data = base64.b64encode(Path(picture.path).read_bytes()).decode()
    return f"""<figure id="{escape(name)}"><h2>{escape(name)}: {escape(picture.title)}</h2>
<img src="data:image/png;base64,{data}" alt="{escape(picture.title)}">
<figcaption>{escape(picture.caption)}</figcaption></figure>"""
