"""The gaps as a page of HTML for the report."""

from __future__ import annotations

import pandas as pd

from plasticity.analysis import html

PAGE = html.template("""{% extends "frame" %}
{% block style %}
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
td:nth-child(3) { font-family: ui-monospace, monospace; font-size: 12px; }
{% endblock %}
{% block body %}
<h1>{{ title }}</h1>
<p>Final test accuracy from scratch (cold) minus that of the warm start, paired by seed; the final
accuracy is the mean over the last fifth of tuning. n counts the seeds; deviation is the standard
deviation of the gap over seeds; the interval and the two-sided p value are those of a paired t
test, not corrected for the number of rows. A positive gap means that the warm start generalises
worse. Pairs of which a run diverged are left out: the column diverged counts those runs. The paper
presumes that every run fits its training data, in pretraining too: the column before the last
counts the other runs of a row, cold and warm, of which a stage ended below 100% training accuracy,
over the last fifth of its epochs.</p>
<table>
<thead><tr>{% for name in columns %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
{% endblock %}
""")


def gaps_page(gaps: pd.DataFrame, study: str) -> str:
    """The page of `gaps`, by `GAPS`, with accuracies in per cent."""
    shown = pd.DataFrame(
        {
            "data set": gaps["dataset"],
            "network": gaps["model"],
            "warm": gaps["warm"],
            "n": gaps["n"],
            "diverged": gaps["diverged"],
            "cold / %": _hundredths(gaps["cold_accuracy"]),
            "warm / %": _hundredths(gaps["warm_accuracy"]),
            "gap / points": _hundredths(gaps["gap"]),
            "deviation": [f"{std * 100:.2f}" if std == std else "" for std in gaps["deviation"]],
            "95% interval": [
                f"{low * 100:.2f} to {high * 100:.2f}"
                if low == low
                else "one seed: none" * (n == 1)
                for low, high, n in zip(gaps["low"], gaps["high"], gaps["n"], strict=True)
            ],
            "runs below 100% train": gaps["below_full_train_accuracy"],
            "p (t test)": gaps["p_value"].map(lambda p: f"{p:.2g}" if p == p else ""),
        }
    )
    return PAGE.render(
        title=f"Generalisation gaps: {study}",
        columns=list(shown.columns),
        rows=shown.itertuples(index=False, name=None),
    )


def _hundredths(fractions: pd.Series) -> pd.Series:
    """`fractions` in per cent, rounded to two digits; empty where there is none."""
    return (fractions * 100).round(2).map("{:.2f}".format, na_action="ignore").fillna("")
