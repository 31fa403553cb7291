"""The tables of remedies and their page: every number by hand, for runs that nobody trained."""

import math
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from made_metrics import PLACE
from own_methods import own_methods  # noqa: F401 (a fixture)

from plasticity.analysis.summary.costs import accuracy_by
from plasticity.analysis.summary.curves import curves
from plasticity.analysis.summary.remedies import (
    FORWARD_PASSES,
    REMEDIES,
    TRIED,
    remedies_tables,
    tried,
)
from plasticity.analysis.summary.remedies_page import remedies_page
from plasticity.analysis.summary.runs import runs_table

BEFORE = PLACE + "half_adam-lr0.002-b64_e2_init"
TUNED = BEFORE + "/full_sgd-lr0.1{methods}_e5_{start}"
ROLES = {
    "cold": PLACE + "full_sgd-lr0.1_e5_init",
    "cold-pull": PLACE + "full_sgd-lr0.1+l2init0.01_e5_init",
    "warm": TUNED.format(methods="", start="keep", seed="{seed}"),
    "warm-last": TUNED.format(methods="", start="reset6", seed="{seed}"),
    "warm-pull": TUNED.format(methods="+l2init0.01", start="keep", seed="{seed}"),
}
FINAL = {
    "cold": [0.80, 0.82],
    "cold-pull": [0.83, 0.85],
    "warm": [0.70, 0.74],
    "warm-last": [0.79, 0.83],
    "warm-pull": [0.81, 0.82],
}
EPOCH = 9 * 128
"""The images of an epoch, as `made_metrics` counts its steps."""
MULTIPLY_ADDS = 1000.0


def made(write, final, roles=ROLES, **about):
    """The tables of a figure whose runs have these final accuracies, a value a seed."""
    runs, played = {}, {}
    for role, levels in final.items():
        templates = roles[role] if isinstance(roles[role], list) else [roles[role]]
        for template, of in zip(templates, levels if len(templates) > 1 else [levels], strict=True):
            for seed, level in enumerate(of):
                run, measured = write(template, seed, [0.1, 0.2, 0.3, 0.4, level], **about)
                runs[run] = measured
                played.setdefault(role, []).append(str(run))
    before = dict(write(BEFORE, seed, [0.4, 0.5]) for seed in range(2))
    table = runs_table(runs, before).to_pandas()
    epochs = pa.concat_tables(curves(runs, before)).to_pandas()
    return table, epochs, played


@pytest.fixture
def tables(write):
    return remedies_tables(*made(write, FINAL), MULTIPLY_ADDS)


@pytest.fixture
def rows(tables):
    return {row["role"]: row for row in tables[0].to_pylist()}


def test_the_tables_have_their_schemas_and_a_row_a_role_and_a_run(tables):
    remedies, every = tables
    assert remedies.schema.equals(REMEDIES)
    assert every.schema.equals(TRIED)
    assert remedies["role"].to_pylist() == [*ROLES]
    assert len(every) == 10
    assert set(every["chosen"].to_pylist()) == {True}


def test_what_an_arm_is(rows):
    assert {role: (row["arm"], row["begins"], row["acts"]) for role, row in rows.items()} == {
        "cold": ("", "", ""),
        "cold-pull": ("pull", "", "tuning"),
        "warm": ("", "keep", ""),
        "warm-last": ("last", "reset6", ""),
        "warm-pull": ("pull", "keep", "tuning"),
    }
    assert rows["warm-pull"]["setting"] == (
        "half_adam-lr0.002-b64_e2_init/full_sgd-lr0.1+l2init0.01_e5_keep"
    )


def test_an_accuracy_by_hand(rows):
    """0.70 and 0.74: with one degree of freedom half the interval is 12.706 standard errors."""
    row = rows["warm"]
    assert row["n"] == 2
    assert row["accuracy"] == pytest.approx(0.72)
    assert row["deviation"] == pytest.approx(0.04 / math.sqrt(2))
    assert row["high"] - row["accuracy"] == pytest.approx(12.7062047 * 0.02)


def test_gaps_to_cold_and_to_cold_with_the_same(rows):
    """One that lifts cold by 3 points and closes the gap to plain cold leaves one to its own."""
    assert rows["cold"]["gap"] is None
    assert rows["warm-pull"]["gap"] == pytest.approx((-0.01 + 0.00) / 2)
    assert rows["warm-pull"]["own_cold"] == "cold-pull"
    assert rows["warm-pull"]["own_gap"] == pytest.approx((0.02 + 0.03) / 2)
    assert rows["cold-pull"]["gap"] == pytest.approx(-0.03)
    assert rows["cold-pull"]["own_gap"] is None
    assert rows["warm-last"]["own_cold"] == "cold"
    assert rows["warm-last"]["own_gap"] == rows["warm-last"]["gap"] == pytest.approx(0.0)


def test_intervals_hold_together_for_all_rows_of_their_column(rows):
    """Four gaps: at 1 - 0.05 / 4, t of one degree of freedom is tan(pi (1 - 0.05 / 4) / 2).

    Those to cold with the same are three.
    """
    gap, own = rows["warm"]["gap"], rows["warm"]["own_gap"]
    assert gap == own == pytest.approx(0.09)
    error = 0.01
    for name, rows_of_column in (("gap", 4), ("own_gap", 3)):
        half = math.tan(math.pi * (1 - 0.05 / rows_of_column) / 2) * error
        assert rows["warm"][f"{name}_high"] - gap == pytest.approx(half)


def test_p_values_are_corrected_by_holm(rows):
    """Differences of cold and warm 0.10 and 0.08: t = 9, p = 1 - 2 atan(9) / pi, the least of 3."""
    assert rows["warm"]["own_gap_p_value"] == pytest.approx(3 * (1 - 2 * math.atan(9) / math.pi))
    # The two seeds of cold-pull differ alike from cold: no test.
    assert rows["cold-pull"]["gap_p_value"] is None


def test_what_it_costs(rows):
    """Five epochs, and two of 9 steps with 64 images before."""
    image = FORWARD_PASSES * MULTIPLY_ADDS
    assert rows["warm"]["steps"] == 45
    assert rows["warm"]["multiply_adds"] == 5 * EPOCH * image
    assert rows["warm"]["pretrain_multiply_adds"] == 2 * 9 * 64 * image
    assert rows["cold"]["pretrain_multiply_adds"] == 0
    assert rows["cold"]["seconds"] == 5 * 0.25


def test_when_it_first_has_the_accuracy_of_cold(rows):
    """At the end, or in one of two seeds never: the median is then that of a run that never did."""
    assert (rows["cold"]["steps_to_cold"], rows["cold"]["never"]) == (45, 0)
    assert rows["warm-pull"]["steps_to_cold"] == 45
    assert (rows["warm-last"]["steps_to_cold"], rows["warm-last"]["never"]) == (None, 1)
    assert (rows["warm"]["multiply_adds_to_cold"], rows["warm"]["never"]) == (None, 2)


@pytest.mark.parametrize(
    ("most", "window"), [(40, [16, 17, 18, 19]), (21, [8, 9]), (7, [2]), (1, None)]
)
def test_an_accuracy_within_a_cost_is_over_the_last_fifth_of_what_that_pays_for(most, window):
    numbers = np.arange(20)
    course = pd.DataFrame(
        {"run": "a", "epoch": numbers + 1, "test_accuracy": numbers, "passes": 2 * numbers + 2}
    )
    found = accuracy_by(course, pd.Series({"a": most}))
    assert found.to_dict() == ({"a": np.mean(window)} if window else {})


@pytest.mark.usefixtures("own_methods")
def test_a_second_pass_halves_what_the_cost_of_cold_pays_for(write):
    """Three of five epochs are more than half: two, of which the last has 0.2."""
    twice = TUNED.format(methods="+twice0.05", start="keep", seed="{seed}")
    scratch = PLACE + "full_sgd-lr0.1+twice0.05_e5_init"
    roles = {**ROLES, "warm-twice": twice, "cold-twice": scratch}
    final = {"cold": [0.8, 0.8], "warm": [0.7, 0.7], "warm-twice": [0.9, 0.9]}
    final["cold-twice"] = [0.8, 0.8]
    remedies, _ = remedies_tables(*made(write, final, roles), MULTIPLY_ADDS)
    row = {one["role"]: one for one in remedies.to_pylist()}
    assert row["warm-twice"]["multiply_adds"] == 2 * row["warm"]["multiply_adds"]
    assert row["warm-twice"]["accuracy_at_cold_cost"] == pytest.approx(0.2)
    assert row["warm"]["accuracy_at_cold_cost"] == pytest.approx(0.7)


def test_a_run_that_diverged_takes_its_pair_along(write):
    table, course, played = made(write, FINAL)
    dead = table["run"] == played["warm"][0]
    table.loc[dead, "diverged"] = True
    table.loc[dead, "test_accuracy"] = math.nan
    remedies, _ = remedies_tables(table, course, played, MULTIPLY_ADDS)
    row = next(one for one in remedies.to_pylist() if one["role"] == "warm")
    assert (row["n"], row["diverged"], row["pairs"]) == (1, 1, 1)
    assert row["accuracy"] == pytest.approx(0.74)
    assert row["gap"] == pytest.approx(0.08)
    assert row["low"] is row["gap_low"] is row["gap_p_value"] is None


def test_a_run_whose_pretraining_diverged_at_once_is_left_out_of_what_it_costs(write):
    """No stage of it has an epoch. Where all runs of a role diverged, it has no costs."""
    diverged = {"diverged_step": 3, "ends": 3}
    runs = dict(write(ROLES["cold"], seed, [0.8] * 5) for seed in range(2))
    runs |= [write(ROLES["warm"], 0, [0.7] * 5), write(ROLES["warm"], 1, [], **diverged)]
    before = dict([write(BEFORE, 0, [0.4, 0.5]), write(BEFORE, 1, [], **diverged)])
    once = BEFORE.replace("0.002", "0.2")
    for seed in range(2):
        runs |= [write(once + "/full_sgd-lr0.1_e5_reset6", seed, [], **diverged)]
        before |= [write(once, seed, [], **diverged)]
    paths = [str(run) for run in runs]
    played = {"cold": paths[:2], "warm": paths[2:4], "warm-last": paths[4:]}
    course = pa.concat_tables(curves(runs, before)).to_pandas()
    remedies, _ = remedies_tables(
        runs_table(runs, before).to_pandas(), course, played, MULTIPLY_ADDS
    )
    _, warm, last = remedies.to_pylist()
    image = FORWARD_PASSES * MULTIPLY_ADDS
    assert (warm["n"], warm["diverged"]) == (1, 1)
    assert warm["pretrain_multiply_adds"] == 2 * 9 * 64 * image
    assert (warm["steps"], warm["multiply_adds"]) == (45, 5 * EPOCH * image)
    assert last["diverged"] == 2
    costs = ("steps", "multiply_adds", "pretrain_multiply_adds", "seconds")
    assert [last[name] for name in costs] == [None] * 4


def test_a_stage_that_goes_on_with_the_clock_of_the_one_before_costs_what_it_adds(write):
    """Two epochs, and on till the fifth: five in all."""
    goes_on = BEFORE + "/half_adam-lr0.002-b64_till5_keep"
    warm = goes_on + "/full_sgd-lr0.1_e5_keep"
    runs = dict([write(ROLES["cold"], 0, [0.8] * 5), write(warm, 0, [0.7] * 5)])
    later = write(goes_on, 0, [0.5, 0.5, 0.6], first=3, begins=18)
    before = dict([write(BEFORE, 0, [0.4, 0.5]), later])
    cold, tuned = map(str, runs)
    course = pa.concat_tables(curves(runs, before)).to_pandas()
    played = {"cold": [cold], "warm": [tuned]}
    remedies, _ = remedies_tables(
        runs_table(runs, before).to_pandas(), course, played, MULTIPLY_ADDS
    )
    image = FORWARD_PASSES * MULTIPLY_ADDS
    assert remedies["pretrain_multiply_adds"].to_pylist() == [0, 5 * 9 * 64 * image]


def test_seeds_whose_cold_run_diverged_are_none_of_those_compared(write):
    """Of two seeds one has a cold run: accuracies and costs of the other are compared to none."""
    table, course, played = made(write, FINAL)
    dead = table["run"] == played["cold"][0]
    table.loc[dead, "diverged"] = True
    table.loc[dead, "test_accuracy"] = math.nan
    remedies, every = remedies_tables(table, course, played, MULTIPLY_ADDS)
    row = next(one for one in remedies.to_pylist() if one["role"] == "warm")
    assert (row["n"], row["seeds_to_cold"], row["never"]) == (2, 1, 1)
    assert row["seeds_at_cold_cost"] == 1
    assert row["accuracy_at_cold_cost"] == pytest.approx(0.74)
    page = remedies_page("A", "B", remedies.to_pandas(), every.to_pandas(), {})
    (sheet,) = Sheet(page).tables
    told = dict(zip(sheet[0], sheet[3], strict=True))
    assert told["steps to cold's accuracy"] == "1 of 1 seeds never"
    assert told["accuracy at the cost of cold / %"] == "74.00of 1 of 2 seeds"


POINTS = [ROLES["warm-pull"], ROLES["warm-pull"].replace("l2init0.01", "l2init0.1")]


def test_validation_accuracy_chooses_and_test_accuracy_is_told(write):
    """The second is worse on the test set, and chosen all the same."""
    roles = {**ROLES, "warm-pull": POINTS}
    final = {**FINAL, "warm-pull": [[0.9, 0.9], [0.6, 0.6]]}
    table, course, played = made(write, final, roles)
    second = table["run"].str.contains("l2init0.1_")
    table["validation_accuracy"] = np.where(second, 0.5, 0.4)
    remedies, every = remedies_tables(table, course, played, MULTIPLY_ADDS)
    row = next(one for one in remedies.to_pylist() if one["role"] == "warm-pull")
    assert (row["tried"], row["accuracy"], row["validation_accuracy"]) == (2, 0.6, 0.5)
    assert row["setting"].endswith("l2init0.1_e5_keep")
    points = every.to_pandas().query("role == 'warm-pull'")
    assert list(points["point"]) == [1, 1, 2, 2]
    assert list(points["chosen"]) == [False, False, True, True]


@pytest.mark.parametrize(
    ("accuracy", "diverged", "chosen"),
    [
        ([0.5, 0.4], [False, False], 1),
        ([0.4, 0.5], [False, False], 2),
        ([0.5, 0.5], [False, False], 1),
        ([0.4, 0.5], [False, True], 1),
        ([math.nan, math.nan], [True, True], 1),
    ],
)
def test_what_is_chosen(accuracy, diverged, chosen):
    """The highest; of equal ones the first; what diverged only where everything did."""
    runs = pd.DataFrame(
        {
            "run": [f"data/model/seed3/full_sgd-lr{rate}_e1_init" for rate in (1, 2)],
            "role": "cold",
            "seed": 3,
            "validation_accuracy": accuracy,
            "diverged": diverged,
        }
    )
    found = tried(runs)
    assert list(found["setting"]) == ["full_sgd-lr1_e1_init", "full_sgd-lr2_e1_init"]
    assert found.loc[found["chosen"], "point"].to_list() == [chosen]


class Sheet(HTMLParser):
    """The tables of a page, as lists of rows of texts, with the keys that they are sorted by."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.keys, self.inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.tables.append([])
            self.keys.append([])
        if tag == "tr":
            self.tables[-1].append([])
            self.keys[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.keys[-1][-1].append(dict(attributes).get("data-key"))
            self.inside = True
        assert "src" not in dict(attributes)  # it stands alone

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.tables[-1][-1][-1] += data


def test_the_page_has_a_row_an_arm_and_keys_to_sort_by(tables):
    labels = {"cold": "from scratch", "warm-pull": "warm start, <pulled>"}
    remedies, every = (one.to_pandas() for one in tables)
    sheet = Sheet(remedies_page("What helps", "Words.", remedies, every, labels))
    (table,), (keys,) = sheet.tables, sheet.keys
    head = table[0]
    assert len(table) == 1 + len(ROLES)
    row, key = dict(zip(head, table[-1], strict=True)), dict(zip(head, keys[-1], strict=True))
    assert row["arm"] == "warm start, <pulled>warm-pull"
    assert row["test accuracy / %"].startswith("81.50")
    assert key["test accuracy / %"] == "0.815"
    assert row["gap to cold with the same / points"].startswith("2.50")
    assert (
        dict(zip(head, table[3], strict=True))["steps to cold's accuracy"] == "2 of 2 seeds never"
    )
    assert dict(zip(head, keys[3], strict=True))["steps to cold's accuracy"] == ""


def test_the_page_has_all_that_was_tried_where_something_was(write):
    final = {**FINAL, "warm-pull": [[0.9, 0.9], [0.6, 0.6]]}
    table, course, played = made(write, final, {**ROLES, "warm-pull": POINTS})
    table["validation_accuracy"] = 0.5
    found = [one.to_pandas() for one in remedies_tables(table, course, played, MULTIPLY_ADDS)]
    sheet = Sheet(remedies_page("What helps", "Words.", *found, {}))
    assert len(sheet.tables) == 2
    assert len(sheet.tables[1]) == 1 + 6
    assert [row[5] for row in sheet.tables[1][-2:]] == ["✓", ""]
