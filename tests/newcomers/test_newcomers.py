"""What people bring, in a folder outside of the checkout, by blocks of the documentation alone.

Each job is one start of Snakemake and at most `MOST` lines of a user's own.
"""

from __future__ import annotations

import re
from pathlib import Path

import own
import pandas as pd
import pytest
from clone import ROOT, Clone
from extension_files import written

MOST = 25
"""Lines of configuration and code, without empty ones and those that name a file."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of the project, in which nobody works."""
    return Clone(tmp_path_factory.mktemp("checkout"))


def block(page: str, word: str) -> str:
    """The block of a page of the documentation that has `word` in it, of which there is one."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:python|yaml)\n# \S+\n(.*?)```", text, re.DOTALL)
    (found,) = [one for one in blocks if word in one]
    return str(found)


def drawn(work: Path, checkout: Clone, figures: list[str], files: dict[str, str]) -> Path:
    """The folder of `figures` by `files` of a user's own, texts by name, in the folder `work`.

    Of these the studies are overlays of one another, or of the demo where they declare no data.
    """
    lines = [line for text in files.values() for line in text.splitlines() if line.strip()]
    assert len(lines) <= MOST
    written(work, files)
    studies = [name for name in files if name.endswith(".yaml")]
    if not any("datasets:" in text for text in files.values()):
        studies.insert(0, str(checkout.path / "studies/demo.yaml"))
    words = ("-s", str(checkout.path / "Snakefile"), *figures, "--configfile", *studies)
    status, printed = Clone.found(work).snakemake(*words, study=None)
    assert status == 0, printed
    (folder,) = (work / "results/figures").iterdir()
    for figure in figures:
        assert (folder / f"{figure}.png").exists()
    return folder


@pytest.mark.long
def test_figures_1_and_6_of_a_folder_of_300_images(tmp_path: Path, checkout: Clone):
    parts, classes = (("train", 80), ("test", 20)), ("finch", "robin", "wren")
    own.folder(tmp_path / "birds", parts, classes, (14, 12, 3))
    small = """
threads: 1
seeds: [0]
lengths: {pretrain: 1, tune: 2}
optimisers: {adam: {batch: 40}}
figures: {fig06: {grid: {module: [1], top: [5+6], bottom: [1+2]}}}
"""
    files = {"birds.yaml": block("howto-data.md", "birds: {images: birds"), "small.yaml": small}
    folder = drawn(tmp_path, checkout, ["fig01", "fig06"], files)
    ends = pd.read_csv(folder / "fig06.csv")
    assert ends["reset_modules"].tolist()[2:] == ["1", "5+6", "1+2"]
    assert ends["mean"].between(0, 100).all()


@pytest.mark.long
def test_figure_2_of_a_parquet_with_a_network_of_timm(tmp_path: Path, checkout: Clone):
    for seed, (part, count) in enumerate((("train", 96), ("test", 30))):
        path = tmp_path / f"tissue/data/{part}-00000-of-00001.parquet"
        own.parquet(path, count, seed, shape=(8, 8, 3))
    study = """
study: cells
dataset: cells
datasets: {cells: {parquet: tissue}}
extensions: {ours: lab/ours.py}
model: timm-vit
device: cpu
precision: float32
threads: 1
seeds: [0]
lengths: {tune: 2}
optimisers: {adam: {batch: 16}}
figures: {fig02: {grid: {epochs: [1, 2]}}}
"""
    files = {"cells.yaml": study, "lab/ours.py": block("networks.md", "timm-{name}")}
    folder = drawn(tmp_path, checkout, ["fig02"], files)
    assert pd.read_csv(folder / "fig02.csv")["pretrain_epochs"].dropna().tolist() == [1, 2]


@pytest.mark.long
def test_a_rule_a_start_that_looks_at_batches_and_a_quantity(tmp_path: Path, checkout: Clone):
    study = """
extensions: {ours: lab/ours.py}
optimisers: {adam: {rule: radam, batch: 64}}
remedies: {calmed: calm}
lengths: {pretrain: 1, tune: 2, total: 1}
telemetry: {iterations: 8, each: 4}
figures: {fig01: &small {seeds: [0], dataset: digits-clutter-n500-r6}, early_telemetry: *small}
"""
    code = "\n".join(
        block("howto-extend.md", f"\ndef {word}(") for word in ("radam", "calm", "largest_weight")
    )
    files = {"mine.yaml": study, "lab/ours.py": code}
    folder = drawn(tmp_path, checkout, ["fig01", "early_telemetry"], files)
    watched = pd.read_csv(folder / "early_telemetry.csv")
    assert (watched[watched["quantity"] == "largest_weight"]["mean"] > 0).all()
    curves = pd.read_parquet(tmp_path / "results/summary/demo/figures/fig01/curves.parquet")
    assert curves["run"].str.contains("_radam-lr0.002-b64_").all()
    ends = curves[curves["epoch"] == 2]
    assert sorted(run.rpartition("_")[2] for run in ends["run"]) == ["calm", "init", "keep"]
    assert ends["train_loss"].nunique() == 3
