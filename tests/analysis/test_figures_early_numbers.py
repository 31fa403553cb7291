"""The numbers beside the figures of the early phase, by hand.

Over seeds 0, 1 and 2 accuracies rise by two points each: the mean is that of seed 1, the standard
deviation two points.
"""

from dataclasses import replace

import pandas as pd
import pytest
from early_figure_tables import TRACES, pretrained, sub_networks, valleys
from figure_tables import drawing_of, texts_of


def test_the_numbers_of_tickets(rows_of):
    dense, *rows = rows_of("tickets")
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


def test_the_numbers_of_the_first_iterations(rows_of):
    rows = rows_of("telemetry")
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


def test_the_numbers_of_perturbations(rows_of):
    rows = rows_of("perturbations")
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


def test_sizes_have_a_point_a_run(rows_of):
    rows = rows_of("perturbation_sizes")
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


def test_the_numbers_of_data_dependence(rows_of):
    start, rewound, *rows = rows_of("data_dependence")
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


def test_two_budgets_are_two_lines():
    tables = pretrained((0, 1))
    other = tables.runs[tables.runs["role"] == "pretrained"].assign(length="till160")
    runs = pd.concat([tables.runs, other], ignore_index=True)
    drawing = drawing_of("data_dependence", replace(tables, runs=runs))
    assert "pretrained: random labels, then till160" in texts_of(drawing.picture)
    assert len(drawing.numbers) == 2 + 2 * 4


def test_the_numbers_of_connectivity(rows_of):
    rows = rows_of("connectivity")
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
