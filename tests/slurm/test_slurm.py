"""The study on a real SLURM: jobs through the profile, time limits, cancellation and preemption."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cluster as slurm
import pyarrow.parquet as pq
import pytest
from clone import Clone
from extension_files import start, written

pytestmark = pytest.mark.skipif(slurm.lacking() is not None, reason=f"SLURM: {slurm.lacking()}")

PROFILE = (
    *("--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue"),
    # Snakemake ends only when the time is over in which submissions are counted.
    *("--max-jobs-per-timespan", "100/5s", "--slurm-init-seconds-before-status-checks", "1"),
)
"""The profile; `squeue`, as this cluster keeps no accounts."""

IMPATIENT = """
import snakemake_executor_plugin_slurm as plugin
from snakemake.cli import main
# It waits ten seconds longer after each look at the queue that found no job ended.
plugin.Executor.next_seconds_between_status_checks = property(lambda _: 1, lambda *_: None)
main()
"""
"""Snakemake, looking at the queue every second."""

PATIENCE = 1200.0
"""Seconds after which what is waited for has failed; no machine is as slow as that."""

DEMO = "digits-clutter/resnet-d1w8/seed0"
TINY_RATE = f"sgd-lr0.{'0' * 60}1-m0.{'0' * 60}1-b64"
LONG = f"{DEMO}/half_{TINY_RATE}_e1_init/full_{TINY_RATE}_e1_keep"
"""A run whose wildcards together are longer than a name of a file may be."""

FIGURE = """
dataset: digits-clutter
lengths: {pretrain: 10, tune: 12, stage: 10, total: 8}
study: demo1
seeds: [0]
targets: [fig01]
"""

OWN = """
extensions: {ours: lab/ours.py}
remedies: {shrunk: shrink0.5}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm.Cluster]:
    with slurm.running(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("clone"))
    (clone.path / "studies" / "one-seed.yaml").write_text(FIGURE)
    # The demo trains on the CPU: what asks for a GPU here is the job, not its training. This node
    # has little memory for two jobs at a time.
    memory = "mem_mb: min(8000 * attempt, 16000)"
    edit_profile(clone, {memory: "mem_mb: 1000 * attempt\n    gpu: 1"})
    return clone


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

    def endings(self, run: str) -> int:
        """How many attempts at `run` ended as they were asked to, by the logs that are shown."""
        shown = rf"{re.escape(run)}\.log:\n=+\n[^=]*ended by SIGTERM after"
        return len(re.findall(shown, self.printed))

    def until(self, happened: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait for something that happens while this runs."""
        end = time.monotonic() + seconds
        while not happened():
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < end, self.printed
            time.sleep(0.2)

    def succeeds(self, seconds: float = PATIENCE) -> str:
        """Wait for the end; what was printed."""
        status = self.process.wait(timeout=seconds)
        assert status == 0, self.printed
        return self.printed


def bits(path: Path) -> dict[str, list[float]]:
    """What a run measured, without the time that it took."""
    table = pq.read_table(path)
    return {name: table[name].to_pylist() for name in table.column_names if name != "seconds"}


def test_a_figure_is_made_by_jobs_that_share_out_the_gpus(clone: Clone, cluster: slurm.Cluster):
    written(
        clone.path, {"lab/ours.py": start(), "lab/helpers.py": "FACTOR = 1.0\n", "own.yaml": OWN}
    )
    driver = Driver(
        clone,
        cluster,
        "fig01",
        f"results/tune/{LONG}/metrics.parquet",
        "--configfile",
        "studies/demo.yaml",
        "studies/one-seed.yaml",
        "own.yaml",
    )
    printed = driver.succeeds()
    assert (clone.path / "results/figures/demo1/fig01.png").exists()
    # One pretraining, one run from scratch, one warm, and one by a start of an extension; and the
    # long chain. The rest is run here.
    fields = "--Format=State,tres-per-job,MinMemory,TimeLimit"
    asked = cluster.run("squeue", "--noheader", "--states=all", fields).splitlines()
    assert [line.split() for line in asked] == [["COMPLETED", "gres:gpu:1", "1000M", "2:00:00"]] * 6
    assert "rule split" in printed
    table = pq.read_table(clone.path / "results/summary/demo1/figures/fig01/runs.parquet")
    assert table.num_rows == 3


def test_a_cluster_without_accounts_is_told_at_the_start(clone: Clone, cluster: slurm.Cluster):
    words = ("snakemake", "fig01", "--workflow-profile", "profiles/slurm", "--forceall")
    done = subprocess.run(
        [sys.executable, "-m", *words, "--configfile", "studies/demo.yaml"],
        cwd=clone.path,
        env=cluster.environment,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "sacct, which is to tell when jobs have ended, does not answer (Slurm" in done.stderr
    assert "add `slurm-status-command: squeue` to the profile" in done.stderr


def test_a_model_of_gpu_that_the_plugin_does_not_take(cluster: slurm.Cluster, tmp_path: Path):
    """As docs/clusters.md says."""
    clone = Clone(tmp_path)
    edit_profile(
        clone,
        {
            "mem_mb: min(8000 * attempt, 16000)": "mem_mb: 1000\n    gpu: 0",
            "--signal=TERM@120": f"--signal=TERM@120 --gpus-per-node={slurm.MODEL}:1",
        },
    )
    run = f"{SMALL}/full_adam-lr0.002-b64_e1_init"
    Driver(clone, cluster, metrics(run), "--configfile", "studies/demo.yaml").succeeds()
    fields = "--Format=tres-per-node:60"
    asked = cluster.run("squeue", "--noheader", "--states=all", fields).split()
    assert f"gres:gpu:{slurm.MODEL}:1" in asked


SMALL = DEMO.replace("w8", "w2")
LIMITED = f"{SMALL}/full_adam-lr0.002-b64_e44_init"
CANCELLED = f"{SMALL}/full_adam-lr0.002-b64_e40_init"

SLOW = "            __import__('time').sleep(6 * __import__('os').path.exists('slow'))\n"
"""A line that makes an epoch last, on any machine, as long as there is a file of that name."""


def test_runs_that_a_cluster_ends_again_and_again_end_in_the_same_bits(
    clone: Clone, cluster: slurm.Cluster, tmp_path: Path
):
    """Two runs, one in too short a time limit and one cancelled; then both are preempted."""
    both = (LIMITED, CANCELLED)
    undisturbed = Clone(tmp_path, of=clone)
    status, printed = undisturbed.snakemake(*map(metrics, both), study="demo")
    assert status == 0, printed
    jobs = clone.path / "plasticity" / "core" / "logs.py"
    write = "            self.file.write("
    assert write in jobs.read_text()
    jobs.write_text(jobs.read_text().replace(write, SLOW + write))
    (clone.path / "slow").touch()
    # A minute, the shortest limit there is, ends a first attempt. The cluster looks at limits every
    # half minute, and signals early rather than late.
    edit_profile(
        clone, {"runtime: min(120 * attempt, 480)": "runtime: attempt", "TERM@120": "TERM@10"}
    )
    driver = Driver(clone, cluster, *map(metrics, both), "--configfile", "studies/demo.yaml")

    driver.until(lambda: "epoch  2/40" in log(clone, CANCELLED))
    (job,) = jobs_of(cluster, "_e40_")
    cluster.run("scancel", job)
    driver.until(lambda: all(driver.endings(run) >= 1 for run in both))
    driver.until(lambda: all("resuming" in log(clone, run) for run in both))
    before = {run: driver.endings(run) for run in both}
    cluster.run("sbatch", "--partition=urgent", "--gpus=2", "--wrap=sleep 1", "--output=/dev/null")
    driver.until(lambda: all(driver.endings(run) > before[run] for run in both))
    (clone.path / "slow").unlink()

    driver.succeeds()
    for run in both:
        assert log(clone, run).startswith("resuming after")
        ours, theirs = (place.path / metrics(run) for place in (clone, undisturbed))
        assert bits(ours) == bits(theirs)
        assert [path.name for path in ours.parent.iterdir()] == ["metrics.parquet"]


def test_a_mistake_is_told_once(clone: Clone, cluster: slurm.Cluster):
    """No GPU time goes into attempts that must fail as the first one did."""
    run = f"{DEMO}/half_adam-lr0.002-b1000_e1_init"
    edit_profile(clone, {"retries: 10": "retries: 1"})
    driver = Driver(clone, cluster, metrics(run), "--configfile", "studies/demo.yaml")
    assert driver.process.wait(timeout=PATIENCE) == 1
    told = re.findall("error: (.*has 600 examples.*)", driver.printed)
    assert set(told) == {told[0], f"not tried again: {told[0]}"}
    assert driver.printed.count("Trying to restart") == 1


def metrics(run: str) -> str:
    """Where a tuned run's metrics are."""
    return f"results/tune/{run}/metrics.parquet"


def log(clone: Clone, run: str) -> str:
    """What the present attempt at a run has logged."""
    path = clone.path / f"results/logs/tune/{run}.log"
    return path.read_text() if path.exists() else ""


def edit_profile(clone: Clone, changes: dict[str, str]) -> None:
    """Replace words of the profile."""
    profile = clone.path / "profiles" / "slurm" / "profile.yaml"
    text = profile.read_text()
    for usual, here in changes.items():
        assert usual in text
        text = text.replace(usual, here)
    profile.write_text(text)


def jobs_of(cluster: slurm.Cluster, word: str) -> list[str]:
    """The running jobs whose comment, which names the run, holds `word`."""
    lines = cluster.run("squeue", "--noheader", "--states=R", "--format=%i %k").splitlines()
    return [line.split()[0] for line in lines if word in line]
