"""The judgements as a page of HTML that stands alone, paper by paper, the figures inside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plasticity.analysis import html
from plasticity.analysis.claims.judgements import Judgement
from plasticity.analysis.claims.ledger import PAPERS
from plasticity.analysis.claims.verdict import LEVEL, MOST_SEEDS
from plasticity.analysis.stats import POWER

MARKS = {"reproduced": "✓", "contradicted": "✗", "undecided": "?"}

PAGE = html.template("""{% extends "frame" %}
{% block style %}
body { margin: 2em auto; padding: 0 2em; max-width: 84em; }
p, figcaption { max-width: 52em; }
table { margin: 1.5em 0; }
th, td { padding: .5em .8em; vertical-align: top; }
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
{% endblock %}
{% block body %}
<h1>Claims of papers in the study {{ study }}</h1>
<p>{% for verdict in marks %}{{ verdicts.count(verdict) }} {{ verdict }}, {% endfor %}
of {{ verdicts|length }} claims{% if sections %} of {{ sections|map("first")|map(attribute="name")
|join(" and of ") }}{% endif %}.</p>
<p><b>How a verdict comes about.</b> Every claim is put as a number that it says is above 0, such
as the test accuracy of one network minus that of another. The number is taken seed by seed, and a
t test asks what its mean can be. A claim is <b>reproduced</b> where the mean is shown to be above
0. It is <b>contradicted</b> where the mean is shown to be below 0, or, where the claim is that
there is a gap or a trend, below the smallest of interest. Otherwise it is <b>undecided</b>: the
seeds are too few, the scatter is too large, or something was not measured; that is no verdict
against it. A claim about every one of several cases is reproduced where each is shown, and
contradicted where one is; its row has the case that decides. Runs that diverged are
never judged on: the seeds that need them are left out, and the reason says how many runs these
were.</p>
<p>The more claims are tested, the likelier is a mistake among them. So verdicts go by the corrected
p value, at most {{ level }}: the chance that any verdict “reproduced” or “contradicted” on this
page is wrong is at most {{ "{:.0%}".format(level) }}, whichever papers they are about. The 95%
intervals are of single numbers, not corrected. Seeds needed: how many would decide the claim in
{{ "{:.0%}".format(power) }} of studies if mean and scatter are as estimated here. All this holds
for a number of seeds that was fixed beforehand: adding seeds and looking again, until something is
decided, makes mistakes likelier.</p>
{% for paper, judgements in sections %}
<h2>{{ paper.name }}, “{{ paper.title }}”</h2>
<table>
<thead><tr><th>claim</th><th>verdict</th><th>estimate<small>95% interval</small></th>
<th>seeds</th><th>p</th><th>p corrected</th><th>seeds needed</th><th>runs below 100% train</th>
<th>reason</th></tr></thead>
<tbody>
{% for one in judgements %}
<tr id="{{ one.id }}">
<td>{{ one.statement }}<small>{{ one.id -}}
{% if one.conjecture %} · conjecture{% endif %}
{% if one.recalled %} · recalled{% endif %}
{% for name in one.figures.split() %}
{{ " · " if loop.first else ", " }}
{%- if name in pictures %}<a href="#{{ name }}">{{ name }}</a>{% else %}{{ name }}{% endif %}
{% endfor %}</small></td>
<td><span class="verdict {{ one.verdict }}">{{ marks[one.verdict] }} {{ one.verdict }}</span></td>
<td>{% if one.n %}<b>{{ "%.2f"|format(one.estimate) }}</b> {{ one.unit }}<small>
{%- if one.low == one.low %}{{ "%.2f to %.2f"|format(one.low, one.high) }}{% else %}no interval
{%- endif %}</small><small>{{ one.effect }}{% if one.case %} ({{ one.case }}){% endif %}</small>
{%- endif %}</td>
<td>{{ one.n or "" }}</td>
<td>{{ p_value(one.p_value) }}</td>
<td>{{ p_value(one.p_corrected) }}</td>
<td>{{ seeds_needed(one) }}</td>
<td>{% if one.below_full_train_accuracy is not none %}
{{- one.below_full_train_accuracy }} of {{ one.runs - one.diverged }}<small>
{{- one.stages_below_full_train_accuracy }} of {{ one.stages }} stages</small>{% endif %}</td>
<td>{{ one.reason }}<small>{{ one.test }}</small></td>
</tr>
{% endfor %}
</tbody>
</table>
<p>{% if paper.presumes_fit %}
The paper presumes that every run fits its training data, in pretraining too: the column before the
last counts the runs compared, from scratch and warm, of which a stage ended below 100% training
accuracy, over the last fifth of its epochs; and below them these stages, of all that the runs went
through.
{% else %}
The paper does not presume that runs fit their training data, so the column before the last is
empty.
{% endif %}
{% if judgements|selectattr("conjecture")|first is defined %}
A conjecture is what the paper supposes and does not test.
{% endif %}
{% if judgements|selectattr("recalled")|first is defined %}
What is recalled is told from memory of the paper: no source at hand states it.
{% endif %}
</p>
{% endfor %}
{% for name, picture in pictures.items() %}
<figure id="{{ name }}"><h2>{{ name }}: {{ picture.title }}</h2>
<img src="data:image/png;base64,{{ picture.data }}" alt="{{ picture.title }}">
<figcaption>{{ picture.caption }}</figcaption></figure>
{% endfor %}
{% endblock %}
""")


@dataclass(frozen=True)
class Picture:
    """A figure of the page: the words above and below it, and its PNG."""

    title: str
    caption: str
    path: str | Path

    @property
    def data(self) -> str:
        """The PNG in base64."""
        return base64.b64encode(Path(self.path).read_bytes()).decode()


def claims_page(
    study: str, judgements: Sequence[Judgement], pictures: Mapping[str, Picture]
) -> str:
    """The page of `study`; `pictures` are by figure, those that are there."""
    used = {figure for one in judgements for figure in one.figures.split()}
    papers = dict.fromkeys(one.paper for one in judgements)
    return PAGE.render(
        title=f"Claims: {study}",
        study=study,
        marks=MARKS,
        verdicts=[one.verdict for one in judgements],
        level=LEVEL,
        power=POWER,
        sections=[(PAPERS[name], [o for o in judgements if o.paper == name]) for name in papers],
        pictures={name: picture for name, picture in pictures.items() if name in used},
        p_value=lambda p: f"{p:.2g}" if p == p else "",
        seeds_needed=seeds_in_words,
    )


def seeds_in_words(one: Judgement) -> str:
    """The seeds that would decide a claim, as far as that is known."""
    if one.seeds_needed is None:
        return "at least 2" if one.verdict == "undecided" and one.n == 1 else ""
    return str(one.seeds_needed) if one.seeds_needed <= MOST_SEEDS else f"more than {MOST_SEEDS}"
