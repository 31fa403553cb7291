"""The tables of runs and curves: every value by hand, for runs that the test writes."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_metrics import COLD, PLACE, RESET
from own_methods import own_methods  # noqa: F401 (a fixture)

from plasticity.analysis.summary import curves as summary_curves
from plasticity.analysis.summary.curves import CURVES, curves
from plasticity.analysis.summary.runs import RUNS, Measured, final_accuracy, runs_table
from plasticity.core import tables


@pytest.mark.parametrize(
    ("epochs", "window"), [(500, 100), (40, 8), (5, 1), (9, 1), (10, 2), (3, 1), (1, 1)]
)
def test_the_final_accuracy_is_over_the_last_fifth(epochs, window):
    accuracy, clock = np.zeros(epochs), np.arange(epochs) + 1
    accuracy[-window:] = 0.5
    assert final_accuracy(accuracy, clock) == 0.5
    if window < epochs:
        accuracy[-window - 1] = 1e6
        assert final_accuracy(accuracy, clock) == 0.5
    accuracy[-window:] = np.arange(window)
    assert final_accuracy(accuracy, clock) == (window - 1) / 2


@pytest.mark.parametrize(("first", "window"), [(1, 32), (2, 32), (50, 32), (140, 21), (160, 1)])
def test_a_training_that_goes_on_has_the_final_epochs_of_the_whole(first, window):
    """``till160`` after some steps ends like ``e160``, whose last fifth is 32 epochs."""
    clock = np.arange(first, 161)
    assert final_accuracy(clock.astype(float), clock) == np.arange(161 - window, 161).mean()


def test_the_table_of_runs_has_its_schema(tuned):
    table = runs_table(tuned)
    assert table.schema.equals(RUNS)
    assert table["run"].to_pylist() == [str(run) for run in tuned]


def test_a_cold_run_by_hand(write):
    run, measured = write(COLD, 1, [0.1, 0.2, 0.3, 0.9, 0.70])
    (row,) = runs_table({run: measured}).to_pylist()
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
        "methods": None,
        "passes": 1,
        "start_passes": 0,
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
        "modules": "stem, blocks1, blocks2, blocks3, blocks4, output",
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
        "pretrain_methods": None,
        "pretrain_momentum": None,
        "pretrain_weight_decay": None,
        "pretrain_batch": None,
        "pretrain_best_train_accuracy": None,
        "pretrain_optimiser": None,
        "pretrain_lr": None,
        "pretrain_epochs": 0,
        "pretrain_iterations": 0,
        "diverged": False,
        "diverged_step": None,
        "test_accuracy": 0.7,
        "validation_accuracy": None,
        "best_test_accuracy": 0.9,
        "last_test_accuracy": 0.7,
        "best_train_accuracy": 0.45,
        "final_train_accuracy": 0.35,
        "epochs_to_full_train_accuracy": None,
        "epochs_trained": 5,
        "target_reached": None,
        "pretrain_epochs_trained": 0,
        "reached_full_train_accuracy": False,
        "stages_below_full_train_accuracy": 1,
        "training_examples": 1200,
        "parameters": 77_000,
        "seconds": 1.25,
        "device": "cpu",
        "precision": "float32",
        "torch": "2.13.0",
        "code": "0123456789abcdef",
        "data_checksum": "feed",
    }


def test_the_clock_of_a_training_that_goes_on(write):
    """From 9 steps, one epoch, to epoch 10: rows 2 to 10, the last two of which count."""
    run, measured = write(
        PLACE + "full_sgd-lr0.1-m0.9_i9_init/full_sgd-lr0.1-m0.9_till10_keep",
        *(0, [0.0] * 7 + [0.5, 1.0], [0.0] * 6 + [1.0, 0.5, 1.0], 2),
    )
    (row,) = runs_table({run: measured}).to_pylist()
    assert (row["test_accuracy"], row["final_train_accuracy"]) == (0.75, 0.75)
    assert row["epochs_to_full_train_accuracy"] == 8


LATE = [0.5, 1.0, 0.5, 0.5, 1.0]
EARLY = [0.5, 1.0, 0.5, 1.0, 0.75]


@pytest.mark.parametrize(
    ("first", "second", "last", "below"),
    [
        (LATE, LATE, LATE, 0),
        (EARLY, LATE, LATE, 1),
        (LATE, EARLY, LATE, 1),
        (LATE, LATE, EARLY, 1),
        (EARLY, LATE, EARLY, 2),
        (None, LATE, LATE, 1),
    ],
)
def test_every_stage_of_a_chain_counts_over_its_final_epochs(write, first, second, last, below):
    """Once at 100% is not enough, and what was not measured is not known to fit."""
    one = PLACE + "stage1of2r1_adam-lr0.1_e5_init"
    two = f"{one}/stage2of2r1_adam-lr0.1_e5_keep"
    chain = ((one, first), (two, second))
    before = dict(write(path, 0, [0.5] * 5, train) for path, train in chain if train)
    run, measured = write(f"{two}/full_adam-lr0.1_e5_keep", 0, [0.5] * 5, last)
    (row,) = runs_table({run: measured}, before).to_pylist()
    assert row["stages_below_full_train_accuracy"] == below
    assert row["reached_full_train_accuracy"] == (below == 0)


def test_what_a_warm_run_has_besides(write):
    run, measured = write(RESET, 1, [0.5] * 5, [0.5, 1.0, 0.5, 1.0, 0.75])
    (row,) = runs_table({run: measured}).to_pylist()
    expected = {
        "start": "reset5+6",
        "reset_modules": "5+6",
        "modules": "stem, blocks1, blocks2, blocks3, blocks4, output",
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
        "reached_full_train_accuracy": False,
        "stages_below_full_train_accuracy": 2,
    }
    assert {key: row[key] for key in expected} == expected


@pytest.mark.usefixtures("own_methods")
def test_the_methods_of_both_stages_stand_beside_their_rules(write):
    """A second pass a step of a method's own makes two with that of the rule."""
    pretrained = "half_adam-lr0.002+l2init0.01_e2_init/"
    run, measured = write(
        PLACE + pretrained + "full_sgd-lr0.1+quiet0.5+twice0.05_e5_keep", 0, [0.5] * 5
    )
    (row,) = runs_table({run: measured}).to_pylist()
    assert (row["optimiser"], row["methods"]) == ("sgd-lr0.1", "quiet0.5+twice0.05")
    assert row["passes"] == 2
    assert (row["pretrain_optimiser"], row["pretrain_methods"]) == ("adam-lr0.002", "l2init0.01")


def test_a_run_that_diverged_has_no_accuracy(write):
    """Whether it had finished epochs or not; what it had is in the curves."""
    warm = PLACE + "half_sgd-lr0.1_e2_init/full_sgd-lr0.1_e5_keep"
    runs = dict(
        [
            write(COLD, 0, [0.5] * 5),
            write(COLD, 1, [0.5, 0.6], [1.0, 0.9], diverged_step=23),
            write(warm, 2, [], diverged_step=4),
        ]
    )
    pretrained = dict([write(PLACE + "half_sgd-lr0.1_e2_init", 2, [], diverged_step=4)])
    table = runs_table(runs, pretrained)
    assert table.schema.field("diverged").type == pa.bool_()
    assert table.schema.field("diverged_step").type == pa.int64()
    assert table["diverged"].to_pylist() == [False, True, True]
    assert table["diverged_step"].to_pylist() == [None, 23, 4]
    accuracies = [name for name in table.column_names if name.endswith("_accuracy")]
    measured = [
        name for name in accuracies if not name.startswith(("reached", "epochs_to", "stages"))
    ]
    for row in table.to_pylist()[1:]:
        assert {row[name] for name in measured} == {None}
    assert table["reached_full_train_accuracy"].to_pylist() == [False, False, False]
    assert table["pretrain_iterations"].to_pylist() == [0, 0, 18]
    assert len(pa.concat_tables(curves(runs, pretrained))) == 5 + 2


def test_older_metrics_that_went_on_with_nothing_diverged_too(tmp_path, write):
    run, measured = write(COLD, 0, [0.5] * 5)
    losses = pa.chunked_array([[2.0, 1.9, np.nan, np.nan, np.nan]])
    column = measured.table.column_names.index("train_loss")
    table = measured.table.set_column(column, measured.table.schema.field(column), losses)
    about = {name: value for name, value in measured.about.items() if name != "diverged_step"}
    (row,) = runs_table({run: Measured(table, about)}).to_pylist()
    assert (row["diverged"], row["diverged_step"], row["test_accuracy"]) == (True, 19, None)
    (row,) = runs_table({run: Measured(measured.table, about)}).to_pylist()
    assert (row["diverged"], row["test_accuracy"]) == (False, 0.5)


def test_an_optimiser_without_momentum_has_none(write):
    run, measured = write(PLACE + "full_adam-lr0.1_e5_init", 0, [0.5] * 5)
    assert runs_table({run: measured})["momentum"].to_pylist() == [None]


def test_a_named_model_states_its_size(write):
    run, measured = write("cifar10/resnet18/seed{seed}/full_adam-lr0.1_e5_init", 0, [0.5] * 5)
    (row,) = runs_table({run: measured}).to_pylist()
    assert (row["depth"], row["width"]) == (2, 64)


def test_no_runs_are_an_empty_table():
    assert runs_table({}).schema.equals(RUNS)


def test_the_table_of_curves_has_every_epoch(tuned, write):
    pretrained = dict([write(PLACE + "half_adam-lr0.002-b64_e2_init", 0, [0.25, 0.5])])
    table = pa.concat_tables(curves(tuned, pretrained))
    assert table.schema.equals(CURVES)
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
        "validation_loss": None,
        "validation_accuracy": None,
    }
    assert {row["kind"] for row in rows[2:]} == {"tune"}
    assert [row["test_accuracy"] for row in rows[2:7]] == [0.1, 0.2, 0.3, 0.4, 0.8]


def test_curves_come_in_pieces_that_join_to_the_same(tuned, tmp_path, monkeypatch):
    (whole,) = curves(tuned, {})
    monkeypatch.setattr(summary_curves, "ROWS_AT_ONCE", 10)
    pieces = list(curves(tuned, {}))
    assert [len(piece) for piece in pieces] == [10, 10, 10, 5]
    tables.write_pieces(tmp_path / "curves.parquet", CURVES, pieces)
    assert pq.read_table(tmp_path / "curves.parquet").equals(whole)


def test_no_runs_have_no_curves(tmp_path):
    assert list(curves({}, {})) == []
    tables.write_pieces(tmp_path / "curves.parquet", CURVES, [])
    table = pq.read_table(tmp_path / "curves.parquet")
    assert (len(table), table.schema) == (0, CURVES)


def test_epochs_that_are_not_evaluated_are_left_out(write):
    """Of ten epochs the fifth and the last two, over which the final accuracy is taken."""
    tests = [None] * 4 + [0.9] + [None] * 3 + [0.5, 0.7]
    run, measured = write(COLD, 0, [1.0 if one is None else one for one in tests])
    gaps = {"test_accuracy": tests, "validation_accuracy": [one and one / 2 for one in tests]}
    table = measured.table
    for name, values in gaps.items():
        place = table.column_names.index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(values, pa.float64()))
    (row,) = runs_table({run: Measured(table, measured.about)}).to_pylist()
    found = [row[f"{name}_accuracy"] for name in ("test", "validation", "best_test", "last_test")]
    assert found == pytest.approx([0.6, 0.3, 0.9, 0.7])
