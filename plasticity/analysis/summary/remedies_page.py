"""The tables of remedies as a page of HTML for the report, whose columns can be sorted by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from plasticity.analysis import html
from plasticity.analysis.summary.remedies import LEVEL
from plasticity.runs.roles import COLD

UNITS = {1e15: "10¹⁵", 1e12: "10¹²", 1e9: "10⁹", 1e6: "10⁶"}
"""What multiply-adds are told in."""

PAGE = html.template("""{% extends "frame" %}
{% block style %}
p, dl { max-width: 60em; }
td { vertical-align: top; }
th { vertical-align: bottom; border-bottom: 2px solid #999; padding: 0; }
th button { font: 600 13px/1.3 inherit; border: 0; background: none; padding: .4em .8em;
  text-align: inherit; cursor: pointer; color: inherit; }
th[aria-sort=ascending] button::after { content: " ▲"; }
th[aria-sort=descending] button::after { content: " ▼"; }
.text { text-align: left; }
small { display: block; color: #555; white-space: nowrap; }
.long { font-family: ui-monospace, monospace; font-size: 12px; }
.cold { background: #eef4fa; }
{% endblock %}
{% block body %}
<h1>{{ title }}</h1>
<p>{{ caption }}</p>
<p>Each row is trained on the same seeds; a click on the head of a column sorts by it. <b>Test
accuracy</b> is the mean over the last fifth of the last stage, with its 95% t interval.
<b>Gap</b> is the test accuracy from scratch minus that of the row, in points, paired by seed:
to plain cold, and to cold with the same methods and rule. A method that lifts cold as well
closes the first and not the second. The intervals of a column hold together for all of its
rows, with a chance of {{ level }} that any misses (Bonferroni); p values are of paired t tests,
corrected over the rows by Holm. <b>At the cost of cold</b> is the accuracy by the time that the
row has cost as many multiply-adds as the cold run of its seed, where these pay for an epoch.
<b>To cold's accuracy</b> is what it took to the first epoch with the final accuracy of that
cold run: the median over seeds, of which those that never had it count as later than all
others.</p>
<p>Multiply-adds are those of the last stage: three times those of the forward pass, for each
image and each forward and backward pass of rule, methods and start. What else methods compute
is in the wall time alone. Those of pretraining stand apart: it was done before the data
arrived. Runs that diverged are left out with their pairs.</p>
{% for table in tables %}
<h2>{{ table.name }}</h2>
<table>
<thead><tr>{% for name in table.columns %}<th><button type="button">{{ name }}</button></th>
{% endfor %}</tr></thead>
<tbody>
{% for row in table.rows %}
<tr{% if row.marked %} class="cold"{% endif %}>{% for cell in row.cells %}
<td data-key="{{ cell.key }}"{% if cell.kind %} class="{{ cell.kind }}"{% endif %}>{{ cell.text }}
{%- if cell.more %}<small>{{ cell.more }}</small>{% endif %}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
{% endfor %}
<script>
for (const head of document.querySelectorAll("th")) head.addEventListener("click", () => {
  const table = head.closest("table"), body = table.tBodies[0];
  const column = [...head.parentNode.children].indexOf(head);
  const down = head.getAttribute("aria-sort") === "ascending";
  const key = row => row.cells[column].dataset.key;
  const by = (one, other) => {
    const [a, b] = [key(one), key(other)];
    if (a === "" || b === "") return (a === "") - (b === "");  // what is missing comes last
    const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
    return down ? -order : order;
  };
  for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  body.append(...[...body.rows].sort(by));
});
</script>
{% endblock %}
""")


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, what it is sorted by, and what is told below it."""

    text: str
    key: str = ""
    more: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Row:
    """A row, which may be `marked`."""

    cells: list[Cell]
    marked: bool = False


@dataclass(frozen=True)
class Table:
    """A table under its name."""

    name: str
    columns: list[str]
    rows: list[Row]


def remedies_page(
    title: str,
    caption: str,
    remedies: pd.DataFrame,
    tried: pd.DataFrame,
    labels: Mapping[str, str],
) -> str:
    """The page of a figure with arms, of its tables by `REMEDIES` and `TRIED`."""
    named = [dict(_cells(row, labels, *_unit(remedies))) for _, row in remedies.iterrows()]
    marked = [role == COLD for role in remedies["role"]]
    rows = [Row([*cells.values()], mark) for cells, mark in zip(named, marked, strict=True)]
    tables = [Table("Arms", [*named[0]], rows)]
    if (remedies["tried"] > 1).any():
        tables.append(_tried(tried, labels))
    return PAGE.render(title=title, caption=caption, level=f"{LEVEL:.0%}", tables=tables)


def _unit(remedies: pd.DataFrame) -> tuple[float, str]:
    """The unit in which the multiply-adds of a table are told: a number and its name."""
    largest = remedies["multiply_adds"].max()
    return next(((size, name) for size, name in UNITS.items() if largest >= size), (1.0, ""))


def _cells(
    row: pd.Series, labels: Mapping[str, str], size: float, unit: str
) -> Iterator[tuple[str, Cell]]:
    role = row["role"]
    yield "arm", Cell(labels.get(role, role), role, role, "text")
    yield "start of tuning", Cell(row["begins"] or "from scratch", row["begins"], kind="text")
    yield "acts in", Cell(row["acts"], row["acts"], kind="text")
    interval = _interval(row["low"], row["high"])
    yield "test accuracy / %", _number(row["accuracy"], "{:.2f}", 100, interval)
    for name, column in (("gap to cold", "gap"), ("gap to cold with the same", "own_gap")):
        interval = _interval(row[f"{column}_low"], row[f"{column}_high"])
        yield f"{name} / points", _number(row[column], "{:.2f}", 100, interval)
        yield f"p of the {name}", _number(row[f"{column}_p_value"], "{:.2g}")
    few = row["seeds_at_cold_cost"] < row["n"]
    some = f"of {row['seeds_at_cold_cost']} of {row['n']} seeds" if few else ""
    yield (
        "accuracy at the cost of cold / %",
        _number(row["accuracy_at_cold_cost"], "{:.2f}", 100, some),
    )
    late = f"{row['never']} of {row['seeds_to_cold']} seeds never" if row["never"] else ""
    yield "steps to cold's accuracy", _number(row["steps_to_cold"], "{:,.0f}", more=late)
    for name, column in (
        ("multiply-adds to cold's accuracy", "multiply_adds_to_cold"),
        ("multiply-adds", "multiply_adds"),
        ("multiply-adds of pretraining", "pretrain_multiply_adds"),
    ):
        yield f"{name}{f' / {unit}' if unit else ''}", _number(row[column], "{:.3g}", 1 / size)
    yield "wall time / s", _number(row["seconds"], "{:.3g}")
    yield "seeds", _number(row["n"], "{:.0f}")
    yield "diverged", _number(row["diverged"], "{:.0f}")
    chosen = f"of {row['tried']} tried" if row["tried"] > 1 else ""
    yield "stages", Cell(row["setting"], row["setting"], chosen, "text long")


def _tried(tried: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """What was tried of each arm, a row a setting."""
    columns = ["arm", "point", "validation accuracy / %", "test accuracy / %", "diverged", "chosen"]
    rows = []
    for (role, point), of in tried.groupby(["role", "point"], sort=False):
        chosen = bool(of["chosen"].iloc[0])
        cells = [
            Cell(labels.get(str(role), str(role)), str(role), str(role), "text"),
            Cell(str(point), str(point)),
            _number(of["validation_accuracy"].mean(), "{:.2f}", 100),
            _number(of["test_accuracy"].mean(), "{:.2f}", 100),
            _number(of["diverged"].sum(), "{:.0f}"),
            Cell("✓" if chosen else "", str(int(chosen))),
            Cell(setting := of["setting"].iloc[0], setting, kind="text long"),
        ]
        rows.append(Row(cells, chosen))
    return Table("All that was tried; validation accuracy chose", [*columns, "stages"], rows)


def _number(value: float | None, form: str, scale: float = 1, more: str = "") -> Cell:
    """`value` times `scale` in that form; empty where there is none."""
    if value is None or math.isnan(value):
        return Cell("", "", more)
    return Cell(form.format(value * scale), f"{value:.9g}", more)


def _interval(low: float, high: float) -> str:
    return f"{low * 100:.2f} to {high * 100:.2f}" if low == low else ""
