"""Runs that diverged: left out of every mean, and the picture says how many."""

import re
import textwrap
from dataclasses import replace

import early_figure_tables
import figure_tables
import pandas as pd
import pytest
from figure_tables import draw, numbers

from plasticity.analysis.figures import Tables

EVERY = figure_tables.DRAWINGS | early_figure_tables.DRAWINGS
SEEDS = (0, 1, 2)


def with_dead(tables: Tables, dead) -> Tables:
    """The same tables, where the runs have diverged of which `dead`, given a row, says so."""
    runs = tables.runs.copy()
    gone = runs["run"].isin(runs.loc[runs.apply(dead, axis=1).astype(bool), "run"])
    runs.loc[gone, "diverged"], runs.loc[gone, "diverged_step"] = True, 7
    runs.loc[gone, "test_accuracy"] = None
    roles = {role: list(of["run"]) for role, of in runs.groupby("role", sort=False)}
    curves = tables.curves.drop(columns="role", errors="ignore").drop_duplicates()
    observed = tables.observations
    if observed is not None:
        observed = observed.drop(columns="role").drop_duplicates()
    once = runs.drop(columns="role").drop_duplicates("run")
    return Tables.of(tables.title, once, curves, roles, tables.labels, observed)


def said(outputs) -> str:
    """The words of a picture, which are in its source between its shapes."""
    return " ".join(re.findall(r"<!-- (.*?) -->", outputs["svg"].read_text(), re.DOTALL))


def cases():
    for name, made in EVERY.items():
        for role in dict.fromkeys(made(SEEDS).runs["role"]):
            yield pytest.param(name, role, id=f"{name}-{role}")


@pytest.mark.parametrize("name", EVERY)
def test_one_seed_is_left_out_of_everything(tmp_path, name):
    """The numbers are those of a study without it, and beside them stands what is left out."""
    tables = EVERY[name](SEEDS)
    rows = numbers(draw(name, tmp_path, with_dead(tables, lambda run: run["seed"] == 1), ["csv"]))
    alone = numbers(draw(name, tmp_path, EVERY[name]((0, 2)), ["csv"]))
    shown = [row for row in rows if row["diverged_step"] == ""]
    told = [row for row in rows if row["diverged_step"] == 7]
    columns = list(alone[0])
    assert [[row[column] for column in columns] for row in shown] == [
        [row[column] for column in columns] for row in alone
    ]
    assert {row["seed"] for row in told} == {1}
    assert len(told) == len(tables.runs) / 3


@pytest.mark.parametrize(("name", "role"), list(cases()))
def test_a_role_of_which_nothing_is_left_leaves_a_picture(tmp_path, name, role):
    tables = EVERY[name](SEEDS)
    given = with_dead(tables, lambda run: run["role"] == role)
    outputs = draw(name, tmp_path, given, ["svg", "csv"])
    runs = tables.runs  # one may play another role besides
    dead = runs.loc[runs["run"].isin(runs.loc[runs["role"] == role, "run"]), "role"]
    assert f"{len(dead)} of {len(runs)} runs diverged and are left out" in said(outputs)
    told = [row["role"] for row in numbers(outputs) if row["diverged_step"] == 7]
    assert told == list(dead)


@pytest.mark.parametrize("name", EVERY)
def test_where_all_diverged_the_picture_says_so(tmp_path, name):
    tables = EVERY[name](SEEDS)
    outputs = draw(name, tmp_path, with_dead(tables, lambda run: True), ["svg", "csv"])
    count = len(tables.runs)
    assert f"{count} of {count} runs diverged and are left out" in said(outputs)
    assert "nothing is left to draw" in said(outputs)
    assert len(numbers(outputs)) == count


@pytest.mark.parametrize("name", EVERY)
def test_what_is_said_stands_below_all_else(tmp_path, name):
    """Also below legends, which some pictures have at the bottom."""
    given = with_dead(EVERY[name](SEEDS), lambda run: run["seed"] == 1)
    source = draw(name, tmp_path, given, ["svg"])["svg"].read_text(encoding="utf-8")
    found = re.findall(r"<!-- (.*?) -->\s*<g [^>]*?translate\(\S+ (\S+)\)", source, re.DOTALL)
    (first,) = (place for place, (words, _) in enumerate(found) if "left out" in words)
    note = textwrap.wrap(given.left_out, 100)
    assert [words for words, _ in found[first : first + len(note)]] == note
    heights = [float(height) for _, height in found]  # from the top
    others = heights[:first] + heights[first + len(note) :]
    assert heights[first] > max(others) + 8


def test_a_picture_of_runs_that_did_not_says_nothing(tmp_path):
    outputs = draw("warm_start", tmp_path, EVERY["warm_start"](SEEDS), ["svg", "csv"])
    assert "diverged" not in said(outputs)
    assert "diverged_step" not in numbers(outputs)[0]


def test_it_says_of_which_roles():
    tables = EVERY["warm_start"](SEEDS)
    some = with_dead(tables, lambda run: run["role"] == "warm" and run["seed"] < 2)
    assert some.left_out == "2 of 6 runs diverged and are left out (warm start: 2 of 3)"
    one = with_dead(tables, lambda run: run["role"] == "cold" and run["seed"] == 2)
    assert one.left_out == "1 of 6 runs diverged and is left out (from scratch: 1 of 3)"
    assert set(one.curves["seed"]) == {0, 1, 2}
    assert not (one.curves["run"] == one.diverged["run"].iloc[0]).any()


def test_pretraining_that_leads_nowhere_is_left_out():
    tables = with_dead(EVERY["warm_start"](SEEDS), lambda run: run["role"] == "warm")
    assert set(tables.curves["kind"]) == {"tune"}


def test_a_line_without_a_barrier_is_left_out():
    """The run itself may be sound, and its twin not."""
    tables = EVERY["connectivity"](SEEDS)
    observed = tables.observations.assign(reason=None).astype({"reason": object})
    first = tables.runs["run"].iloc[0]
    dead = observed["run"] == first
    observed.loc[dead, "reason"] = "its twin diverged"
    observed.loc[dead, ["test_accuracy", "train_accuracy"]] = None
    again = with_dead(replace(tables, observations=observed), lambda run: False)
    assert list(again.diverged["run"]) == [first]
    assert first not in set(again.observed["run"])
    assert pd.notna(again.observed["test_accuracy"]).all()
