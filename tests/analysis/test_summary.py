"""Metrics and the tables made of them: every value by hand, for runs that the test writes."""

import math
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plasticity.analysis import summary
from plasticity.core import tables
from plasticity.core.errors import UserError
from plasticity.runs import Run, metrics
from plasticity.runs.metrics import EpochMetrics

PLACE = "digits-clutter/resnet-d1w8/seed{seed}/"
COLD = PLACE + "full_sgd-lr0.1-m0.9_e5_init"
WARM = PLACE + "half_adam-lr0.002-b64_e2_init/full_sgd-lr0.1-m0.9_e5_keep"
RESET = PLACE + "half_adam-lr0.002-b64_e2_init/full_sgd-lr0.1-m0.9_e5_reset5+6"
ABOUT = {
    "begins": 0,
    "ends": 45,
    "density": 1.0,
    "perturbation": 0.0,
    "training_examples": 1200,
    "parameters": 77_000,
    "device": "cpu",
    "precision": "float32",
    "torch": "2.13.0",
    "code": "0123456789abcdef",
    "data_checksum": "feed",
}


def history(test, train=None):
    train = train or [value / 2 for value in test]
    return [
        EpochMetrics(epoch, 9 * epoch, 2.0, training, 3.0, testing, 0.25)
        for epoch, (training, testing) in enumerate(zip(train, test, strict=True), start=1)
    ]


@pytest.fixture
def write(tmp_path):
    """Writes the metrics of a run; returns the run and what is read back."""

    def written(template, seed, test, train=None):
        run = Run.parse(template.format(seed=seed))
        path = tmp_path / str(run) / "metrics.parquet"
        metrics.write(path, history(test, train), {**ABOUT, "run": str(run)})
        return run, summary.Measured.read(path)

    return written


@pytest.fixture
def tuned(write):
    """Cold runs of seeds 0, 1 and 2, warm ones of 0, 1 and 3, one reset."""
    return dict(
        [
            write(COLD, 0, [0.1, 0.2, 0.3, 0.4, 0.80]),
            write(COLD, 1, [0.1, 0.2, 0.3, 0.9, 0.70]),
            write(COLD, 2, [0.1, 0.2, 0.3, 0.4, 0.90]),
            write(WARM, 0, [0.5, 0.5, 0.5, 0.5, 0.75], [0.5, 1.0, 0.5, 1.0, 0.75]),
            write(WARM, 1, [0.5, 0.5, 0.5, 0.5, 0.50], [0.5] * 5),
            write(WARM, 3, [0.5, 0.5, 0.5, 0.5, 0.10], [0.5] * 5),
            write(RESET, 1, [0.5, 0.5, 0.5, 0.5, 0.60], [1.0] * 5),
        ]
    )


# Metrics


def test_metrics_read_back(tmp_path):
    rows = history([0.1, 1 / 3, 0.5])
    metrics.write(tmp_path / "m.parquet", rows, {"run": "a", "seed": 3})
    table, about = metrics.read(tmp_path / "m.parquet")
    assert table.schema.equals(metrics.SCHEMA)
    assert [EpochMetrics(**row) for row in table.to_pylist()] == rows
    assert about == {"run": "a", "seed": 3}


def test_metrics_as_rows_come_back():
    rows = history([0.1, 1 / 3, 0.5])
    back = metrics.from_rows(metrics.as_rows(rows))
    assert back == rows
    assert all(isinstance(one.epoch, int) for one in back)


def test_rows_that_were_tensors_come_back():
    """The checkpoint stores rows as real numbers, the epoch among them."""
    rows = history([0.1, 1 / 3])
    stored = np.array(metrics.as_rows(rows), dtype=np.float64).tolist()
    assert metrics.from_rows(stored) == rows


@pytest.mark.parametrize("size", [0, 10, 500, -1])
def test_truncated_metrics_are_named(tmp_path, size):
    path = tmp_path / "m.parquet"
    metrics.write(path, history([0.5, 0.5]), {})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match=re.escape(f"{path}: not a readable metrics file")):
        metrics.read(path)


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"epoch": [1, 2]}),
        pa.table({"epoch": [1]}).replace_schema_metadata({"plasticity": "{}"}),
        pa.table({"epoch": [1]}).replace_schema_metadata({"plasticity": "{"}),
    ],
)
def test_a_table_of_something_else_is_named(tmp_path, table):
    pq.write_table(table, tmp_path / "m.parquet")
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'm.parquet'}: not a readable")):
        metrics.read(tmp_path / "m.parquet")


def test_missing_metrics_are_named(tmp_path):
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "none.parquet"))):
        metrics.read(tmp_path / "none.parquet")


# Final accuracy


@pytest.mark.parametrize(
    ("epochs", "window"), [(500, 100), (40, 8), (5, 1), (9, 1), (10, 2), (3, 1), (1, 1)]
)
def test_the_final_accuracy_is_over_the_last_fifth(epochs, window):
    accuracy = np.zeros(epochs)
    accuracy[-window:] = 0.5
    assert summary.final_accuracy(accuracy) == 0.5
    if window < epochs:
        accuracy[-window - 1] = 1e6
        assert summary.final_accuracy(accuracy) == 0.5
    accuracy[-window:] = np.arange(window)
    assert summary.final_accuracy(accuracy) == (window - 1) / 2


# Runs


def test_the_table_of_runs_has_its_schema(tuned):
    table = summary.runs_table(tuned)
    assert table.schema.equals(summary.RUNS)
    assert table["run"].to_pylist() == [str(run) for run in tuned]


def test_a_cold_run_by_hand(write):
    run, measured = write(COLD, 1, [0.1, 0.2, 0.3, 0.9, 0.70])
    (row,) = summary.runs_table({run: measured}).to_pylist()
    assert row == {
        "run": "digits-clutter/resnet-d1w8/seed1/full_sgd-lr0.1-m0.9_e5_init",
        "dataset": "digits-clutter",
        "model": "resnet-d1w8",
        "depth": 1,
        "width": 8,
        "seed": 1,
        "data": "full",
        "views": "",
        "gamma": None,
        "optimiser": "sgd-lr0.1-m0.9",
        "optimiser_name": "sgd",
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "batch": 128,
        "length": "e5",
        "epochs": 5,
        "begins": 0,
        "iterations": 45,
        "start": "init",
        "start_name": "init",
        "reset_modules": None,
        "level": None,
        "density": 1.0,
        "signs": None,
        "magnitudes": None,
        "scope": None,
        "deviations": None,
        "perturbation": 0.0,
        "stages": 1,
        "history": "",
        "parent": None,
        "pretrain_data": None,
        "pretrain_views": None,
        "ratio": None,
        "pretrain_optimiser_name": None,
        "pretrain_momentum": None,
        "pretrain_weight_decay": None,
        "pretrain_batch": None,
        "pretrain_best_train_accuracy": None,
        "pretrain_optimiser": None,
        "pretrain_lr": None,
        "pretrain_epochs": 0,
        "pretrain_iterations": 0,
        "test_accuracy": 0.7,
        "best_test_accuracy": 0.9,
        "last_test_accuracy": 0.7,
        "best_train_accuracy": 0.45,
        "final_train_accuracy": 0.35,
        "epochs_to_full_train_accuracy": None,
        "reached_full_train_accuracy": False,
        "training_examples": 1200,
        "parameters": 77_000,
        "seconds": 1.25,
        "device": "cpu",
        "precision": "float32",
        "torch": "2.13.0",
        "code": "0123456789abcdef",
        "data_checksum": "feed",
    }


def test_what_a_warm_run_has_besides(write):
    run, measured = write(RESET, 1, [0.5] * 5, [0.5, 1.0, 0.5, 1.0, 0.75])
    (row,) = summary.runs_table({run: measured}).to_pylist()
    expected = {
        "start": "reset5+6",
        "reset_modules": "5+6",
        "stages": 2,
        "history": "half_adam-lr0.002-b64_e2_init",
        "parent": "digits-clutter/resnet-d1w8/seed1/half_adam-lr0.002-b64_e2_init",
        "pretrain_data": "half",
        "pretrain_optimiser": "adam-lr0.002-b64",
        "pretrain_lr": 0.002,
        "pretrain_epochs": 2,
        "best_train_accuracy": 1.0,
        "final_train_accuracy": 0.75,
        "epochs_to_full_train_accuracy": 2,
        "reached_full_train_accuracy": True,
    }
    assert {key: row[key] for key in expected} == expected


def test_an_optimiser_without_momentum_has_none(write):
    run, measured = write(PLACE + "full_adam-lr0.1_e5_init", 0, [0.5] * 5)
    assert summary.runs_table({run: measured})["momentum"].to_pylist() == [None]


def test_a_named_model_states_its_size(write):
    run, measured = write("cifar10/resnet18/seed{seed}/full_adam-lr0.1_e5_init", 0, [0.5] * 5)
    (row,) = summary.runs_table({run: measured}).to_pylist()
    assert (row["depth"], row["width"]) == (2, 64)


def test_no_runs_are_an_empty_table():
    assert summary.runs_table({}).schema.equals(summary.RUNS)


# Curves


def test_the_table_of_curves_has_every_epoch(tuned, write):
    pretrained = dict([write(PLACE + "half_adam-lr0.002-b64_e2_init", 0, [0.25, 0.5])])
    table = pa.concat_tables(summary.curves(tuned, pretrained))
    assert table.schema.equals(summary.CURVES)
    assert len(table) == 7 * 5 + 2
    rows = table.to_pylist()
    assert rows[1] == {
        "run": "digits-clutter/resnet-d1w8/seed0/half_adam-lr0.002-b64_e2_init",
        "kind": "pretrain",
        "seed": 0,
        "epoch": 2,
        "iteration": 18,
        "train_loss": 2.0,
        "train_accuracy": 0.25,
        "test_loss": 3.0,
        "test_accuracy": 0.5,
        "seconds": 0.25,
    }
    assert {row["kind"] for row in rows[2:]} == {"tune"}
    assert [row["test_accuracy"] for row in rows[2:7]] == [0.1, 0.2, 0.3, 0.4, 0.8]


def test_curves_come_in_pieces_that_join_to_the_same(tuned, tmp_path, monkeypatch):
    (whole,) = summary.curves(tuned, {})
    monkeypatch.setattr(summary, "ROWS_AT_ONCE", 10)
    pieces = list(summary.curves(tuned, {}))
    assert [len(piece) for piece in pieces] == [10, 10, 10, 5]
    tables.write_pieces(tmp_path / "curves.parquet", summary.CURVES, pieces)
    assert pq.read_table(tmp_path / "curves.parquet").equals(whole)


def test_no_runs_have_no_curves(tmp_path):
    assert list(summary.curves({}, {})) == []
    tables.write_pieces(tmp_path / "curves.parquet", summary.CURVES, [])
    table = pq.read_table(tmp_path / "curves.parquet")
    assert (len(table), table.schema) == (0, summary.CURVES)


# Gaps


@pytest.fixture
def gaps(tuned):
    return summary.gaps_table(summary.runs_table(tuned).to_pandas())


def test_the_table_of_gaps_has_its_schema_and_a_row_a_setting(gaps):
    assert gaps.schema.equals(summary.GAPS)
    assert gaps["warm"].to_pylist() == [
        "half_adam-lr0.002-b64_e2_init/full_sgd-lr0.1-m0.9_e5_keep",
        "half_adam-lr0.002-b64_e2_init/full_sgd-lr0.1-m0.9_e5_reset5+6",
    ]


def test_a_gap_by_hand(gaps):
    """Seeds 0 and 1 have both runs; the cold seed 2 and the warm seed 3 have no counterpart.

    The gaps are 0.80 - 0.75 and 0.70 - 0.50: mean 0.125, deviation 0.15 / sqrt(2), and with one
    degree of freedom t = 0.125 / 0.075 = 5 / 3 and p = 1 - 2 atan(5 / 3) / pi. Of the four runs
    the warm one of seed 0 reaches full training accuracy.
    """
    row = gaps.to_pylist()[0]
    half = 12.7062047 * 0.075
    assert row == {
        "warm": "half_adam-lr0.002-b64_e2_init/full_sgd-lr0.1-m0.9_e5_keep",
        "cold": "full_sgd-lr0.1-m0.9_e5_init",
        "dataset": "digits-clutter",
        "model": "resnet-d1w8",
        "n": 2,
        "seeds": "0 1",
        "cold_accuracy": pytest.approx(0.75),
        "warm_accuracy": pytest.approx(0.625),
        "gap": pytest.approx(0.125),
        "deviation": pytest.approx(0.15 / math.sqrt(2)),
        "low": pytest.approx(0.125 - half),
        "high": pytest.approx(0.125 + half),
        "p_value": pytest.approx(1 - 2 * math.atan(5 / 3) / math.pi),
        "below_full_train_accuracy": 3,
    }


def test_one_seed_has_a_gap_and_no_interval(gaps):
    row = gaps.to_pylist()[1]
    assert (row["n"], row["seeds"]) == (1, "1")
    assert row["gap"] == pytest.approx(0.1)
    assert all(math.isnan(row[key]) for key in ("deviation", "low", "high", "p_value"))


def test_pairs_are_by_seed_in_whatever_order_the_runs_come(tuned, gaps):
    turned = dict(reversed(tuned.items()))
    again = summary.gaps_table(summary.runs_table(turned).to_pandas())
    assert sorted(map(str, again.to_pylist())) == sorted(map(str, gaps.to_pylist()))


def test_the_cold_counterpart_has_the_same_final_stage(write):
    """A cold run of another length or optimiser is no counterpart."""
    runs = dict(
        [
            write(PLACE + "full_sgd-lr0.1-m0.9_e6_init", 0, [0.5] * 6),
            write(PLACE + "full_sgd-lr0.1_e5_init", 0, [0.5] * 5),
            write(PLACE + "full_sgd-lr0.1-m0.9_e5_init", 1, [0.5] * 5),
            write(WARM, 0, [0.5] * 5),
        ]
    )
    table = summary.gaps_table(summary.runs_table(runs).to_pandas())
    assert len(table) == 0
    assert table.schema.equals(summary.GAPS)


def test_only_cold_runs_have_no_gaps(write):
    runs = dict([write(COLD, 0, [0.5] * 5)])
    assert len(summary.gaps_table(summary.runs_table(runs).to_pandas())) == 0


# Files


def test_a_table_reads_back(tmp_path, gaps):
    summary.write_table(tmp_path / "gaps.parquet", gaps)
    assert pq.read_table(tmp_path / "gaps.parquet").schema.equals(summary.GAPS)
    frame = pd.read_parquet(tmp_path / "gaps.parquet")
    assert frame["gap"].tolist() == pytest.approx([0.125, 0.1])


def test_the_page_holds_the_numbers(gaps):
    page = summary.gaps_page(gaps.to_pandas(), "toy")
    cells = re.findall(r"<td>(.*?)</td>", page)
    assert page.startswith("<!doctype html>")
    assert "Generalisation gaps: toy" in page
    low, high = 12.5 - 1270.62047 * 0.075, 12.5 + 1270.62047 * 0.075
    assert len(cells) == 22
    assert cells[:11] == [
        "digits-clutter",
        "resnet-d1w8",
        "half_adam-lr0.002-b64_e2_init/full_sgd-lr0.1-m0.9_e5_keep",
        "2",
        "75.00",
        "62.50",
        "12.50",
        "10.61",
        f"{low:.2f} to {high:.2f}",
        "3",
        "0.34",
    ]
    assert cells[11:] == [
        "digits-clutter",
        "resnet-d1w8",
        "half_adam-lr0.002-b64_e2_init/full_sgd-lr0.1-m0.9_e5_reset5+6",
        "1",
        "70.00",
        "60.00",
        "10.00",
        "",
        "one seed: none",
        "1",
        "",
    ]


def test_a_page_without_gaps_is_a_page():
    empty = pa.Table.from_pylist([], schema=summary.GAPS).to_pandas()
    assert "<table" in summary.gaps_page(empty, "toy")
