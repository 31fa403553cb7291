"""How long ten thousand runs take to be made into tables, and how much memory.

    python -m benchmarks.summarise --files 10000

It runs the script of the workflow, on metrics that are made up: 500 epochs a file, for the runs of
the paper's study with more seeds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import runpy
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

from benchmarks.dag import configured
from benchmarks.measure import ROOT, circumstances, cost_of, least, tell
from plasticity.runs import Run, ancestors, layout
from plasticity.runs.kinds import PRETRAIN, TUNE, Job

EPOCHS = 500
HISTORIES = 50
"""So many different courses of training are drawn, and shared by the runs."""

SCRIPT = ROOT / "workflow" / "scripts" / "summarise.py"
STUDY = "benchmark"


def runs_of(files: int) -> tuple[list[Run], list[Run]]:
    """Tuned runs and the pretraining that they went through, about so many together."""
    runs = configured(1).runs
    each = len(runs) + len(ancestors(runs))
    tuned = configured(max(1, round(files / each))).runs
    return tuned, ancestors(tuned)


def make(place: Path, files: int) -> None:
    """Write about so many metrics files below `place`, and a list of them."""
    import numpy as np

    from plasticity.runs import metrics
    from plasticity.runs.metrics import EpochMetrics

    generator = np.random.default_rng(0)
    histories = []
    for _ in range(HISTORIES):
        rows = enumerate(generator.random((EPOCHS, 4)).tolist(), start=1)
        histories.append(
            [EpochMetrics(epoch, 390 * epoch, a, b, c, d, 1.5) for epoch, (a, b, c, d) in rows]
        )
    about = {
        **{"begins": 0, "ends": 390 * EPOCHS, "density": 1.0, "perturbation": 0.0},
        "training_examples": 50_000,
        "parameters": 11_173_962,
        "device": "cuda",
        "precision": "bfloat16",
        "torch": "2.13.0",
        "code": "0123456789abcdef",
        "data_checksum": "0123456789abcdef",
    }
    tuned, pretrained = runs_of(files)
    paths: dict[str, list[str]] = {}
    # Faster, and the same: nobody misses these files after a crash, and rows hold numbers alone.
    with patch("os.fsync"):
        for name, kind, runs in (("tuned", TUNE, tuned), ("pretrained", PRETRAIN, pretrained)):
            paths[name] = [layout.done(Job(kind, run)) for run in runs]
            for number, run in enumerate(runs):
                history = histories[number % HISTORIES]
                metrics.write(
                    place / layout.done(Job(kind, run)), history, {**about, "run": str(run)}
                )
    (place / "files.json").write_text(json.dumps(paths), encoding="utf-8")


class Named(dict[str, object]):
    """Files or parameters of a job, by name as attributes too, as Snakemake hands them over."""

    def __getattr__(self, name: str) -> object:
        return self[name]


def summarise(place: Path) -> None:
    """Run the workflow's script on what `make` left in `place`."""
    os.chdir(place)
    tables = {table: layout.summary(STUDY, table) for table in ("runs", "curves", "gaps")}
    job = Named(
        input=Named(json.loads(Path("files.json").read_text(encoding="utf-8"))),
        output=Named(tables, page=layout.gap_table(STUDY)),
        params=Named(study=STUDY),
        log=["summarise.log"],
    )
    runpy.run_path(str(SCRIPT), init_globals={"snakemake": job})


def main() -> None:
    """Measure what the command line asks for, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, nargs="+", default=[1000, 10_000], help="sizes")
    parser.add_argument("--repeats", type=int, default=3, help="the least of so many is told")
    parser.add_argument("--output", type=Path, help="also write the table: .md or .csv")
    parser.add_argument("--in", type=Path, dest="place", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.place:  # the process that is measured
        summarise(given.place)
        return
    rows = []
    for files in given.files:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            # In a process of its own, whose memory is not this one's.
            maker = multiprocessing.get_context("spawn").Process(target=make, args=(place, files))
            maker.start()
            maker.join()
            command = [sys.executable, "-m", "benchmarks.summarise", "--in", folder]
            cost = least(cost_of(command)[0] for _ in range(given.repeats))
            tuned, pretrained = runs_of(files)
            curves = place / layout.summary(STUDY, "curves")
            rows.append(
                {
                    "files": len(tuned) + len(pretrained),
                    "epochs": (len(tuned) + len(pretrained)) * EPOCHS,
                    "seconds": cost.seconds,
                    "CPU seconds": cost.cpu_seconds,
                    "peak memory (MB)": cost.megabytes,
                    "curves (MB)": curves.stat().st_size / 1e6,
                }
            )
    tell(rows, circumstances("pyarrow", "pandas"), given.output)


if __name__ == "__main__":
    main()
