"""The figure of remedies: what it draws of a study with made-up numbers."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from made_metrics import COLD, PRETRAINING, WARM
from matplotlib import rc_context

from plasticity.analysis.figures import Tables, remedies, render, style
from plasticity.analysis.preview import made_up_tables
from plasticity.analysis.summary.curves import curves
from plasticity.analysis.summary.remedies import remedies_tables
from plasticity.analysis.summary.runs import runs_table
from plasticity.core.errors import UserError
from plasticity.study import Study

ROOT = Path(__file__).parents[2]


@cache
def tables():
    """Those of the paper's study."""
    figure = Study(yaml.safe_load((ROOT / "config.yaml").read_text())).figures["remedies"]
    return made_up_tables("Remedies", figure.roles, dict(figure.labels), None, {}, True)


def drawn(of=None):
    with rc_context(style.RC):
        return remedies.draw(of or tables())


def test_its_arms_stand_by_their_accuracy_under_their_names():
    left, _ = drawn().picture.axes
    names = [label.get_text() for label in left.get_xticklabels()]
    arms = tables().arms
    warm = arms[arms["role"].str.startswith("warm") | arms["role"].isin(["cold", "cold-long"])]
    ordered = warm.sort_values("accuracy")["role"]
    assert len(names) == len(ordered)
    places = {name: place for place, name in enumerate(names)}
    assert places["from scratch"] == list(ordered).index("cold")
    assert places["l2init-both"] == list(ordered).index("warm-l2init-both")


def words(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_its_legends_say_what_is_what_and_its_note_what_bars_are():
    """One below the arms, of their markers, and one below the picture, of the lines."""
    picture = drawn().picture
    told = ["from scratch", "from scratch, the same method", "pretrained"]
    finals, legend = picture.legends
    assert words(finals) == told
    first, second, *_, others, front = words(legend)
    assert [first, second] == ["from scratch", "warm start"]
    assert [others, front] == ["the others", "Pareto front"]
    assert "5 seeds; error bars and band: standard deviation" in picture.get_suptitle()


def test_lines_that_are_on_the_front_where_it_is_seen_have_a_colour_and_a_label():
    figure = drawn()
    _, right = figure.picture.axes
    bottom, _ = right.get_ylim()
    course = figure.numbers.query("on_front.notna()")
    seen = course[course["mean"] >= bottom]
    ahead = {"cold", "warm", *seen.loc[seen["on_front"].astype(bool), "role"]}
    assert ahead < {*course.loc[course["on_front"].astype(bool), "role"], "cold", "warm"}
    told = {tables().labels[role] for role in ahead} | {"the others", "Pareto front"}
    assert {*words(figure.picture.legends[1])} == told
    first, last = right.get_xlim()
    costs = seen["multiply_adds"]
    assert first < costs.min() < 1.2 * first
    assert last / 1.2 < costs.max() < last


def test_no_accuracy_below_zero_is_shown():
    low = tables().arms.copy()
    low.loc[low.index[-1], "accuracy"] = 0.02
    _, right = drawn(replace(tables(), remedies=low)).picture.axes
    assert right.get_ylim()[0] == 0


def test_epochs_far_below_the_final_accuracies_leave_the_costs_to_be_read():
    low = tables().curves.assign(test_accuracy=0.01 * tables().curves["test_accuracy"])
    figure = drawn(replace(tables(), curves=low))
    _, right = figure.picture.axes
    costs = figure.numbers.query("on_front.notna()")["multiply_adds"]
    first, last = right.get_xlim()
    assert first < costs.min() < costs.max() < last


def test_what_is_compared_in_a_column_stands_side_by_side():
    left, _ = drawn().picture.axes
    names = [label.get_text() for label in left.get_xticklabels()]
    place = names.index("l2init")
    near = sorted(
        float(x)
        for bar in left.containers
        for x in bar.lines[0].get_xdata()
        if abs(x - place) < 0.5
    )
    assert near == pytest.approx([place - remedies.ASIDE, place + remedies.ASIDE])


def test_no_row_beats_those_on_the_front():
    course = drawn().numbers.query("on_front.notna()")
    assert course["on_front"].any()
    for row in course[course["on_front"].astype(bool)].itertuples():
        as_cheap = course[course["multiply_adds"] <= row.multiply_adds]
        assert row.mean == as_cheap["mean"].max()


def test_costs_end_where_the_table_says():
    """By the passes of each epoch, and the multiply-adds of an image."""
    course = drawn().numbers.query("on_front.notna()")
    ends = course.groupby("role")["multiply_adds"].max()
    told = tables().arms.set_index("role")["multiply_adds"]
    assert ends.to_dict() == pytest.approx(told[ends.index].to_dict())


def test_costs_end_where_the_table_says_where_a_run_diverged_too(write):
    """Of the first role, half way: the table's mean is without it, as the figure's is."""
    cold = [write(COLD, seed, [0.7, 0.8, 0.8, 0.8, 0.8]) for seed in range(2)]
    cold += [write(COLD, 2, [0.7, 0.8], diverged_step=20, ends=20)]
    runs = dict([*cold, *(write(WARM, seed, [0.7] * 5) for seed in range(3))])
    before = dict(write(PRETRAINING, seed, [0.4, 0.5]) for seed in range(3))
    table = runs_table(runs, before).to_pandas()
    epochs = pa.concat_tables(curves(runs, before)).to_pandas()
    paths = [str(run) for run in runs]
    roles = {"cold": paths[:3], "warm": paths[3:]}
    arms = remedies_tables(table, epochs, roles, 1000.0)[0].to_pandas()
    found = Tables.of("Remedies", table, epochs, roles, {}, remedies=arms)
    course = drawn(found).numbers.query("on_front.notna()")
    ends = course.groupby("role")["multiply_adds"].max()
    assert ends.to_dict() == pytest.approx(dict.fromkeys(roles, 3 * 1000.0 * 5 * 9 * 128))


def test_an_arm_that_diverged_is_left_out():
    arms = tables().arms.copy()
    arms.loc[arms["role"] == "warm-last", ["accuracy", "deviation"]] = float("nan")
    runs = tables().runs
    alive = replace(tables(), remedies=arms, runs=runs[runs["role"] != "warm-last"])
    left, _ = drawn(alive).picture.axes
    assert "last" not in [label.get_text() for label in left.get_xticklabels()]


def test_a_figure_without_arms_is_refused(tmp_path):
    plain = replace(tables(), remedies=None)
    with pytest.raises(UserError, match="name them in its key arms"):
        render("remedies", plain, {"png": tmp_path / "a.png"})
    assert isinstance(plain, Tables)
