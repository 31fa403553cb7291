"""The benchmarks of training: what they tell, and what they need to be installed."""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import all as everything
from benchmarks import contest, packing, startup, telemetry, training
from benchmarks.measure import markdown
from benchmarks.stand import Bench, epoch, laid_out, with_batch
from plasticity.training.hardware import Hardware

ROOT = Path(__file__).parents[2]


def words(text: str) -> list[str]:
    return text.split()


TINY = words("--model resnet-d1w2 --batch 8 --pixels 8 --train 32 --test 16")

ALONE = """
import runpy, sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

needed = {"torch", "numpy", "pyarrow", "pandas", "safetensors"}
# What these five ask for themselves.
theirs = {"torchgen", "functorch", "typing_extensions", "filelock", "sympy", "mpmath", "networkx",
    "jinja2", "markupsafe", "fsspec", "setuptools", "dateutil", "six", "triton", "nvidia"}
ours = {"benchmarks", "plasticity"}

def is_known(name):
    top = name.partition(".")[0].replace("-", "_")
    if top.startswith("_sysconfigdata"):
        return True
    return top in sys.stdlib_module_names or top in needed | theirs | ours

class Few:
    def find_spec(self, name, path=None, target=None):
        return PathFinder.find_spec(name, path, target) if is_known(name) else None
    def find_distributions(self, context):
        return PathFinder.find_distributions(context) if is_known(context.name or "") else ()

sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Few()]
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Runs a module as if nothing but what training needs were installed."""


def alone(*command: str) -> str:
    command = (sys.executable, "-c", ALONE, *command)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_training_needs_torch_and_the_formats_alone(tmp_path: Path):
    table = tmp_path / "table.csv"
    short = words("--seconds 0.01 --repeats 2 --steps 3 --augment --bound 1000 --free")
    rules = words("--optimiser adam-lr0.01 sgd-lr0.1-m0.9")
    said = alone("benchmarks.training", *TINY, *short, *rules, "--output", str(table))
    assert "stand-ins for torchvision" in said
    assert "importing torch takes" in said
    assert "After 3 updates" in said
    rows = rows_of(table)
    assert list(rows[0])[:-1] == [
        *("what", "precision", "optimiser", "images/s", "median (images/s)", "ratio"),
        *("evaluation (% of an epoch)", "of the bound (%)", "peak memory (MB)", "start-up (s)"),
    ]
    assert [row["what"] for row in rows] == 2 * [
        *("reference loop", "reference loop, tuned", "eager", "eager, free")
    ]
    for row in rows:
        first = next(one for one in rows if one["optimiser"] == row["optimiser"])
        ratio = int(row["images/s"]) / int(first["images/s"])
        assert float(row["ratio"]) == pytest.approx(ratio, rel=0.1)
        assert float(row["of the bound (%)"]) == pytest.approx(int(row["images/s"]) / 10, abs=0.1)
        assert 0 < float(row["evaluation (% of an epoch)"]) < 100
        assert float(row["start-up (s)"]) > 0


def test_packing_needs_no_more(tmp_path: Path):
    table = tmp_path / "table.csv"
    short = words("--runs 2 --seconds 0.05")
    alone("benchmarks.packing", *TINY, *short, "--output", str(table))
    [row] = rows_of(table)
    assert (row["way"], row["MPS"], row["runs"], row["gain"]) == ("processes", "no", "2", "-")
    each = float(row["images/s of a run"])
    assert float(row["images/s"]) == pytest.approx(2 * each, abs=1.5)
    assert float(row["memory (MB)"]) > 0


def test_a_mode_that_fails_leaves_the_others_their_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def fail(self: contest.Engine) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(contest.Engine, "start", fail)
    monkeypatch.setattr(training, "seconds_of_import", lambda: 1.0)
    with pytest.raises(SystemExit):
        training.main([*TINY, *words("--seconds 0 --repeats 1 --steps 0 --reference tuned")])
    said = capsys.readouterr().out
    assert "Failed: eager, float32, sgd-lr0.1-m0.9: RuntimeError: CUDA out of memory" in said
    assert "| reference loop, tuned | float32 |" in said
    assert "| eager | float32 | sgd-lr0.1-m0.9 | - |" in said


@pytest.mark.parametrize("asked", ["--precisions tfloat32", "--modes graph", "--free graph"])
def test_what_a_processor_cannot_do_is_refused(asked: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        training.parsed(words(asked))
    assert "needs a GPU" in capsys.readouterr().err


def test_the_bound_of_the_papers_network_on_an_h200():
    """237,000 images a second by arithmetic, 236,000 by memory: 118,000 one after the other."""
    network = words("--model resnet18 --pixels 32 --channels 3 --train 128 --test 8 --batch 128")
    peaks = words("--peak-tflops 790 --bandwidth-tb 4.3 --precisions bfloat16")
    given = training.parsed([*network, *peaks])
    with laid_out(given) as folder:
        bound, _ = training.bound_of(Bench.at(folder, given), given)
    assert bound == pytest.approx(118_000, rel=0.01)


def test_stages_in_turns_are_trained_as_each_alone():
    given = packing.parsed([*TINY, "--device", "cpu"])
    hardware = Hardware("cpu", "float32")
    with laid_out(given) as folder:
        bench = Bench.at(folder, given)
        alone, *others = (bench.stage(given.optimiser, hardware) for _ in range(3))
    streams = packing.streams_on(torch.device("cpu"), 2)
    assert packing.in_turns(others, streams, 0) == 2 * epoch(alone, 0).images == 64
    for other in others:
        weights = zip(
            alone.train_state.network.parameters(),
            other.train_state.network.parameters(),
            strict=True,
        )
        assert all(torch.equal(mine, theirs) for mine, theirs in weights)


def test_images_are_counted_until_the_first_one_ends():
    ends = [(11.0, 100), (13.0, 100)]
    assert packing.images_until(13.0, 10.0, ends) == 200
    assert packing.images_until(12.0, 10.0, ends) == 150
    assert packing.images_until(10.5, 10.0, ends) == 50


def test_a_batch_that_the_optimiser_tells_counts():
    assert str(with_batch("sgd-lr0.1-wd0.01-drop3", 64)) == "sgd-lr0.1-wd0.01-b64-drop3"
    assert str(with_batch("sgd-lr0.1-b16", 64)) == "sgd-lr0.1-b16"


def test_numbers_stand_to_the_right_whatever_is_not_known():
    table = markdown([{"a": "-", "b": 0.012}, {"a": 1200, "b": 12.34}])
    assert table.splitlines()[1:] == ["| ---: | ---: |", "| - | 0.012 |", "| 1,200 | 12.3 |"]


def test_all_goes_on_after_a_part_that_fails(tmp_path: Path):
    python = [sys.executable, "-c"]
    parts = [
        everything.Part("good", [*python, "print('well')"], 60, writes=False),
        everything.Part("bad", [*python, "raise SystemExit(3)"], 60, writes=False),
        everything.Part("slow", [*python, "import time; time.sleep(60)"], 0.5, writes=False),
        everything.Part("absent", ["there/is/no/such/program"], 60),
        everything.Part("useless", [*python, ""], 60, missing="no GPU"),
    ]
    outcomes = [str(everything.carry_out(part, tmp_path, 100)["outcome"]) for part in parts]
    assert outcomes[:2] == ["done", "failed: ended with 3"]
    assert outcomes[2] == "failed: not done in 0.5 s"
    assert outcomes[3].startswith("failed: [Errno 2]")
    assert outcomes[4] == "left out: no GPU"
    assert (tmp_path / "good.txt").read_text() == "well\n"
    late = everything.carry_out(parts[0], tmp_path, 1)
    assert late["outcome"] == "failed: no time is left"


def test_the_parts_are_commands_that_are_understood():
    assert everything.GPU_TESTS.exists()
    for device in ("cpu", "cuda"):
        given = argparse.Namespace(device=device, quick=False)
        for part in everything.parts_of(given):
            if "benchmarks.training" in part.command:
                training.parsed(part.command[3:])
            if "benchmarks.packing" in part.command:
                packing.parsed(part.command[3:])
            if "benchmarks.telemetry" in part.command:
                telemetry.parsed(part.command[3:])
            if "benchmarks.startup" in part.command:
                startup.parsed(part.command[3:])
