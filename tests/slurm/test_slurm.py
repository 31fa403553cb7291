"""The study on a real SLURM: jobs through the profile, time limits, cancellation and preemption."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cluster as slurm
import pyarrow.parquet as pq
import pytest
from clone import Clone

pytestmark = pytest.mark.skipif(slurm.lacking() is not None, reason=f"SLURM: {slurm.lacking()}")

PROFILE = ("--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue")
"""The profile; `squeue`, as this cluster keeps no accounts."""

IMPATIENT = """
import snakemake_executor_plugin_slurm as plugin
from snakemake.cli import main
# It waits ten seconds longer after each look at the queue that found no job ended.
plugin.Executor.next_seconds_between_status_checks = property(lambda _: 1, lambda *_: None)
main()
"""
"""Snakemake, looking at the queue every second."""

DEMO = "digits-clutter/resnet-d1w8/seed0"
FIGURE = """
study: demo1
seeds: [0, 1]
targets: [fig01]
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm.Cluster]:
    with slurm.running(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("clone"))
    (clone.path / "studies" / "two-seeds.yaml").write_text(FIGURE)
    # The demo trains on the CPU: what asks for a GPU here is the job, not its training.
    profile = clone.path / "profiles" / "slurm" / "profile.yaml"
    asks = "    mem_mb: min(8000 * attempt, 16000)\n"
    profile.write_text(profile.read_text().replace(asks, asks + "    gpu: 1\n"))
    return clone


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("undisturbed"))


class Driver:
    """Snakemake, submitting to a cluster."""

    def __init__(self, clone: Clone, cluster: slurm.Cluster, *arguments: str) -> None:
        self.log = clone.path / "driver.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", IMPATIENT, *arguments, *PROFILE],
                cwd=clone.path,
                env=cluster.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def printed(self) -> str:
        return self.log.read_text()

    def succeeds(self, seconds: float = 500.0) -> str:
        """Wait for the end; what was printed."""
        status = self.process.wait(timeout=seconds)
        assert status == 0, self.printed
        return self.printed


def bits(path: Path) -> dict[str, list[float]]:
    """What a run measured, without the time that it took."""
    table = pq.read_table(path)
    return {name: table[name].to_pylist() for name in table.column_names if name != "seconds"}


def test_a_figure_is_made_by_jobs_that_share_out_the_gpus(clone: Clone, cluster: slurm.Cluster):
    driver = Driver(
        clone,
        cluster,
        "fig01",
        "--configfile",
        "studies/demo.yaml",
        "studies/two-seeds.yaml",
    )
    printed = driver.succeeds()
    assert (clone.path / "results/figures/demo1/fig01.png").exists()
    # Two seeds: one pretraining each, one run from scratch and one warm. The rest is run here.
    fields = "--Format=State,tres-per-job,MinMemory,TimeLimit"
    asked = cluster.run("squeue", "--noheader", "--states=all", fields).splitlines()
    assert [line.split() for line in asked] == [["COMPLETED", "gres:gpu:1", "8000M", "2:00:00"]] * 6
    assert "rule split" in printed
    table = pq.read_table(clone.path / "results/summary/demo1/figures/fig01/runs.parquet")
    assert table.num_rows == 4


class TestEndedByTheCluster:
    """Two runs, one in too short a time limit and one cancelled; then both are preempted."""

    LIMITED = f"{DEMO}/full_adam-lr0.002-b64_e60_init"
    CANCELLED = f"{DEMO}/full_adam-lr0.002-b64_e30_init"

    @staticmethod
    def metrics(run: str) -> str:
        return f"results/tune/{run}/metrics.parquet"

    @staticmethod
    def log(clone: Clone, run: str) -> str:
        path = clone.path / f"results/logs/tune/{run}.log"
        return path.read_text() if path.exists() else ""

    def test_they_end_in_the_same_bits(
        self, clone: Clone, undisturbed: Clone, cluster: slurm.Cluster
    ):
        both = [self.metrics(run) for run in (self.LIMITED, self.CANCELLED)]
        status, printed = undisturbed.snakemake(*both, study="demo")
        assert status == 0, printed
        profile = clone.path / "profiles" / "slurm" / "profile.yaml"
        text = profile.read_text()
        for usual, here in {
            "runtime: min(120 * attempt, 480)": "runtime: 1",  # minutes, the shortest limit there is
            # The cluster looks every half minute, and signals early rather than late.
            "--signal=TERM@120": "--signal=TERM@10",
            "retries: 5": "retries: 20",
        }.items():
            assert usual in text
            text = text.replace(usual, here)
        profile.write_text(text)
        driver = Driver(clone, cluster, *both, "--configfile", "studies/demo.yaml")

        until(lambda: "epoch  3/30" in self.log(clone, self.CANCELLED), driver)
        (job,) = jobs_of(cluster, "_e30_")
        cluster.run("scancel", job)
        until(lambda: self.log(clone, self.CANCELLED).count("ended by SIGTERM") == 1, driver)
        until(lambda: "resuming" in self.log(clone, self.CANCELLED), driver)
        cluster.run(
            "sbatch", "--partition=urgent", "--gpus=2", "--wrap=sleep 1", "--output=/dev/null"
        )
        until(lambda: self.log(clone, self.CANCELLED).count("ended by SIGTERM") == 2, driver)

        driver.succeeds()
        for run in (self.LIMITED, self.CANCELLED):
            log = self.log(clone, run)
            print(log)
            assert log.count("ended by SIGTERM") >= 2
            assert log.count("resuming") >= 2
            metrics = self.metrics(run)
            assert bits(clone.path / metrics) == bits(undisturbed.path / metrics)
            assert [path.name for path in (clone.path / metrics).parent.iterdir()] == [
                "metrics.parquet"
            ]


def jobs_of(cluster: slurm.Cluster, word: str) -> list[str]:
    """The running jobs whose comment, which names the run, holds `word`."""
    lines = cluster.run("squeue", "--noheader", "--states=R", "--format=%i %k").splitlines()
    return [line.split()[0] for line in lines if word in line]


def until(happened: Callable[[], bool], driver: Driver, seconds: float = 240.0) -> None:
    """Wait for something that `driver` brings about."""
    end = time.monotonic() + seconds
    while not happened():
        assert driver.process.poll() is None, driver.printed
        assert time.monotonic() < end, driver.printed
        time.sleep(0.2)
