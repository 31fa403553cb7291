"""Figures of the early phase: what each drawing writes and says, and what it refuses."""

from dataclasses import replace

import pytest
from early_figure_tables import (
    DRAWINGS,
    LABELS,
    OBSERVING,
    TRACES,
    first_iterations,
    perturbed,
    pretrained,
    valleys,
    without,
)
from figure_tables import drawing_of, sketched, texts_of

from plasticity.analysis.figures import tickets
from plasticity.analysis.figures.data_dependence import in_words
from plasticity.core.errors import UserError


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


def test_pretraining_told_in_iterations_is_refused():
    tables = pretrained((0, 1))
    told = tables.runs["role"] == "pretrained"
    runs = tables.runs.assign(pretrain_epochs=tables.runs["pretrain_epochs"].mask(told))
    with pytest.raises(UserError, match=r"seed0/pretrained-.* is given in iterations"):
        drawing_of("data_dependence", replace(tables, runs=runs))


def test_a_line_needs_its_ends():
    tables = valleys((0,))
    observed = tables.observations
    cut = observed[(observed["alpha"] < 1) | observed["run"].str.contains("rewound")]
    with pytest.raises(UserError, match=r"seed0/start-0 was not observed at both of its ends"):
        drawing_of("connectivity", replace(tables, observations=cut))


def test_densities_are_labelled_where_there_is_room():
    levels = [100 * 0.8**level for level in range(16)]
    assert tickets.spaced(levels) == [100, 64, 41, 26.2, 16.8, 10.7, 6.9, 3.5]
    assert tickets.spaced([100, 16.78, 16.8]) == [100, 16.8]
    assert tickets.spaced([100]) == [100]


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


def test_sizes_begin_at_zero():
    axes = drawing_of("perturbation_sizes", perturbed((0, 1))).picture.axes[0]
    low, high = axes.get_xlim()
    assert low < 0 < 0.2 < high
