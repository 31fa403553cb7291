"""Remedies in the workflow: a tiny figure with arms that are tuned, from end to end."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from clone import Clone

TUNED = """
study: tuned
dataset: digits-clutter-n64-r6
model: mlp-d1w4
device: cpu
precision: float32
threads: 1
seeds: [0]
lengths: {pretrain: 1, tune: 2}
optimisers:
  adam: {lr: 0.01, batch: 16}
targets: [fig01]
figures:
  remedies:
    seeds: [0]
    arms: {last: reset2, l2init: +l2init0.01}
    tune:
      validation: 16
      points:
        cold: [{}, {optimiser: {lr: 0.1}}]
        warm: [{}, {optimiser: {lr: 0.1}}]
        last: [{}, {optimiser: {lr: 0.1}}]
        l2init: [{}, +l2init0.1]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which the figure and its claim were made."""
    clone = Clone(tmp_path_factory.mktemp("study"))
    overlay = yaml.safe_load(TUNED)
    arms = overlay["figures"]["remedies"]["arms"]
    config = yaml.safe_load((clone.path / "config.yaml").read_text())
    others = dict.fromkeys(config["figures"]["remedies"]["arms"])  # null takes one out
    overlay["figures"]["remedies"]["arms"] = {**others, **arms}
    (clone.path / "studies" / "tuned.yaml").write_text(yaml.safe_dump(overlay))
    status, printed = clone.snakemake("remedies_claim", study="tuned")
    assert status == 0, printed
    return clone


def test_a_figure_with_arms_asks_for_as_many_runs_of_each(study: Clone):
    folder = study.path / "results/summary/tuned/figures/remedies"
    tried = pd.read_parquet(folder / "tried.parquet")
    assert tried.groupby("role").size().to_dict() == dict.fromkeys(
        ["cold", "cold-long", "cold-l2init", "warm", "warm-last", "warm-l2init"], 2
    )
    assert tried.groupby("role")["chosen"].sum().to_dict() == dict.fromkeys(set(tried["role"]), 1)
    assert tried["validation_accuracy"].notna().all()
    remedies = pd.read_parquet(folder / "remedies.parquet")
    assert set(remedies["role"]) == set(tried["role"])
    assert (remedies["multiply_adds"] > 0).all()


def test_its_page_and_its_picture_are_there_and_the_claim_is_judged(study: Clone):
    page = study.path / "results/summary/tuned/figures/remedies/remedies.html"
    assert "l2init" in page.read_text()
    assert (study.path / "results/figures/tuned/remedies.png").exists()
    (claim,) = pd.read_parquet(study.path / "results/claims/tuned-remedies_claim.parquet").to_dict(
        "records"
    )
    assert claim["id"] == "remedy"


def test_nothing_is_left_to_do(study: Clone):
    assert study.planned("remedies_claim", "remedies", study="tuned") == {}


def test_its_name_asks_for_the_table_too(study: Clone):
    page = Path("results/summary/tuned/figures/remedies/remedies.html")
    (study.path / page).unlink()
    assert "summarise_remedies" in study.planned("remedies", study="tuned")
