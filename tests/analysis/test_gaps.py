"""The table of gaps and its page: every value by hand, for runs that the test writes."""

import math
import re

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_metrics import COLD, PLACE, PRETRAINING, RESET, WARM

from plasticity.analysis import storage
from plasticity.analysis.summary.gaps import GAPS, gaps_table
from plasticity.analysis.summary.page import gaps_page
from plasticity.analysis.summary.runs import runs_table


@pytest.fixture
def pretrained(write):
    return dict([write(PRETRAINING, 0, [0.5, 0.5], [0.5, 1.0])])


@pytest.fixture
def gaps(tuned, pretrained):
    return gaps_table(runs_table(tuned, pretrained).to_pandas())


def test_the_table_of_gaps_has_its_schema_and_a_row_a_setting(gaps):
    assert gaps.schema.equals(GAPS)
    assert gaps["warm"].to_pylist() == [
        "half_adam-lr0.002-b64_e2_init/full_sgd-lr0.1-m0.9_e5_keep",
        "half_adam-lr0.002-b64_e2_init/full_sgd-lr0.1-m0.9_e5_reset5+6",
    ]


def test_a_gap_by_hand(gaps):
    """Seeds 0 and 1 have both runs; the cold seed 2 and the warm seed 3 have no counterpart.

    The gaps are 0.80 - 0.75 and 0.70 - 0.50: mean 0.125, deviation 0.15 / sqrt(2), and with one
    degree of freedom t = 0.125 / 0.075 = 5 / 3 and p = 1 - 2 atan(5 / 3) / pi. Of the four runs
    the warm one of seed 0 ends with full training accuracy, in pretraining too.
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
        "diverged": 0,
    }


def test_pairs_of_which_a_run_diverged_are_counted_and_left_out(tuned, write):
    """Of the first setting the cold run of seed 0 died, of the second the only warm one."""
    dead = [write(COLD, 0, [0.1], diverged_step=12), write(RESET, 1, [], diverged_step=3)]
    gaps = gaps_table(runs_table({**tuned, **dict(dead)}).to_pandas())
    first, second = gaps.to_pylist()
    assert (first["n"], first["seeds"], first["diverged"]) == (1, "1", 1)
    assert (first["cold_accuracy"], first["warm_accuracy"]) == (0.7, 0.5)
    assert first["gap"] == pytest.approx(0.2)
    assert (second["n"], second["seeds"], second["diverged"]) == (0, "", 1)
    assert math.isnan(second["gap"])
    cells = re.findall(r"<td>(.*?)</td>", gaps_page(gaps.to_pandas(), "toy"))
    assert cells[12 + 3 :] == ["0", "1", "", "", "", "", "", "0", ""]


def test_one_seed_has_a_gap_and_no_interval(gaps):
    row = gaps.to_pylist()[1]
    assert (row["n"], row["seeds"]) == (1, "1")
    assert row["gap"] == pytest.approx(0.1)
    assert all(math.isnan(row[key]) for key in ("deviation", "low", "high", "p_value"))


def test_pairs_are_by_seed_in_whatever_order_the_runs_come(tuned, pretrained, gaps):
    turned = dict(reversed(tuned.items()))
    again = gaps_table(runs_table(turned, pretrained).to_pandas())
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
    table = gaps_table(runs_table(runs).to_pandas())
    assert len(table) == 0
    assert table.schema.equals(GAPS)


def test_only_cold_runs_have_no_gaps(write):
    runs = dict([write(COLD, 0, [0.5] * 5)])
    assert len(gaps_table(runs_table(runs).to_pandas())) == 0


def test_a_table_reads_back(tmp_path, gaps):
    storage.write_table(tmp_path / "gaps.parquet", gaps)
    assert pq.read_table(tmp_path / "gaps.parquet").schema.equals(GAPS)
    frame = pd.read_parquet(tmp_path / "gaps.parquet")
    assert frame["gap"].tolist() == pytest.approx([0.125, 0.1])


def test_the_page_holds_the_numbers(gaps):
    page = gaps_page(gaps.to_pandas(), "toy")
    cells = re.findall(r"<td>(.*?)</td>", page)
    assert page.startswith("<!doctype html>")
    assert "Generalisation gaps: toy" in page
    low, high = 12.5 - 1270.62047 * 0.075, 12.5 + 1270.62047 * 0.075
    assert len(cells) == 24
    assert cells[:12] == [
        "digits-clutter",
        "resnet-d1w8",
        "half_adam-lr0.002-b64_e2_init/full_sgd-lr0.1-m0.9_e5_keep",
        "2",
        "0",
        "75.00",
        "62.50",
        "12.50",
        "10.61",
        f"{low:.2f} to {high:.2f}",
        "3",
        "0.34",
    ]
    assert cells[12:] == [
        "digits-clutter",
        "resnet-d1w8",
        "half_adam-lr0.002-b64_e2_init/full_sgd-lr0.1-m0.9_e5_reset5+6",
        "1",
        "0",
        "70.00",
        "60.00",
        "10.00",
        "",
        "one seed: none",
        "2",
        "",
    ]


def test_a_page_without_gaps_is_a_page():
    empty = pa.Table.from_pylist([], schema=GAPS).to_pandas()
    assert "<table" in gaps_page(empty, "toy")


def test_hostile_text_is_escaped(gaps):
    frame = gaps.to_pandas().assign(dataset="<script>alert(1)</script>")
    page = gaps_page(frame, "a</title><b>")
    assert "<script>" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_warm_starts_with_methods_are_apart_from_those_without(write):
    """Each against cold with the same methods, and the plain ones as ever."""
    with_method = WARM.replace("-m0.9_e5", "-m0.9+l2init0.01_e5")
    cold = COLD.replace("-m0.9_e5", "-m0.9+l2init0.01_e5")
    levels = {COLD: 0.8, WARM: 0.7, cold: 0.6, with_method: 0.2}
    runs = dict(write(one, 0, [0.1] * 4 + [level]) for one, level in levels.items())
    gaps = gaps_table(runs_table(runs).to_pandas())
    assert gaps["gap"].to_pylist() == pytest.approx([0.1, 0.4])
    assert gaps["cold"].to_pylist() == [one.removeprefix(PLACE) for one in (COLD, cold)]
