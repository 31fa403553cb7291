"""Figures: the numbers beside each picture by hand, and the same bytes from the same numbers."""

import csv
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
import test_figures_early
from test_figures_early import sketched

from plasticity.analysis.figures import Tables, render, style
from plasticity.core.errors import UserError
from plasticity.runs import Run
from plasticity.runs.layout import FIGURE_SUFFIXES

PLACE = "digits-clutter/resnet-d1w8/seed{seed}/"
COLD = PLACE + "full_adam-lr0.001_e5_init"
LENGTHS = {
    length: PLACE + f"half_adam-lr0.001_e{length}_init/full_adam-lr0.001_e5_keep"
    for length in (2, 4)
}
RESETS = {
    modules: PLACE + f"half_adam-lr0.001_e4_init/full_adam-lr0.001_e5_reset{modules}"
    for modules in ("1", "5+6", "6")
}
DRIFT = PLACE + "drift{gamma}_adam-lr0.001_e5_init"
RESAMPLED = PLACE + "resampled_adam-lr0.001_e5_init"
RATE = PLACE + "half_adam-lr{before}_e4_init/full_adam-lr{rate}_e5_keep"
LABELS = {
    "cold": "from scratch",
    "resampled": "drawn with replacement",
    "drift": "smooth transition",
    "uniform": "evenly",
    "imbalanced": "by class",
    "warm": "warm start",
    "alone": "one module",
    "top": "from the top",
}


class Synthetic:
    """Tables of a study that nobody ran, as `plasticity.analysis.summary` would make them."""

    def __init__(self):
        self.runs, self.curves, self.roles = {}, [], {}

    def add(self, role, template, seed, final):
        """A run whose test accuracy rises by fifths to `final`, and its pretraining."""
        run = Run.parse(template.format(seed=seed))
        self.roles.setdefault(role, []).append(str(run))
        parent = run.parent
        if parent and not any(row["run"] == str(parent) for row in self.curves):
            # Training accuracy is full from the second epoch on, test accuracy stays half.
            for epoch in range(1, parent.stage.length.number + 1):
                self._epoch(parent, "pretrain", epoch, train=1.0 if epoch > 1 else 0.5, test=0.5)
        if str(run) not in self.runs:
            for epoch in range(1, 6):
                self._epoch(run, "tune", epoch, train=0.5, test=final * epoch / 5)
        modules = run.stage.start.options.get("modules", ())
        self.runs[str(run)] = {
            "run": str(run),
            "seed": seed,
            "epochs": run.stage.length.number,
            "parent": str(parent) if parent else None,
            "pretrain_epochs": parent.stage.length.number if parent else 0,
            "reset_modules": "+".join(map(str, modules)) or None,
            "gamma": run.stage.data.options.get("gamma"),
            "ratio": parent.stage.data.options.get("ratio") if parent else None,
            "depth": run.model.options.get("depth"),
            "width": run.model.options.get("width"),
            "lr": run.stage.optimiser.options["lr"],
            "pretrain_lr": parent.stage.optimiser.options["lr"] if parent else None,
            "test_accuracy": final,
            # Further columns of the table of runs that a drawing may use.
            "data": str(run.stage.data),
            "start": str(run.stage.start),
            "stages": len(run.stages),
            "last_test_accuracy": final,
            "best_test_accuracy": final,
            "best_train_accuracy": 0.5,
            "final_train_accuracy": 0.5,
            "reached_full_train_accuracy": False,
            "epochs_to_full_train_accuracy": None,
        }

    def _epoch(self, run, kind, epoch, train, test):
        row = {"run": str(run), "kind": kind, "seed": run.seed, "epoch": epoch}
        self.curves.append({**row, "train_accuracy": train, "test_accuracy": test})

    def tables(self):
        return Tables.of(
            title="A title",
            runs=pd.DataFrame(self.runs.values()),
            curves=pd.DataFrame(self.curves),
            roles=self.roles,
            labels={role: LABELS[role] for role in self.roles},
        )


def warm_start(seeds):
    made = Synthetic()
    for seed in seeds:
        made.add("cold", COLD, seed, 0.8 + 0.02 * seed)
        made.add("warm", LENGTHS[4], seed, 0.7 + 0.02 * seed)
    return made.tables()


def pretraining_length(seeds):
    made = Synthetic()
    for seed in seeds:
        made.add("cold", COLD, seed, 0.8 + 0.02 * seed)
    for length, accuracy in ((2, 0.75), (4, 0.7)):
        for seed in seeds:
            made.add("warm", LENGTHS[length], seed, accuracy + 0.02 * seed)
    return made.tables()


def resets(seeds):
    made = Synthetic()
    for seed in seeds:
        made.add("cold", COLD, seed, 0.8 + 0.02 * seed)
        made.add("warm", LENGTHS[4], seed, 0.7 + 0.02 * seed)
    for role, modules, accuracy in (
        ("alone", "1", 0.6),
        ("alone", "6", 0.65),
        ("top", "5+6", 0.75),
    ):
        for seed in seeds:
            made.add(role, RESETS[modules], seed, accuracy + 0.02 * seed)
    return made.tables()


def drift(seeds):
    made = Synthetic()
    for seed in seeds:
        made.add("cold", COLD, seed, 0.8 + 0.02 * seed)
        made.add("resampled", RESAMPLED, seed, 0.78 + 0.02 * seed)
    for gamma, accuracy in ((0.5, 0.75), (0.1, 0.7)):
        for seed in seeds:
            run = DRIFT.format(seed=seed, gamma=gamma)
            made.add("drift", run, seed, accuracy + 0.02 * seed)
    return made.tables()


def grown(splits, ratio):
    """A lineage of several stages of pretraining."""
    starts = ["init"] + ["keep"] * (splits - 1)
    stages = [
        f"stage{i}of{splits}r{ratio}_adam-lr0.001_e4_{start}" for i, start in enumerate(starts, 1)
    ]
    return PLACE + "/".join([*stages, "full_adam-lr0.001_e5_keep"])


def stages(seeds):
    made = Synthetic()
    for seed in seeds:
        made.add("cold", COLD, seed, 0.8 + 0.02 * seed)
    for role, splits, ratio, accuracy in (
        ("uniform", 1, 1, 0.75),
        ("uniform", 3, 1, 0.7),
        ("imbalanced", 3, 1, 0.7),
        ("imbalanced", 3, 0.5, 0.6),
    ):
        for seed in seeds:
            made.add(role, grown(splits, ratio), seed, accuracy + 0.02 * seed)
    return made.tables()


def capacity(seeds):
    made = Synthetic()
    for model, cold in (("d1w8", 0.8), ("d1w4", 0.7), ("d2w4", 0.75), ("d2w8", 0.85)):
        for seed in seeds:
            place = COLD.replace("d1w8", model)
            made.add("cold", place, seed, cold + 0.02 * seed)
            made.add("warm", LENGTHS[4].replace("d1w8", model), seed, cold - 0.1 + 0.01 * seed)
    return made.tables()


def learning_rates(seeds):
    made = Synthetic()
    for rate, accuracy in (("0.001", 0.8), ("0.01", 0.7)):
        for seed in seeds:
            cold = COLD.replace("0.001", rate)
            made.add("cold", cold, seed, accuracy + 0.02 * seed)
            for before in ("0.002", "0.02"):
                run = RATE.format(seed=seed, before=before, rate=rate)
                made.add("warm", run, seed, accuracy - 10 * float(before) + 0.02 * seed)
    return made.tables()


DRAWINGS = {
    "capacity": capacity,
    "drift": drift,
    "learning_rates": learning_rates,
    "stages": stages,
    "pretraining_length": pretraining_length,
    "resets": resets,
    "tuning_curves": warm_start,
    "warm_start": warm_start,
}


def draw(name, folder, tables):
    """The files that a drawing writes, by suffix."""
    outputs = {suffix: folder / f"{name}.{suffix}" for suffix in FIGURE_SUFFIXES}
    render(name, tables, outputs)
    return outputs


def numbers(outputs):
    """The numbers beside a picture: real ones as such, in the order of the file."""
    with open(outputs["csv"], newline="") as file:
        return [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Each drawing of three seeds, made once."""
    made = {}

    def by_name(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = draw(name, folder, DRAWINGS[name]((0, 1, 2)))
        return made[name]

    return by_name


def test_every_drawing_is_tested():
    """A new drawing needs an entry above."""
    folder = Path(style.__file__).parent
    drawings = {path.stem for path in folder.glob("*.py")} - {"__init__", "style"}
    assert drawings - set(test_figures_early.DRAWINGS) == set(DRAWINGS)


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_writes_its_picture_in_three_formats(drawn, name):
    outputs = drawn(name)
    assert outputs["svg"].read_bytes().startswith(b"<?xml")
    assert b"</svg>" in outputs["svg"].read_bytes()
    assert outputs["pdf"].read_bytes().startswith(b"%PDF-")
    assert outputs["png"].read_bytes().startswith(b"\x89PNG\r\n")
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


# The numbers. Over seeds 0, 1 and 2 accuracies rise by two points each: the mean is that of seed 1,
# the deviation two points, and in epoch e of 5 it is e fifths of that.


def series(rows, name):
    return [row for row in rows if row["series"] == name]


def test_the_numbers_of_a_warm_start(drawn):
    rows = numbers(drawn("warm_start"))
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


def test_the_numbers_of_tuning_curves(drawn):
    rows = numbers(drawn("tuning_curves"))
    assert [row["series"] for row in rows] == ["cold"] * 5 + ["warm"] * 5
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5] * 2
    assert [row["mean"] for row in rows] == pytest.approx(
        [16.4, 32.8, 49.2, 65.6, 82, 14.4, 28.8, 43.2, 57.6, 72]
    )
    assert [row["deviation"] for row in rows] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2] * 2)


def test_the_numbers_by_length_of_pretraining(drawn):
    cold, *warm = numbers(drawn("pretraining_length"))
    assert (cold["role"], cold["n"], cold["pretrain_epochs"]) == ("cold", 3, "")
    assert (cold["mean"], cold["deviation"]) == pytest.approx((82, 2))
    assert [(row["role"], row["pretrain_epochs"], row["n"]) for row in warm] == [
        ("warm", 2, 3),
        ("warm", 4, 3),
    ]
    assert [row["mean"] for row in warm] == pytest.approx([77, 72])
    assert [row["deviation"] for row in warm] == pytest.approx([2, 2])


def test_the_numbers_of_resets(drawn):
    cold, *warm = numbers(drawn("resets"))
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


def test_the_numbers_of_a_transition(drawn):
    rows = numbers(drawn("drift"))
    assert [(row["role"], row["gamma"]) for row in rows] == [
        ("cold", ""),
        ("resampled", ""),
        ("drift", 0.5),
        ("drift", 0.1),
    ]
    assert [row["mean"] for row in rows] == pytest.approx([82, 80, 77, 72])
    assert [row["deviation"] for row in rows] == pytest.approx([2] * 4)


def test_the_numbers_by_stages_and_by_ratio(drawn):
    rows = numbers(drawn("stages"))
    assert [(row["role"], row["splits"], row["ratio"]) for row in rows] == [
        ("cold", "", ""),
        ("uniform", 1, ""),
        ("uniform", 3, ""),
        ("imbalanced", "", 1),
        ("imbalanced", "", 0.5),
    ]
    assert [row["mean"] for row in rows] == pytest.approx([82, 77, 72, 72, 62])


def test_the_numbers_over_depth_and_width(drawn):
    rows = numbers(drawn("capacity"))
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


def test_the_numbers_by_learning_rates(drawn):
    rows = numbers(drawn("learning_rates"))
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


# The pictures


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
