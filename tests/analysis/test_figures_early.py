"""Figures of the early phase: the numbers beside each picture by hand, and what it refuses."""

import csv
from dataclasses import replace
from importlib import import_module

import pandas as pd
import pyarrow as pa
import pytest
from matplotlib import rc_context

from plasticity.analysis.figures import Tables, render, style, tickets
from plasticity.analysis.figures.data_dependence import in_words
from plasticity.analysis.summary import CURVES, RUNS
from plasticity.core.errors import UserError
from plasticity.runs.layout import FIGURE_SUFFIXES

LABELS = {
    "dense": "whole network",
    "start": "set back to the initialisation",
    "rewound": "set back to",
    "unchanged": "set back to k",
    "mixed": "signs and magnitudes from elsewhere",
    "shuffled": "shuffled",
    "signshuffled": "shuffled among equal signs",
    "noisy": "noise",
    "random": "pruned at random",
    "pretrained": "pretrained",
}


class Made:
    """Tables of a study that nobody ran, by the schemas of `plasticity.analysis.summary`."""

    def __init__(self, dataset="digits-clutter", model="resnet20-w4"):
        self.place = {"dataset": dataset, "model": model}
        self.runs, self.roles, self.observed = {}, {}, []

    def add(self, role, seed, accuracy, **columns):
        """A run, named by its columns, and that name."""
        told = "-".join(f"{value}" for value in columns.values())
        run = f"{'/'.join(self.place.values())}/seed{seed}/{role}-{told}"
        self.roles.setdefault(role, []).append(run)
        about = {"begins": 0, "density": 1.0, "perturbation": 0.0, "length": "e160", "stages": 1}
        self.runs[run] = {
            **dict.fromkeys(RUNS.names),
            **self.place,
            **about,
            **columns,
            "run": run,
            "seed": seed,
            "test_accuracy": accuracy,
        }
        return run

    def over_seeds(self, role, seeds, accuracy, **columns):
        """Runs whose accuracy rises by two points with the seed."""
        for seed in seeds:
            self.add(role, seed, accuracy + 0.02 * seed, **columns)

    def observe(self, run, **values):
        self.observed.append({"run": run, **values})

    def tables(self, observations=None):
        return Tables.of(
            title="A title",
            runs=pa.Table.from_pylist(list(self.runs.values()), schema=RUNS).to_pandas(),
            curves=CURVES.empty_table().to_pandas(),
            roles=self.roles,
            labels={role: LABELS[role] for role in self.roles},
            observations=pd.DataFrame(self.observed) if self.observed else observations,
        )


def sub_networks(seeds, dataset="digits-clutter", model="resnet20-w4"):
    made = Made(dataset, model)
    made.over_seeds("dense", seeds, 0.9)
    for level in (1, 4, 8):
        given = {"level": level, "density": 0.8**level}
        made.over_seeds("start", seeds, 0.85 - 0.02 * level, **given)
        # In the order in which a configuration might have them.
        for k, more in ((2000, 0.04), (500, 0.03)):
            made.over_seeds("rewound", seeds, 0.85 - 0.02 * level + more, begins=k, **given)
    return made.tables()


MIXES = (("k", "fresh"), ("init", "k"))


def perturbed(seeds, iterations=(500, 2000)):
    made = Made()
    pruned = {"level": 8, "density": 0.168}
    made.over_seeds("dense", seeds, 0.9)
    made.over_seeds("start", seeds, 0.7, **pruned)
    for k in iterations:
        at, better = {**pruned, "begins": k}, k / 100_000
        made.over_seeds("unchanged", seeds, 0.8 + better, **at)
        for signs, magnitudes in MIXES:
            mix = {"signs": signs, "magnitudes": magnitudes, "perturbation": 0.2}
            made.over_seeds("mixed", seeds, 0.72 + better, **mix, **at)
        for role, accuracy in (("shuffled", 0.71), ("signshuffled", 0.75)):
            for scope in ("global", "filter"):
                made.over_seeds(role, seeds, accuracy, scope=scope, perturbation=0.1, **at)
        for noise in (0.5, 2):
            size = 0.05 * noise
            made.over_seeds("noisy", seeds, 0.8 - size, deviations=noise, perturbation=size, **at)
        made.over_seeds("random", seeds, 0.6, **at)
    return made.tables()


def pretrained(seeds):
    made = Made()
    pruned = {"level": 8, "density": 0.168}
    made.over_seeds("start", seeds, 0.7, pretrain_epochs=0, **pruned)
    made.over_seeds("rewound", seeds, 0.8, begins=500, pretrain_views="augment", **pruned)
    for view, better in (("randomlabels", 0), ("blur4+rotation", 0.05)):
        for epochs in (5, 2):
            before = {"pretrain_views": f"{view}+augment", "pretrain_epochs": epochs}
            made.over_seeds("pretrained", seeds, 0.7 + better + epochs / 100, **before, **pruned)
    return made.tables()


OBSERVED = (0, 1, 10, 500, 600)
TRACES = ("trace/stem.weight[3]", "trace/blocks.0.weight[1]")


def first_iterations(seeds):
    made = Made()
    for seed in seeds:
        run = made.add("dense", seed, 0.9)
        for iteration in OBSERVED:
            values = {
                "weight_magnitude": 0.5 + 0.1 * seed,
                "nonzero_share": 1.0,
                "sign_change_share": 0.01 * seed + iteration / 10_000,
                "gradient_magnitude": 1e-3 if iteration else None,
                "distance_to_initial": iteration + seed,
                "distance_to_final": 1000 - iteration,
                "cosine_to_initial": 1 - iteration / 1000,
                "cosine_to_final": iteration / 1000,
                # Evaluated less often.
                "test_loss": 2.0 + seed if iteration in (0, 600) else None,
                "test_accuracy": 0.1 + 0.02 * seed if iteration in (0, 600) else None,
                **dict.fromkeys(TRACES, 0.1 * seed - iteration / 1000),
            }
            for quantity, value in values.items():
                about = {"seed": seed, "iteration": iteration, "quantity": quantity}
                made.observe(run, **about, value=value)
    return made.tables()


# Shares of the test set at the places 0, 0.5 and 1 on the line: the ends have errors of 0.1 and
# 0.2, so that the barrier is the error in the middle less 0.15.
def valleys(seeds, middle=((0, 0.9), (100, 0.5), (2000, 0.25))):
    made = Made()
    for begins, error in middle:
        for seed in seeds:
            run = made.add("rewound" if begins else "start", seed, 0.9, begins=begins)
            for alpha, test, train in (
                (0.0, 0.1, 0.0),
                (0.5, error - 0.01 * seed, error - 0.2),
                (1.0, 0.2, 0.0),
            ):
                accuracies = {"train_accuracy": 1 - train, "test_accuracy": 1 - test}
                made.observe(run, alpha=alpha, train_loss=1.0, test_loss=1.0, **accuracies)
    return made.tables()


DRAWINGS = {
    "tickets": sub_networks,
    "telemetry": first_iterations,
    "perturbations": perturbed,
    "perturbation_sizes": perturbed,
    "data_dependence": pretrained,
    "connectivity": valleys,
}
OBSERVING = ("telemetry", "connectivity")


def drawing_of(name, tables):
    return import_module(f"plasticity.analysis.figures.{name}").draw(tables)


def without(tables, *roles):
    """The same tables of a study that has no such runs."""
    observed = tables.observations
    if observed is not None:
        observed = observed[~observed["role"].isin(roles)]
    runs = tables.runs[~tables.runs["role"].isin(roles)]
    labels = {role: label for role, label in tables.labels.items() if role not in roles}
    return replace(tables, runs=runs, observations=observed, labels=labels)


def texts_of(picture):
    """All that is written in a picture, except for the labels of ticks."""
    found = [picture.get_suptitle(), picture.get_supxlabel()]
    for axes in picture.axes:
        found += [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        found += [text.get_text() for text in axes.texts]
    legends = [*picture.legends, *(a.get_legend() for a in picture.axes if a.get_legend())]
    return found + [text.get_text() for legend in legends for text in legend.get_texts()]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The files of each drawing of three seeds, made once, by suffix."""
    made = {}

    def by_name(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = {suffix: folder / f"{name}.{suffix}" for suffix in FIGURE_SUFFIXES}
            render(name, DRAWINGS[name]((0, 1, 2)), made[name])
        return made[name]

    return by_name


def sketched(name, folder, tables):
    """The numbers of a drawing, whose picture is drawn in one format only, which is faster."""
    with rc_context(style.RC):
        drawing = drawing_of(name, tables)
        drawing.picture.savefig(folder / "sketch.svg")
    drawing.numbers.to_csv(folder / "sketch.csv", index=False)
    return numbers({"csv": folder / "sketch.csv"})


def numbers(outputs):
    with open(outputs["csv"], newline="") as file:
        return [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_writes_its_picture_in_three_formats(drawn, name):
    outputs = drawn(name)
    assert b"</svg>" in outputs["svg"].read_bytes()
    assert outputs["pdf"].read_bytes().startswith(b"%PDF-")
    assert outputs["png"].read_bytes().startswith(b"\x89PNG\r\n")
    assert numbers(outputs)


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_says_what_it_shows(name):
    texts = texts_of(drawing_of(name, DRAWINGS[name]((0, 1, 2))).picture)
    assert "A title" in [text.split("\n")[0] for text in texts]
    assert any("3 seeds; " in text and "standard deviation" in text for text in texts)
    assert any("test accuracy" in text.lower() or "Test error" in text for text in texts)


@pytest.mark.parametrize("name", DRAWINGS)
def test_one_seed_is_enough(tmp_path, name):
    rows = sketched(name, tmp_path, DRAWINGS[name]((1,)))
    assert {row["n"] for row in rows} <= {1, ""}
    assert {row["deviation"] for row in rows} == {""}


@pytest.mark.parametrize(("name", "role"), [
    ("tickets", "dense"), ("tickets", "start"), ("tickets", "rewound"),
    *((name, role) for name in ("perturbations", "perturbation_sizes")
      for role in ("dense", "start", "unchanged", "mixed", "shuffled", "noisy", "random")),
    ("data_dependence", "start"), ("data_dependence", "rewound"),
    ("connectivity", "start"), ("connectivity", "rewound"),
])  # fmt: skip
def test_a_role_may_be_missing(name, role):
    drawing = drawing_of(name, without(DRAWINGS[name]((0, 1)), role))
    assert len(drawing.numbers)
    assert LABELS[role] not in texts_of(drawing.picture)


@pytest.mark.parametrize(("name", "roles"), [
    ("tickets", ["start", "rewound"]),
    ("perturbations", ["mixed", "shuffled", "signshuffled", "noisy", "random"]),
    ("perturbation_sizes",
     ["unchanged", "mixed", "shuffled", "signshuffled", "noisy", "random"]),
    ("data_dependence", ["pretrained"]),
    ("telemetry", ["dense"]),
    ("connectivity", ["start", "rewound"]),
])  # fmt: skip
def test_what_has_nothing_to_draw_says_what_it_needs(name, roles):
    with pytest.raises(UserError, match="this figure has nothing to draw: it needs "):
        drawing_of(name, without(DRAWINGS[name]((0, 1)), *roles))


@pytest.mark.parametrize("name", DRAWINGS)
def test_two_runs_of_one_seed_at_a_point_are_refused(name):
    """They would be taken for two seeds: here all runs of seed 1 are called seed 0."""
    tables = DRAWINGS[name]((0, 1))
    observed = tables.observations
    if observed is not None and "seed" in observed:
        observed = observed.assign(seed=0)
    tables = replace(tables, runs=tables.runs.assign(seed=0), observations=observed)
    with pytest.raises(UserError, match="would mix several runs of one seed"):
        drawing_of(name, tables)


@pytest.mark.parametrize("name", OBSERVING)
def test_what_is_drawn_must_have_been_observed(name):
    tables = replace(DRAWINGS[name]((0,)), observations=None)
    with pytest.raises(UserError, match="observe: telemetry or observe: connectivity"):
        drawing_of(name, tables)


# The numbers. Over seeds 0, 1 and 2 accuracies rise by two points each: the mean is that of seed 1,
# the deviation two points.


def test_the_numbers_of_tickets(drawn):
    dense, *rows = numbers(drawn("tickets"))
    assert (dense["role"], dense["density"], dense["n"]) == ("dense", 100, 3)
    assert (dense["mean"], dense["deviation"]) == pytest.approx((92, 2))
    assert {row["source"] for row in (dense, *rows)} == {"this study"}
    assert [(row["role"], row["begins"], row["level"]) for row in rows] == [
        *(("start", 0, level) for level in (1, 4, 8)),
        *(("rewound", 500, level) for level in (1, 4, 8)),
        *(("rewound", 2000, level) for level in (1, 4, 8)),
    ]
    # 0.85 - 0.02 * level, three or four points more, and two for the mean over seeds.
    means = [85, 79, 71, 88, 82, 74, 89, 83, 75]
    assert [row["mean"] for row in rows] == pytest.approx(means)
    assert [row["deviation"] for row in rows] == pytest.approx([2] * 9)
    assert [row["density"] for row in rows] == pytest.approx([80, 40.96, 16.7772] * 3, rel=1e-5)


PUBLISHED = "published by others"


def dashed(drawing):
    """Thin dashed lines, of which the legend has one that shows nothing."""
    lines = drawing.picture.axes[0].lines
    return [line for line in lines if line.get_linestyle() == "--" and line.get_alpha() == 0.6]


def test_published_numbers_stand_beside_those_of_the_same_network():
    drawing = drawing_of("tickets", sub_networks((0, 1), "cifar10", "resnet20"))
    numbers = drawing.numbers
    published = numbers[numbers["source"] == PUBLISHED]
    assert set(published["begins"]) == {0, 500, 2000}  # not 1000, which this study does not have
    found = published.set_index(["begins", "density"])["mean"]
    assert found[0, 16.8] == 88.50
    assert found[500, 41.0] == 91.7
    assert found[2000, 4.4] == 88.5
    assert len(found) == 3 * 7
    assert published["n"].isna().all()
    assert published["deviation"].isna().all()
    assert len(dashed(drawing)) == 3 + 1
    assert sum(text.startswith(PUBLISHED) for text in texts_of(drawing.picture)) == 1
    assert any("2 seeds; " in text for text in texts_of(drawing.picture))


@pytest.mark.parametrize(
    ("dataset", "model"),
    [("cifar10-n5000", "resnet20"), ("cifar100", "resnet20"), ("cifar10", "resnet20-w4")],
)
def test_published_numbers_are_of_one_network_on_one_data_set(dataset, model):
    drawing = drawing_of("tickets", sub_networks((0, 1), dataset, model))
    assert set(drawing.numbers["source"]) == {"this study"}
    assert not dashed(drawing)


def test_densities_are_labelled_where_there_is_room():
    levels = [100 * 0.8**level for level in range(16)]
    assert tickets.spaced(levels) == [100, 64, 41, 26.2, 16.8, 10.7, 6.9, 3.5]
    assert tickets.spaced([100, 16.78, 16.8]) == [100, 16.8]
    assert tickets.spaced([100]) == [100]


def test_the_numbers_of_the_first_iterations(drawn):
    rows = numbers(drawn("telemetry"))
    found = {(row["quantity"], row["iteration"]): row for row in rows}
    assert len(rows) == len(found)
    quantities = {row["quantity"] for row in rows}
    assert len(quantities) == 9 + 2
    assert "nonzero_share" not in quantities
    # What was not measured has no point.
    assert [row["iteration"] for row in rows if row["quantity"] == "test_accuracy"] == [0, 600]
    assert ("gradient_magnitude", 0) not in found

    def stated(quantity, iteration):
        row = found[quantity, iteration]
        return row["mean"], row["deviation"], row["n"]

    assert stated("test_accuracy", 600) == pytest.approx((12, 2, 3))
    assert stated("test_loss", 0) == pytest.approx((3, 1, 3))
    assert stated("weight_magnitude", 10) == pytest.approx((0.6, 0.1, 3))
    assert stated("sign_change_share", 500) == pytest.approx((1 + 5, 1, 3))
    assert stated("distance_to_initial", 600) == pytest.approx((601, 1, 3))
    assert stated("cosine_to_final", 500) == pytest.approx((0.5, 0, 3))
    # Single weights are of the first seed.
    for trace in TRACES:
        row = found[trace, 500]
        assert (row["mean"], row["deviation"], row["n"]) == (-0.5, "", 1)


def test_borders_of_sub_phases_are_marked_where_training_was_observed():
    def borders(tables):
        axes = drawing_of("telemetry", tables).picture.axes[0]
        return [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]

    tables = first_iterations((0,))
    assert borders(tables) == [10, 500]
    observed = tables.observations
    assert borders(replace(tables, observations=observed[observed["iteration"] < 100])) == [10]


def test_a_quantity_that_nobody_observed_leaves_its_panel_empty():
    tables = first_iterations((0, 1))
    observed = tables.observations
    observed = observed[~observed["quantity"].isin(["test_loss", *TRACES])]
    observed = observed[~observed["quantity"].str.endswith("_to_final")]
    picture = drawing_of("telemetry", replace(tables, observations=observed)).picture
    assert texts_of(picture).count("not observed") == 2
    assert "to the initial ones" in texts_of(picture)
    assert "to the final ones" not in texts_of(picture)


def test_the_numbers_of_perturbations(drawn):
    rows = numbers(drawn("perturbations"))
    assert [row["role"] for row in rows].count("dense") == 1
    assert [row["role"] for row in rows].count("start") == 1
    keys = ("role", "begins", "signs", "magnitudes", "scope", "deviations")
    found = {tuple(row[key] for key in keys): row for row in rows}
    assert len(found) == len(rows) == 2 + 2 * (1 + 2 + 2 + 2 + 2 + 1)
    means = {key: row["mean"] for key, row in found.items()}
    assert means["dense", "", "", "", "", ""] == pytest.approx(92)
    assert means["start", "", "", "", "", ""] == pytest.approx(72)
    assert means["unchanged", 2000, "", "", "", ""] == pytest.approx(84)
    assert means["mixed", 500, "k", "fresh", "", ""] == pytest.approx(74.5)
    assert means["signshuffled", 500, "", "", "filter", ""] == pytest.approx(77)
    assert means["noisy", 2000, "", "", "", 2] == pytest.approx(72)
    assert means["random", 500, "", "", "", ""] == pytest.approx(62)
    assert {row["deviation"] for row in rows} == {2}
    assert {row["n"] for row in rows} == {3}


@pytest.mark.parametrize("iterations", [(500,), (250, 500, 2000)])
def test_perturbations_have_a_panel_an_iteration(iterations):
    picture = drawing_of("perturbations", perturbed((0, 1), iterations)).picture
    titles = [axes.get_title(loc="left") for axes in picture.axes]
    assert [title for title in titles if title] == [f"k = {k}" for k in iterations]
    ticks = [tick.get_text() for tick in picture.axes[0].get_yticklabels()]
    assert ticks == [
        "signs and magnitudes from elsewhere",
        "signs: k, magnitudes: fresh",
        "signs: init, magnitudes: k",
        "shuffled",
        "among all weights",
        "within filters",
        "shuffled among equal signs",
        "among all weights",
        "within filters",
        "noise",
        "0.5 sigma",
        "2 sigma",
        "pruned at random",
    ]


def test_sizes_have_a_point_a_run(drawn):
    rows = numbers(drawn("perturbation_sizes"))
    dense, start, *runs = rows
    assert (dense["role"], start["role"]) == ("dense", "start")
    assert (start["mean"], start["deviation"], start["n"]) == pytest.approx((72, 2, 3))
    assert len(runs) == 3 * 2 * (1 + 2 + 2 + 2 + 2 + 1)
    one = next(
        row
        for row in runs
        if (row["role"], row["begins"], row["deviations"], row["seed"]) == ("noisy", 2000, 2, 1)
    )
    assert (one["perturbation"], one["test_accuracy"]) == pytest.approx((0.1, 72))
    assert {row["perturbation"] for row in runs if row["role"] == "unchanged"} == {0}


def test_sizes_begin_at_zero():
    axes = drawing_of("perturbation_sizes", perturbed((0, 1))).picture.axes[0]
    low, high = axes.get_xlim()
    assert low < 0 < 0.2 < high


def test_the_numbers_of_data_dependence(drawn):
    start, rewound, *rows = numbers(drawn("data_dependence"))
    assert (start["role"], start["mean"], start["deviation"]) == ("start", pytest.approx(72), 2)
    assert (rewound["role"], rewound["begins"], rewound["mean"]) == ("rewound", 500, 82)
    assert [(row["pretrain_views"], row["pretrain_epochs"]) for row in rows] == [
        ("randomlabels+augment", 5),
        ("randomlabels+augment", 2),
        ("blur4+rotation+augment", 5),
        ("blur4+rotation+augment", 2),
    ]
    assert [row["mean"] for row in rows] == pytest.approx([77, 74, 82, 79])
    texts = texts_of(drawing_of("data_dependence", pretrained((0, 1))).picture)
    assert "set back to k = 500" in texts
    assert "pretrained: random labels" in texts
    assert "pretrained: 4x blurred, rotation" in texts


@pytest.mark.parametrize(
    ("views", "words"),
    [
        ("randomlabels+augment", "random labels"),
        ("blur4+rotation+augment", "4x blurred, rotation"),
        ("rotation", "rotation"),
        ("augment", "true labels"),
        ("", "true labels"),
    ],
)
def test_views_in_words(views, words):
    assert in_words(views) == words


def test_two_budgets_are_two_lines():
    tables = pretrained((0, 1))
    other = tables.runs[tables.runs["role"] == "pretrained"].assign(length="till160")
    runs = pd.concat([tables.runs, other], ignore_index=True)
    drawing = drawing_of("data_dependence", replace(tables, runs=runs))
    assert "pretrained: random labels, then till160" in texts_of(drawing.picture)
    assert len(drawing.numbers) == 2 + 2 * 4


def test_pretraining_told_in_iterations_is_refused():
    tables = pretrained((0, 1))
    told = tables.runs["role"] == "pretrained"
    runs = tables.runs.assign(pretrain_epochs=tables.runs["pretrain_epochs"].mask(told))
    with pytest.raises(UserError, match=r"seed0/pretrained-.* is given in iterations"):
        drawing_of("data_dependence", replace(tables, runs=runs))


def test_the_numbers_of_connectivity(drawn):
    rows = numbers(drawn("connectivity"))
    barriers = [row for row in rows if row["quantity"] == "barrier"]
    found = {(row["part"], row["begins"]): row for row in barriers}
    assert len(barriers) == len(found) == 6
    # The middle less a point for the mean over seeds, less 15 points; for training, less 20 points.
    test = [found["test", begins]["mean"] for begins in (0, 100, 2000)]
    assert test == pytest.approx([74, 34, 9])
    assert [found["test", k]["deviation"] for k in (0, 100)] == pytest.approx([1, 1])
    train = [found["train", begins]["mean"] for begins in (0, 100, 2000)]
    assert train == pytest.approx([70, 30, 5])
    errors = [row for row in rows if row["quantity"] == "error"]
    means = {(row["part"], row["begins"], row["alpha"]): row["mean"] for row in errors}
    assert len(errors) == len(means) == 2 * 3 * 3
    assert means["test", 100, 0.5] == pytest.approx(49)
    assert means["test", 100, 1] == pytest.approx(20)
    assert means["train", 100, 0.5] == pytest.approx(30)


def test_the_worse_end_is_on_the_line_too():
    """A barrier is never less than half the difference of the ends."""
    table = drawing_of("connectivity", valleys((0,), middle=((500, 0.12),))).numbers
    barrier = table[(table["quantity"] == "barrier") & (table["part"] == "test")]
    assert barrier["mean"].tolist() == pytest.approx([5])


def test_a_line_needs_its_ends():
    tables = valleys((0,))
    observed = tables.observations
    cut = observed[(observed["alpha"] < 1) | observed["run"].str.contains("rewound")]
    with pytest.raises(UserError, match=r"seed0/start-0 was not observed at both of its ends"):
        drawing_of("connectivity", replace(tables, observations=cut))
