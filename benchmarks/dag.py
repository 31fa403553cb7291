"""How long a dry run takes, and how much memory, for studies of a thousand runs and more.

    python -m benchmarks.dag --runs 1000 10000 --finished 1000

The studies are the paper's with more seeds. A run is a job that trains: of pretraining, the rungs
among it, or of tuning. Nothing is trained; what a finished study leaves is made up.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import yaml

from benchmarks.measure import ROOT, Cost, circumstances, cost_of, least, tell
from plasticity.pipeline import digests
from plasticity.runs import layout, metrics
from plasticity.runs.kinds import Job
from plasticity.runs.metrics import EpochMetrics
from plasticity.study import Study
from plasticity.study.budget import trainings

if TYPE_CHECKING:
    from snakemake.persistence import PersistenceBase

NOTHING = "Nothing to be done"
KEEP_ALL = ("--config", "keep=all")

FINISHED = 1_700_000_000
"""When the first files of a made-up study were finished, in seconds since 1970."""


def study_of(seeds: int) -> dict[str, object]:
    """The overlay that gives every figure of the paper's study so many seeds."""
    numbers = list(range(seeds))
    # The first paper's figures: what a finished study of the second leaves is not made up here.
    targets = [f"fig{number:02}" for number in range(1, 12)]
    figures = {"fig07": {"seeds": numbers}}
    return {"study": "benchmark", "seeds": numbers, "targets": targets, "figures": figures}


def configured(seeds: int) -> Study:
    """The paper's study with that overlay."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    overlay = study_of(seeds)
    config["figures"]["fig07"]["seeds"] = overlay["seeds"]
    return Study({**config, **overlay, "figures": config["figures"]})


def measured(study: Study) -> list[Job]:
    """The jobs that measure the runs of all targets of `study`."""
    return study.jobs_of(study.targets)


def seeds_for(runs: int) -> tuple[int, int]:
    """How many seeds give about so many `runs`, and how many they give."""
    each = len(trainings(measured(configured(1))))
    seeds = max(1, round(runs / each))
    return seeds, seeds * each


def snakemake(place: Path, *arguments: str) -> list[str]:
    """The command that runs Snakemake on the study in `place`, with its results there too."""
    return [
        *(sys.executable, "-m", "snakemake", "--directory", str(place), *arguments),
        *("--configfile", str(place / "study.yaml")),
    ]


def dry_run(place: Path, *arguments: str, repeats: int, nothing: bool) -> Cost:
    """The least cost of a dry run, which is to find jobs, or `nothing` to be done.

    Raises `RuntimeError` where it finds the other, or files that Snakemake has no record of.
    """
    costs = []
    for _ in range(repeats):
        cost, printed = cost_of(snakemake(place, "--dry-run", "--quiet", *arguments))
        # Snakemake is silent about jobs where it is quiet, and says so where there are none.
        if (NOTHING in printed) is not nothing or "missing metadata" in printed:
            raise RuntimeError(f"expected {'no jobs' if nothing else 'jobs'}, got:\n{printed}")
        costs.append(cost)
    return least(costs)


def outputs_of(study: Study, jobs: Iterable[Job]) -> Iterator[str]:
    """Every file that the finished `study`, with the training `jobs`, has left, but the metrics."""
    for run in {job.run for job in jobs}:
        yield from layout.dataset(run.dataset).values()
        yield layout.split(run)
    for job in jobs:
        if job.kind.state:
            yield layout.checkpoint(job.run)
    for name in (None, *(figure.name for figure in study.targets)):
        for table in ("runs", "curves", "gaps"):
            yield layout.summary(study.name, table, name)
    for figure in study.targets:
        for suffix in layout.FIGURE_SUFFIXES:
            yield layout.figure(study.name, figure.name, suffix)
    yield layout.gap_table(study.name)
    for suffix in ("parquet", "html"):
        yield layout.claims(study.name, suffix)


def finish(place: Path, seeds: int) -> None:
    """Make up all that the study would leave in `place`: valid metrics, and empty files besides."""
    study = configured(seeds)
    jobs = trainings(measured(study))
    history = [EpochMetrics(1, 1, 2.0, 0.5, 2.0, 0.5, 1.0)]
    for name in dict.fromkeys(outputs_of(study, jobs)):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with patch("os.fsync"):  # nobody misses these files after a crash
        for job in jobs:
            about = {"components": digests.components(job), "precision": study.settings.precision}
            metrics.write(place / layout.done(job), history, about)
    record(place)


def record(place: Path) -> None:
    """Date the files in `place` in their order, and let Snakemake record what made each.

    Snakemake does so itself with ``--touch``, which is slow, and only for what is out of order.
    """
    from snakemake import cli, dag, workflow

    build = workflow.Workflow._build_dag

    async def finish_all(dag: dag.DAG, persistence: PersistenceBase) -> None:
        for level, jobs in enumerate(dag.toposorted()):
            for job in jobs:
                for name in job.output:
                    os.utime(name, (FINISHED + level, FINISHED + level))
                await persistence.finished(job)

    def build_and_finish(self: workflow.Workflow) -> None:
        build(self)
        self.iocache.clear()
        self.async_run(finish_all(self.dag, self.persistence))

    arguments = snakemake(place, "--dry-run", "--quiet", *KEEP_ALL)[3:]
    with patch.object(workflow.Workflow, "_build_dag", build_and_finish):
        try:
            cli.main(arguments)
        except SystemExit as ended:
            if ended.code:
                raise


def measure(runs: int, finished: bool, repeats: int) -> Iterator[dict[str, object]]:
    """A row for each state of a study of about so many `runs`."""
    seeds, count = seeds_for(runs)

    def row(state: str, cost: Cost) -> dict[str, object]:
        return {
            "runs": count,
            "state": state,
            "seconds": cost.seconds,
            "CPU seconds": cost.cpu_seconds,
            "peak memory (MB)": cost.megabytes,
        }

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "study.yaml").write_text(json.dumps(study_of(seeds)), encoding="utf-8")
        yield row("nothing done", dry_run(place, repeats=repeats, nothing=False))
        if finished:
            # In a process of its own, whose memory is not this one's.
            maker = multiprocessing.get_context("spawn").Process(target=finish, args=(place, seeds))
            maker.start()
            maker.join()
            if maker.exitcode:
                raise RuntimeError("the finished study could not be made up")
            kept = dry_run(place, *KEEP_ALL, repeats=repeats, nothing=True)
            yield row("finished, all checkpoints kept", kept)
            for path in place.rglob("checkpoint.safetensors"):
                path.unlink()
            dropped = dry_run(place, repeats=repeats, nothing=True)
            yield row("finished, checkpoints dropped", dropped)


def main() -> None:
    """Measure what the command line asks for, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 10_000], help="sizes")
    parser.add_argument(
        "--finished", type=int, nargs="*", default=[1000], help="sizes to measure finished as well"
    )
    parser.add_argument("--repeats", type=int, default=3, help="the least of so many is told")
    parser.add_argument("--output", type=Path, help="also write the table: .md or .csv")
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    for runs in sorted({*given.runs, *given.finished}):
        for row in measure(runs, runs in given.finished, given.repeats):
            print(row, file=sys.stderr, flush=True)
            rows.append(row)
    tell(rows, circumstances("snakemake"), given.output)


if __name__ == "__main__":
    main()
