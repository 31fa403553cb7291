"""Figures: what each drawing writes and says, the same bytes each time, and what it refuses."""

import csv
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import early_figure_tables
import made_metrics
import pandas as pd
import pytest
from figure_tables import (
    COLD,
    DRAWINGS,
    LENGTHS,
    RESETS,
    Synthetic,
    draw,
    numbers,
    pretraining_length,
    sketched,
    warm_start,
)

from plasticity.analysis.figures import style
from plasticity.analysis.preview import made_up_tables
from plasticity.core.errors import UserError
from plasticity.runs.layout import FIGURE_SUFFIXES


def compared(seeds):
    """A figure with arms."""
    paths = {"cold": made_metrics.COLD, "warm": made_metrics.WARM, "warm-top": made_metrics.RESET}
    roles = {role: [path.format(seed=seed) for seed in seeds] for role, path in paths.items()}
    return made_up_tables("A title", roles, {role: role for role in roles}, None, {}, True)


EVERY = DRAWINGS | early_figure_tables.DRAWINGS | {"remedies": compared}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Each drawing of three seeds, made once."""
    made = {}

    def by_name(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = draw(name, folder, EVERY[name]((0, 1, 2)))
        return made[name]

    return by_name


def test_every_drawing_is_tested():
    """A new drawing needs an entry above."""
    folder = Path(style.__file__).parent
    drawings = {path.stem for path in folder.glob("*.py")} - {"__init__", "style"}
    assert drawings == set(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_a_drawing_writes_its_picture_in_three_formats(drawn, name):
    outputs = drawn(name)
    assert outputs["svg"].read_bytes().startswith(b"<?xml")
    assert b"</svg>" in outputs["svg"].read_bytes()
    assert outputs["pdf"].read_bytes().startswith(b"%PDF-")
    assert outputs["png"].read_bytes().startswith(b"\x89PNG\r\n")
    assert numbers(outputs)
    left = {path.name for path in outputs["svg"].parent.iterdir()}
    assert left == {f"{name}.{suffix}" for suffix in FIGURE_SUFFIXES}


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_same_numbers_give_the_same_bytes(drawn, name, tmp_path):
    first, second = drawn(name), draw(name, tmp_path, DRAWINGS[name]((0, 1, 2)))
    for suffix in ("svg", "pdf", "csv"):
        assert first[suffix].read_bytes() == second[suffix].read_bytes(), suffix


@pytest.mark.parametrize("name", DRAWINGS)
def test_one_seed_is_enough(tmp_path, name):
    rows = sketched(name, tmp_path, DRAWINGS[name]((0,)))
    assert {row["n"] for row in rows} == {1}
    assert {row["deviation"] for row in rows} == {""}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_cold_and_a_warm_run_are_enough(tmp_path, name):
    rows = sketched(name, tmp_path, warm_start((0,)))
    assert {row.get("role", row.get("series")) for row in rows} >= {"cold", "warm"}


@pytest.mark.parametrize("role", ["cold", "warm"])
@pytest.mark.parametrize("name", DRAWINGS)
def test_one_role_is_enough(tmp_path, name, role):
    """Also where it is the cold one alone, or none is called cold."""
    made = Synthetic()
    for seed in (0, 1):
        made.add(role, COLD if role == "cold" else LENGTHS[4], seed, 0.8)
    assert sketched(name, tmp_path, made.tables())


@pytest.mark.parametrize("title", ["a $\\frac{$ b", "$$", "a\n$\\nonsense$"])
def test_a_formula_that_cannot_be_drawn_is_named(tmp_path, title):
    tables = replace(warm_start((0,)), title=title)
    with pytest.raises(UserError, match=r"title: .* is no formula that can be drawn"):
        draw("warm_start", tmp_path, tables)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("title", ["$\\gamma$ of {half}", "for $5", "for \\$5 and \\$6", "{x}"])
def test_formulas_dollars_and_braces_are_drawn(tmp_path, title):
    labels = {"cold": title, "warm": title}
    assert draw("warm_start", tmp_path, replace(warm_start((0,)), title=title, labels=labels))


@pytest.mark.parametrize("name", DRAWINGS)
def test_numbers_have_six_digits(drawn, name):
    """As many as matter, so that a change in the last bit does not change the file."""
    for row in csv.DictReader(drawn(name)["csv"].read_text().splitlines()):
        for key in ("mean", "deviation"):
            assert len(row[key].replace(".", "").lstrip("0")) <= 6, row


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_says_what_it_shows(name):
    tables = DRAWINGS[name]((0, 1, 2))
    picture = import_module(f"plasticity.analysis.figures.{name}").draw(tables).picture
    titles = [axes.get_title(loc="left") for axes in picture.axes] + [picture.get_suptitle()]
    assert "A title" in [title.split("\n")[0] for title in titles]
    texts = [text.get_text() for axes in picture.axes for text in axes.texts] + titles
    assert any("3 seeds; error bars and bands: standard deviation" in text for text in texts)
    legends = [axes.get_legend() for axes in picture.axes if axes.get_legend()]
    said = {text.get_text() for legend in legends for text in legend.get_texts()}
    for label in tables.labels.values():
        assert any(words.startswith(label) for words in said)
    assert picture.axes[0].get_ylabel().startswith("Test accuracy")
    assert "(%)" in picture.axes[0].get_ylabel()


def vertical_lines(tables):
    from plasticity.analysis.figures import pretraining_length

    axes = pretraining_length.draw(tables).picture.axes[0]
    return [
        line.get_xdata()[0] for line in axes.lines if line.get_label().startswith("100% training")
    ]


def test_full_training_accuracy_is_marked_where_all_seeds_reach_it():
    assert vertical_lines(pretraining_length((0, 1, 2))) == [2]


def test_full_training_accuracy_is_not_marked_where_a_seed_does_not_reach_it():
    tables = pretraining_length((0, 1, 2))
    tables.curves.loc[tables.curves["seed"] == 1, "train_accuracy"] = 0.99
    assert vertical_lines(tables) == []


def test_a_run_with_two_roles_appears_in_both():
    made = Synthetic()
    made.add("cold", COLD, 0, 0.8)
    made.add("alone", RESETS["6"], 0, 0.7)
    made.add("top", RESETS["6"], 0, 0.7)
    tables = made.tables()
    assert tables.runs["role"].tolist() == ["cold", "alone", "top"]
    tuned = tables.curves[tables.curves["kind"] == "tune"]
    assert len(tuned) == 15
    assert tables.curves.loc[tables.curves["kind"] == "pretrain", "role"].isna().all()


@pytest.mark.parametrize(
    ("counts", "words"),
    [([3, 3], "3 seeds"), ([1, 1], "1 seed"), ([2, 5], "2 to 5 seeds")],
)
def test_the_number_of_seeds_in_words(counts, words):
    assert style.seeds_note(pd.Series(counts)).startswith(f"{words};")
