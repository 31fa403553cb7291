"""The examples of docs/howto-data.md do what they say."""

from __future__ import annotations

import re

import numpy as np
import own
import pandas as pd
import pytest
from clone import ROOT, Clone

SMALL = """
model: resnet-d1w2
device: cpu
precision: float32
threads: 1
seeds: [0]
lengths: {pretrain: 1, tune: 2}
optimisers: {adam: {batch: 8}}
targets: [fig01]
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of the project, with the page's blocks and data as people bring it."""
    clone = Clone(tmp_path_factory.mktemp("own"))
    page = (ROOT / "docs/howto-data.md").read_text()
    blocks = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", page, re.DOTALL))
    assert [*blocks] == ["birds.yaml", "tissue.yaml", "blobs.yaml"]
    for name, text in blocks.items():
        (clone.path / "studies" / name).write_text(text)
    (clone.path / "studies/small.yaml").write_text(SMALL)
    own.folder(clone.path / "birds", (("train", 20), ("test", 10)), ("robin", "wren"), (9, 14, 3))
    for part, count in (("train", 32), ("validation", 12)):
        kinds = ["muscle", "nerve"] * (count // 2)
        own.parquet(clone.path / f"tissue/data/{part}-00000-of-00001.parquet", count, 0, kind=kinds)
    images, labels = own.pictures(60, 0, (8, 10)), np.arange(60) % 3
    np.savez(
        clone.path / "blobs.npz",
        x_train=images[:40] / 255,
        y_train=labels[:40],
        x_test=images[40:] / 255,
        y_test=labels[40:],
    )
    return clone


def drawn(clone: Clone, name: str, *words: str) -> pd.DataFrame:
    overlays = [f"studies/{one}.yaml" for one in (name, *words)]
    status, printed = clone.snakemake("fig01", "--configfile", *overlays, study=None)
    assert status == 0, printed
    assert (clone.path / f"results/figures/{name}/fig01.png").exists()
    return pd.read_parquet(clone.path / f"results/summary/{name}/figures/fig01/runs.parquet")


@pytest.mark.long
def test_a_folder_of_60_images(clone: Clone):
    runs = drawn(clone, "birds")
    assert {*runs["dataset"]} == {"birds"}
    assert runs["test_accuracy"].notna().all()
    overlay = ("--configfile", "studies/birds.yaml")
    assert "Nothing to be done" in clone.snakemake("fig01", *overlay, study=None)[1]
    own.write(clone.path / "birds/train/robin/3.png", own.pictures(1, 99, (9, 14, 3))[0])
    status, printed = clone.snakemake("fig01", *overlay, "-n", study=None)
    assert status != 0
    assert "datasets.birds: birds: holds other data than what results/data/birds was" in printed
    assert "another train/robin" in printed


def test_parquet_files_and_what_is_held_out(clone: Clone):
    (clone.path / "studies/held.yaml").write_text("dataset: tissue-n20-v8\nevaluate_every: 2\n")
    runs = drawn(clone, "tissue", "small", "held")
    assert {*runs["training_examples"]} == {20}
    assert runs["validation_accuracy"].notna().all()
    log = (clone.path / "results/logs/data/tissue.log").read_text()
    assert "note: there is no test part: validation is tested on" in log


@pytest.mark.long
def test_arrays_that_are_not_square(clone: Clone):
    runs = drawn(clone, "blobs", "small")
    assert runs["validation_accuracy"].isna().all()
    status, printed = clone.snakemake(
        "budget", "--configfile", "studies/blobs.yaml", "studies/small.yaml", study=None
    )
    assert status == 0, printed
