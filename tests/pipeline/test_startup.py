"""The start of a job: imports left out of garbage collection, and the benchmark of it."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from plasticity.scripts.call import quick_imports

ROOT = Path(__file__).parents[2]


def test_imports_are_left_out_of_garbage_collection():
    before = gc.get_freeze_count()
    try:
        with quick_imports():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


@pytest.mark.long
def test_the_benchmark_tells_each_part(tmp_path: Path):
    output = tmp_path / "startup.md"
    small = ["--model", "resnet-d1w2", "--repeats", "1", "--output", str(output)]
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.startup", *small],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    rows = [line.split("|")[1:-1] for line in output.read_text().splitlines()[4:]]
    milliseconds = {row[2].strip(): int(row[3].replace(",", "")) for row in rows}
    assert list(milliseconds) == [
        *("python", "torch", "library", "prepared", "first step", "trained and saved", "exit"),
        *("all but training", "all", "import torch, nothing else"),
    ]
    assert all(count >= 0 for count in milliseconds.values())
