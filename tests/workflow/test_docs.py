"""The examples of docs/howto-extend.md do what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
from clone import ROOT, Clone

# The documented experiment, made small enough for a test: the last overlay wins.
SMALL = """
dataset: digits-clutter-n64-r6
model: resnet-d1w2
seeds: [0]
lengths: {pretrain: 1, tune: 2}
optimisers:
  nadam: {batch: 16}
remedies: {shrunk: shrink0.4+noise0.01}
figures:
  shrinking:
    runs:
      steps: steps0.3_{nadam}_e{tune}_init
      negative: full+negative_{nadam}_e{tune}_init
"""


def test_a_start_an_optimiser_and_an_experiment(tmp_path: Path):
    clone = Clone(tmp_path)
    page = (ROOT / "docs/howto-extend.md").read_text()
    blocks = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", page, re.DOTALL)
    assert [name for name, _ in blocks] == [
        "plasticity/interventions/starts/shrink.py",
        "plasticity/interventions/rules/nadam.py",
        "studies/remedy.yaml",
        "plasticity/data/selections/steps.py",
        "plasticity/data/transforms/negative.py",
    ]
    for name, text in blocks:
        with (tmp_path / name).open("x") as file:
            file.write(text)
    (tmp_path / "studies/small.yaml").write_text(SMALL)
    overlays = ["studies/demo.yaml", "studies/remedy.yaml", "studies/small.yaml"]
    status, printed = clone.snakemake("preview", "--configfile", *overlays, study=None)
    assert status == 0, printed
    assert (tmp_path / "results/preview/remedy/shrinking.png").exists()
    status, printed = clone.snakemake("shrinking", "--configfile", *overlays, study=None)
    assert status == 0, printed
    numbers = pd.read_csv(tmp_path / "results/figures/remedy/shrinking.csv")
    # The remedy is drawn beside the plain warm start, without having been named in the figure.
    series = ["cold", "warm", "warm-shrunk", "half", "tenth", "steps", "negative"]
    assert numbers["series"].unique().tolist() == series
    curves = pd.read_parquet(tmp_path / "results/summary/remedy/figures/shrinking/curves.parquet")
    assert curves[curves["epoch"] == 2]["train_loss"].nunique() == 7  # no two are the same
