"""The examples of docs/howto-extend.md do what they say, in a folder outside of the project."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from clone import ROOT, Clone
from extension_files import written

# The documented experiment, made small enough for a test: the last overlay wins.
SMALL = """
dataset: digits-clutter-n64-r6
model: resnet-d1w2
seeds: [0]
lengths: {pretrain: 1, tune: 2}
optimisers:
  radam: {batch: 16}
remedies: {shrunk: shrink0.4+noise0.01}
telemetry: {iterations: 8, each: 4, per_decade: 4, evaluations_per_decade: 2}
targets: [shrinking, ends, watched]
figures:
  shrinking:
    model: convnet-w4
    runs:
      steps: steps0.3_{radam}_e{tune}_init
      negative: full+negative_{radam}_e{tune}_init
  watched:
    title: Watched
    caption: In the first steps.
    draw: telemetry
    observe: telemetry
    runs: {dense: 'full_{radam}_e{tune}_init'}
"""


@pytest.mark.long
def test_all_that_the_page_declares_is_used_in_an_experiment(tmp_path: Path):
    (tmp_path / "project").mkdir()
    clone = Clone(tmp_path / "project")
    page = (ROOT / "docs/howto-extend.md").read_text()
    blocks = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", page, re.DOTALL)
    assert [name for name, _ in blocks] == ["mine.yaml", *["lab/ours.py"] * 10, "mine.yaml"]
    texts: dict[str, str] = {"small.yaml": SMALL}
    for name, text in blocks:
        texts[name] = texts.get(name, "") + f"\n\n{text}"
    work = written(tmp_path / "work", texts)
    studies = [clone.path / "studies/demo.yaml", work / "mine.yaml", work / "small.yaml"]
    words = ("--directory", str(work), "--configfile", *map(str, studies))
    status, printed = clone.snakemake("preview", *words, study=None)
    assert status == 0, printed
    assert (work / "results/preview/mine/ends.png").exists()
    status, printed = clone.snakemake("shrinking", "ends", "watched", *words, study=None)
    assert status == 0, printed
    figures = work / "results/figures/mine"
    numbers = pd.read_csv(figures / "shrinking.csv")
    # The remedy is drawn beside the plain warm start, without having been named in the figure.
    series = ["cold", "warm", "warm-shrunk", "half", "tenth", "calmed", "taught"]
    series += ["taught-shrunk", "steps", "negative"]
    assert numbers["series"].unique().tolist() == series
    assert pd.read_csv(figures / "ends.csv")["role"].tolist() == series[:8]
    curves = pd.read_parquet(work / "results/summary/mine/figures/shrinking/curves.parquet")
    assert curves[curves["epoch"] == 2]["train_loss"].nunique() == 10  # no two are the same
    watched = pd.read_csv(figures / "watched.csv")
    assert (watched[watched["quantity"] == "largest_weight"]["mean"] > 0).all()


def test_nothing_tells_a_user_to_edit_the_library():
    page = (ROOT / "docs/howto-extend.md").read_text()
    assert not re.findall(r"plasticity/\w+", page)
