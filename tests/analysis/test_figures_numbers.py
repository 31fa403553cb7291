"""The numbers beside the figures of the first paper, by hand.

Over seeds 0, 1 and 2 accuracies rise by two points each: the mean is that of seed 1, the standard
deviation two points, and in epoch e of 5 it is e fifths of that.
"""

from dataclasses import replace

import pytest
from figure_tables import COLD, DRAWINGS, LENGTHS, Synthetic, drawing_of, texts_of

from plasticity.analysis.figures import capacity, resets
from plasticity.core.errors import UserError


def series(rows, name):
    return [row for row in rows if row["series"] == name]


def test_the_numbers_of_a_warm_start(rows_of):
    rows = rows_of("warm_start")
    cold, warm, before = (series(rows, name) for name in ("cold", "warm", "warm, pretraining"))
    assert len(rows) == len(cold) + len(warm) + len(before) == 5 + 5 + 4
    for tuned, final in ((cold, 82), (warm, 72)):
        for epoch, row in enumerate(tuned, start=1):
            assert (row["x"], row["epoch"], row["n"]) == (epoch, epoch, 3)
            assert row["mean"] == pytest.approx(final * epoch / 5)
            assert row["deviation"] == pytest.approx(2 * epoch / 5)
    # Pretraining ends where tuning begins, at 0.
    assert [row["x"] for row in before] == [-3, -2, -1, 0]
    assert [row["epoch"] for row in before] == [1, 2, 3, 4]
    assert {(row["mean"], row["deviation"]) for row in before} == {(50, 0)}


def test_the_numbers_of_tuning_curves(rows_of):
    rows = rows_of("tuning_curves")
    assert [row["series"] for row in rows] == ["cold"] * 5 + ["warm"] * 5
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5] * 2
    assert [row["mean"] for row in rows] == pytest.approx(
        [16.4, 32.8, 49.2, 65.6, 82, 14.4, 28.8, 43.2, 57.6, 72]
    )
    assert [row["deviation"] for row in rows] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2] * 2)


@pytest.mark.parametrize(
    ("name", "before"), [("warm_start", [(-1, 1), (0, 2)]), ("tuning_curves", [])]
)
def test_curves_of_stages_with_a_target_end_where_the_first_seed_does(name, before):
    """Tuned for 3, 4 and 5 epochs, after 2, 3 and 4 of pretraining: later ones have fewer seeds."""
    drawing = drawing_of(name, with_targets((0, 1, 2)))
    rows = drawing.numbers.to_dict("records")
    assert {row["n"] for row in rows} == {3}
    for role in ("cold", "warm"):
        assert [row["x"] for row in series(rows, role)] == [1, 2, 3]
    found = series(rows, "warm, pretraining")
    assert [(row["x"], row["epoch"]) for row in found] == before
    assert not any(text.startswith("last") for text in texts_of(drawing.picture))


def with_targets(seeds):
    made = Synthetic()
    for seed in seeds:
        made.add("cold", COLD.replace("_e5", "_until90x5"), seed, 0.8)
        made.add("warm", LENGTHS[4].replace("_e", "_until90x"), seed, 0.7)
    tables = made.tables()
    tables.runs["target_reached"] = True
    shortest = tables.curves["kind"].map({"tune": 3, "pretrain": 2})
    ended = tables.curves["epoch"] > shortest + tables.curves["seed"]
    return replace(tables, curves=tables.curves[~ended])


def test_the_numbers_by_length_of_pretraining(rows_of):
    cold, *warm = rows_of("pretraining_length")
    assert (cold["role"], cold["n"], cold["pretrain_epochs"]) == ("cold", 3, "")
    assert (cold["mean"], cold["deviation"]) == pytest.approx((82, 2))
    assert [(row["role"], row["pretrain_epochs"], row["n"]) for row in warm] == [
        ("warm", 2, 3),
        ("warm", 4, 3),
    ]
    assert [row["mean"] for row in warm] == pytest.approx([77, 72])
    assert [row["deviation"] for row in warm] == pytest.approx([2, 2])


def test_the_numbers_of_resets(rows_of):
    cold, *warm = rows_of("resets")
    assert cold["role"] == "cold"
    assert cold["mean"] == pytest.approx(82)
    assert [(row["role"], row["reset_modules"]) for row in warm] == [
        ("warm", ""),
        ("alone", 1),
        ("alone", 6),
        ("top", "5+6"),
    ]
    assert [row["mean"] for row in warm] == pytest.approx([72, 62, 67, 77])
    assert [row["deviation"] for row in warm] == pytest.approx([2, 2, 2, 2])
    assert {row["n"] for row in warm} == {3}


@pytest.mark.parametrize("known", ["stem, blocks1, blocks2, blocks3, blocks4, output", None])
def test_resets_name_the_modules(known):
    """Also where metrics do not, as those of an earlier version; a network may have more."""
    tables = DRAWINGS["resets"]((0,))
    tables.runs["modules"] = known
    _, lower = resets.draw(tables).picture.axes
    names = f"{known}, ".split(", ") if known else [""] * 6
    expected = [f"{number} {names[number - 1]}".strip() for number in range(1, 7)]
    assert [label.get_text() for label in lower.get_yticklabels()] == expected


def test_sizes_are_told_in_words_that_fit_the_network():
    tables = DRAWINGS["capacity"]((0,))
    titles = [axes.get_title() for axes in capacity.draw(tables).picture.axes]
    assert titles[:2] == ["1 block a module", "2 blocks a module"]
    tables.runs["run"] = tables.runs["run"].str.replace("resnet-", "mlp-")
    drawn = capacity.draw(tables).picture
    assert [axes.get_title() for axes in drawn.axes][:2] == ["Depth 1", "Depth 2"]
    assert drawn.get_supxlabel() == "Width"
    tables.runs.loc[0, "depth"] = None
    with pytest.raises(UserError, match="model mlp-d1w8 states neither; take a family with both"):
        capacity.draw(tables)


def test_the_numbers_of_a_transition(rows_of):
    rows = rows_of("drift")
    assert [(row["role"], row["gamma"]) for row in rows] == [
        ("cold", ""),
        ("resampled", ""),
        ("drift", 0.5),
        ("drift", 0.1),
    ]
    assert [row["mean"] for row in rows] == pytest.approx([82, 80, 77, 72])
    assert [row["deviation"] for row in rows] == pytest.approx([2] * 4)


def test_the_numbers_by_stages_and_by_ratio(rows_of):
    rows = rows_of("stages")
    assert [(row["role"], row["splits"], row["ratio"]) for row in rows] == [
        ("cold", "", ""),
        ("uniform", 1, ""),
        ("uniform", 3, ""),
        ("imbalanced", "", 1),
        ("imbalanced", "", 0.5),
    ]
    assert [row["mean"] for row in rows] == pytest.approx([82, 77, 72, 72, 62])


def test_the_numbers_over_depth_and_width(rows_of):
    rows = rows_of("capacity")
    accuracy = [row for row in rows if row["quantity"] == "test accuracy"]
    gaps = [row for row in rows if row["quantity"] == "gap"]
    found = {(row["role"], row["depth"], row["width"]): row["mean"] for row in accuracy}
    assert len(accuracy) == len(found) == 8
    assert found["cold", 2, 4] == pytest.approx(77)
    assert found["warm", 1, 8] == pytest.approx(71)
    # Cold rises by two points a seed and warm by one: the gap of ten rises by one.
    assert [(row["depth"], row["width"]) for row in gaps] == [(1, 8), (1, 4), (2, 4), (2, 8)]
    assert [row["mean"] for row in gaps] == pytest.approx([11] * 4)
    assert [row["deviation"] for row in gaps] == pytest.approx([1] * 4)


def test_the_numbers_by_learning_rates(rows_of):
    rows = rows_of("learning_rates")
    found = {(row["role"], row["pretrain_lr"], row["lr"]): row["mean"] for row in rows}
    assert found == pytest.approx(
        {
            ("cold", "", 0.001): 82,
            ("cold", "", 0.01): 72,
            ("warm", 0.002, 0.001): 80,
            ("warm", 0.02, 0.001): 62,
            ("warm", 0.002, 0.01): 70,
            ("warm", 0.02, 0.01): 52,
        }
    )
