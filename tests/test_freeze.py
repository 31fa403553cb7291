"""The tool that compares two commits: what it must notice, and what it must not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from freeze import changed
from freezing import comparing, contents, dryruns, messages
from freezing.checkouts import Checkout
from safetensors.numpy import save_file

PRINTED = """
rule pretrain:
    input: results/data/d/train.safetensors
    output: results/pretrain/d/m/seed0/a/checkpoint.safetensors, results/pretrain/d/m/seed0/a/x.csv
    jobid: 1
localrule figure:
    output: results/figures/s/fig01.svg
rule all:
    input: results/figures/s/fig01.svg
"""


def table(path: Path, loss: float, seconds: float, code: str, *, share: float = 0.5) -> Path:
    columns = {"loss": [1.0, loss], "seconds": [seconds] * 2, "code": [code] * 2}
    facts = json.dumps({"density": share, "code": code, "components": {"loop": code}})
    pq.write_table(pa.table(columns).replace_schema_metadata({"about": facts}), path)
    return path


def state(path: Path, weight: float, seconds: float, kept: str = "kept/") -> Path:
    tensors = {
        "network/layer": np.array([weight, 2.0], dtype=np.float32),
        f"{kept}layer": np.array([True, False]),
        "history": np.array([[1.0, 0.5, seconds]]),
        "part": np.array([seconds]),
    }
    save_file(tensors, path)
    return path


def test_wall_times_and_digests_of_code_do_not_count(tmp_path: Path):
    one = contents.of_table(table(tmp_path / "a.parquet", 2.0, 3.0, "old"))
    assert one == contents.of_table(table(tmp_path / "b.parquet", 2.0, 4.0, "new"))
    assert sorted(one) == ["about.density", "loss"]
    one = contents.of_tensors(state(tmp_path / "a.safetensors", 1.0, 3.0))
    assert one == contents.of_tensors(state(tmp_path / "b.safetensors", 1.0, 4.0))


def test_the_last_bit_counts(tmp_path: Path):
    near = float(np.nextafter(2.0, 3.0))
    one = contents.of_table(table(tmp_path / "a.parquet", 2.0, 3.0, ""))
    assert one != contents.of_table(table(tmp_path / "b.parquet", near, 3.0, ""))
    near = float(np.nextafter(np.float32(1.0), np.float32(2.0)))
    one = contents.of_tensors(state(tmp_path / "a.safetensors", 1.0, 3.0))
    assert one != contents.of_tensors(state(tmp_path / "b.safetensors", near, 3.0))


def test_another_name_is_no_other_number(tmp_path: Path):
    one = contents.of_tensors(state(tmp_path / "a.safetensors", 1.0, 3.0))
    other = contents.of_tensors(state(tmp_path / "b.safetensors", 1.0, 3.0, kept="mask/"))
    numbers, names = comparing.of_numbers("study", {"file": one}, {"file": other})
    assert not numbers.moved
    assert names.differences == ["'kept/' before the names of tensors is now 'mask/' (1 times)"]
    moved = contents.of_tensors(state(tmp_path / "c.safetensors", 1.5, 3.0, kept="mask/"))
    numbers, _ = comparing.of_numbers("study", {"file": one}, {"file": moved})
    assert numbers.moved
    assert len(numbers.differences) == 1
    assert numbers.differences[0].startswith("file: network/layer: float32 [2]")


def test_a_fact_that_is_gone_is_a_name_and_one_that_differs_a_number(tmp_path: Path):
    one = contents.of_table(table(tmp_path / "a.parquet", 2.0, 3.0, ""))
    other = contents.of_table(table(tmp_path / "b.parquet", 2.0, 3.0, "", share=0.25))
    assert comparing.of_numbers("study", {"file": one}, {"file": other})[0].moved
    del other["about.density"]
    numbers, names = comparing.of_numbers("study", {"file": one}, {"file": other})
    assert not numbers.moved
    assert names.differences == ["about.density stands only in the first (1 times)"]


def test_a_file_that_is_gone_counts():
    assert comparing.of_numbers("study", {"file": {}}, {})[0].differences == ["- file file"]


def test_jobs_of_a_dry_run():
    jobs = dryruns.parse(PRINTED)
    run = "results/pretrain/d/m/seed0/a"
    assert jobs == {
        f"{run}/checkpoint.safetensors": "pretrain",
        f"{run}/x.csv": "pretrain",
        "results/figures/s/fig01.svg": "figure",
        "[all]": "all",
    }
    assert dryruns.run_folders(jobs) == {run}


def test_studies_on_data_that_are_not_there_are_not_planned(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies/demo.yaml").write_text("study: demo\n")
    (tmp_path / "studies/mine.yaml").write_text("datasets: {mine: {images: gone}}\n")
    assert {plan.study for plan in dryruns.plans(tmp_path)} == {None, "demo"}


def test_another_rule_is_a_name_and_another_output_is_not():
    jobs = dryruns.parse(PRINTED)
    renamed = dryruns.parse(PRINTED.replace("rule pretrain", "rule train"))
    outputs, runs, rules = comparing.of_jobs("paper", jobs, renamed)
    assert not outputs.moved
    assert not runs.moved
    assert rules.differences == ["rule pretrain is now train (2 files)"]
    moved = dryruns.parse(PRINTED.replace("seed0/a/x", "seed0/b/x"))
    outputs, runs, _ = comparing.of_jobs("paper", jobs, moved)
    assert len(outputs.differences) == 2
    assert runs.differences == ["+ run results/pretrain/d/m/seed0/b"]


def test_messages_without_the_place_they_were_made_in():
    checkout = Checkout(Path("/x/project"), Path("/x/made"))
    text = f"/x/made/base/popen-gw1/test_it0/a.csv: in /x/project/b of {'0' * 40} at 0x7f"
    expected = "<temporary>/a.csv: in <project>/b of <digest> at <address>"
    assert messages.normalised(text, checkout) == expected


def test_sentences_are_texts_without_docstrings_and_names_of_variables(tmp_path: Path):
    text = '"""Not this one here."""\nraise Error(f"expected {a} and not {b}" " at all", "short")\n'
    (tmp_path / "module.py").write_text(text)
    assert messages.sentences(tmp_path) == ["expected {} and not {} at all"]


@pytest.mark.parametrize("name", ["tests/test_spec.py", "tests/runs/test_metrics.py"])
def test_quick_messages_in_either_layout(tmp_path: Path, name: str):
    for one in (
        name,
        "tests/test_gpu.py",
        "tests/study/test_hostile.py",
        "tests/workflow/test_it.py",
    ):
        (tmp_path / one).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / one).touch()
    assert messages.chosen(tmp_path, quick=True) == [name]


def test_digests_that_are_changed():
    before = {"engine": "1", "figures": "2", "gone": "3"}
    after = {"engine": "4", "figures": "2", "new": "5"}
    rows = [("engine", "1", "4"), ("gone", "3", ""), ("new", "", "5")]
    assert changed(before, after) == rows
