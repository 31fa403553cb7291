"""The workflow as a whole: exact job sets, refusals, and checkpoints that are dropped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from clone import TINY, Clone, counts

from plasticity.core import tables
from plasticity.data import splits

PLACE = "digits-clutter-n64-r6/resnet-d1w2/seed0"
PRETRAIN = "half_adam-lr0.01-b16_e2_init"
SPLITS = "results/splits/digits-clutter-n64-r6/seed0"
TIDY = TINY.replace("keep: all", "keep: results").replace("[0, 1]", "[0]")
CHECKPOINT = f"results/pretrain/{PLACE}/{PRETRAIN}/checkpoint.safetensors"


@pytest.fixture(scope="module")
def tidy(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which one figure of one seed was made and its checkpoints dropped."""
    clone = Clone(tmp_path_factory.mktemp("tidy"))
    (clone.path / "studies" / "tidy.yaml").write_text(TIDY)
    status, printed = clone.snakemake("fig01", study="tidy")
    assert status == 0, printed
    return clone


class TestPlans:
    """Dry runs of the paper's study: exactly the jobs that its grids ask for."""

    def jobs(self, clone: Clone, *targets: str) -> tuple[int, int]:
        planned = clone.planned(*targets, study=None)
        return planned["pretrain"], planned["tune"]

    def test_one_figure_two_figures(self, clone: Clone):
        # Figure 2: nine lengths, each a rung of the next or shorter than the first rung; a cold run
        # and nine warm ones. Figure 6, which is counted below: the six rungs up to 350; cold, warm,
        # 6 + 5 + 4 subsets. They share the rungs, the cold run and the warm one. Five seeds.
        assert self.jobs(clone, "fig02") == (5 * 9, 5 * 10)
        assert self.jobs(clone, "fig02", "fig06") == (5 * 9, 5 * 25)

    def test_a_run_that_no_figure_names(self, clone: Clone):
        run = "svhn/resnet-d1w16/seed7/half_sgd-lr0.3_e3_init/full_sgd-lr0.3_e4_reset2+3"
        assert clone.planned(f"results/tune/{run}/metrics.parquet", study=None) == {
            "dataset": 1,
            "split": 2,
            "pretrain": 1,
            "tune": 1,
        }


class TestScale:
    """What a dry run does once, however many jobs there are."""

    COUNT = """
import sys
from unittest.mock import patch
from snakemake import cli, script
with patch.object(script, "get_source", wraps=script.get_source) as sources:
    try:
        cli.main(sys.argv[1:])
    finally:
        print("looked at", sources.call_count)
"""

    def test_scripts_are_looked_at_once(self, clone: Clone):
        done = subprocess.run(
            [sys.executable, "-c", self.COUNT, "-n", "fig06", "--cores", "1"],
            cwd=clone.path,
            capture_output=True,
            encoding="utf-8",
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        planned = counts(done.stdout)
        assert (planned["pretrain"], planned["tune"], planned["split"]) == (5 * 6, 5 * 17, 5 * 2)
        sources = int(done.stdout.split("looked at")[1])
        assert 0 < sources <= 6  # rules with a script


class TestRefusals:
    """Mistakes end with one message, before anything is run or written."""

    def refused(self, clone: Clone, *arguments: str, study: str | None = "tiny") -> str:
        status, printed = clone.snakemake(*arguments, study=study)
        assert status != 0
        assert "Traceback" not in printed
        assert not (clone.path / "results").exists()
        return printed

    def test_no_gpu(self, clone: Clone):
        printed = self.refused(clone, "fig01", "--resources", "gpu=2", study=None)
        assert "this study trains on a GPU (device: cuda) and none is visible here" in printed
        assert "make demo" in printed
        assert "device=cpu" in printed

    def test_a_run_in_another_spelling(self, clone: Clone):
        path = f"results/tune/{PLACE}/full_adam-lr1e-3-b128_e3_init/metrics.parquet"
        assert "is spelt 'adam-lr0.001'" in self.refused(clone, path)

    def test_a_folder_with_braces(self, clone: Clone, tmp_path: Path):
        moved = Clone(tmp_path / "a{b}", of=clone)
        assert "a{b}: Snakemake cannot run a workflow in a folder" in self.refused(moved, "fig01")

    def test_a_misspelt_key(self, clone: Clone):
        printed = self.refused(clone, "--config", "sedes=[1]")
        assert "unknown key 'sedes'" in printed
        assert "did you mean 'seeds'?" in printed

    def test_an_unknown_figure(self, clone: Clone):
        assert "unknown figure 'fig99'; expected one of fig" in self.refused(clone, "fig99")

    def test_a_picture_of_an_unknown_figure(self, clone: Clone):
        printed = self.refused(clone, "results/figures/tiny/fig99.svg")
        assert "unknown figure 'fig99'" in printed

    def test_a_run_without_its_file(self, clone: Clone):
        printed = self.refused(clone, f"results/tune/{PLACE}/full_adam-lr0.001_e3_init")
        assert "expected a run's folder and in it metrics.parquet" in printed

    def test_a_rate_that_yaml_reads_as_text(self, clone: Clone):
        printed = self.refused(clone, "--config", "optimisers={adam: {lr: '1e-3'}}")
        assert "optimisers.adam.lr: expected a number above 0, got the text '1e-3'" in printed


def test_a_folder_with_a_colon(clone: Clone, tmp_path: Path):
    moved = Clone(tmp_path / "a:b", of=clone)
    split = "results/splits/digits-clutter-n64-r6/seed0/half.parquet"
    status, printed = moved.snakemake(split)
    assert status == 0, printed
    assert "No module" not in printed
    assert (moved.path / split).exists()


class TestLimitOfGpus:
    """Whether Snakemake would start more training jobs than the GPUs have room for."""

    @pytest.fixture
    def started(self, clone: Clone, tmp_path: Path) -> Iterator[Callable[..., str]]:
        """What Snakemake prints, with one GPU and two cores, until it would run the first job."""
        driver = tmp_path / "nvidia-smi"
        driver.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-11111111-2222)'\n")
        driver.chmod(0o755)
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "CUDA_VISIBLE_DEVICES": "0",
        }
        rules = "workflow/rules/common.smk"
        source = (clone.path / rules).read_text(encoding="utf-8")
        last = "    session.prepare_executor()\n"
        assert source.count(last) == 1
        stopped = source.replace(last, f"{last}    sys.exit('far enough')\n")

        def run(
            *arguments: str, target: str = "fig01", device: str = "cuda", slots: int = 1
        ) -> str:
            config = ["--config", f"device={device}", f"slots_per_gpu={slots}"]
            _, printed = clone.snakemake(target, *arguments, *config, environment=environment)
            assert ("far enough" in printed) != ("-n" in arguments), printed
            assert not (clone.path / "results").exists()
            return printed

        with clone.edited(rules, data=stopped.encode()):
            yield run

    @pytest.mark.parametrize("limit", [[], ["gpu=2"], ["gpu=0"]])
    def test_more_jobs_than_room(self, started: Callable[..., str], limit: list[str]):
        printed = started(*(["--resources", *limit] if limit else []))
        (warning,) = [line for line in printed.splitlines() if "training jobs may start" in line]
        assert warning == (
            "2 training jobs may start at once, and there is room for 1 (visible GPUs: 1, "
            "slots_per_gpu: 1); the others will hold their cores and wait. Stop this and run it "
            "again with --resources gpu=1"
        )

    @pytest.mark.parametrize(
        ("arguments", "config"),
        [
            (["--resources", "gpu=1"], {}),
            (["--resources", "gpu=2"], {"slots": 2}),
            # Two jobs at once are as many as there are cores.
            (["--resources", "gpu=8"], {"slots": 2}),
            (["--set-threads", "tune=2", "pretrain=2"], {}),
            ([], {"target": f"{SPLITS}/half.parquet"}),
            ([], {"device": "cpu"}),
            (["-n"], {}),
            (["--executor", "slurm", "--jobs", "9"], {}),
        ],
    )
    def test_enough_room(
        self, started: Callable[..., str], arguments: list[str], config: dict[str, object]
    ):
        assert "training jobs may start" not in started(*arguments, **config)


class TestDroppedCheckpoints:
    """`keep: results`: weights that nothing is left to read are gone, and come back when needed."""

    def test_no_weights_are_kept_and_nothing_is_lost(self, tidy: Clone):
        results = tidy.path / "results"
        assert not list(results.rglob("checkpoint.safetensors"))
        assert len(list(results.rglob("metrics.parquet"))) == 1 + 2
        status, printed = tidy.snakemake("fig01", study="tidy")
        assert status == 0
        assert "Nothing to be done" in printed

    def test_another_figure_makes_them_again_and_trains_no_finished_run(self, tidy: Clone):
        # Two new starts from the dropped checkpoint; the cold and warm runs stay as they are.
        planned = tidy.planned("fig01", "fig11", study="tidy")
        assert (planned["pretrain"], planned["tune"]) == (1, 2)

    def test_one_run_trains_what_it_needs(self, tidy: Clone):
        run = f"results/tune/{PLACE}/{PRETRAIN}/full_adam-lr0.01-b16_e3_reset3/metrics.parquet"
        finished = sorted((tidy.path / "results/tune").rglob("metrics.parquet"))
        before = [file.stat().st_mtime_ns for file in finished]
        status, printed = tidy.snakemake(run, "fig01", study="tidy")
        assert status == 0, printed
        assert (tidy.path / run).exists()
        assert [file.stat().st_mtime_ns for file in finished] == before
        assert not list((tidy.path / "results").rglob("checkpoint.safetensors"))

    def test_changed_code_brings_them_back(self, tidy: Clone):
        with tidy.edited("plasticity/training/loop.py", add="\nCHANGED = True\n"):
            planned = tidy.planned("fig01", study="tidy")
        assert (planned["pretrain"], planned["tune"]) == (1, 2)

    def test_newer_data_with_dropped_checkpoints_are_explained(self, tidy: Clone):
        split = tidy.path / f"{SPLITS}/full.parquet"
        before, times = split.read_bytes(), split.stat()
        about = tables.read_about(split, splits.WHAT, splits.ADVICE)
        tables.write(split, pq.read_table(split), splits.SCHEMA, {**about, "drawn": "anew"})
        status, printed = tidy.snakemake("fig01", study="tidy")
        assert status != 0
        assert "finished runs, such as results/tune/" in printed
        assert "add --config retrain=true" in printed
        planned = tidy.planned("fig01", "--config", "retrain=true", study="tidy")
        assert planned["pretrain"] == 1
        split.write_bytes(before)
        os.utime(split, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert tidy.planned("fig01", study="tidy") == {}

    def test_a_checkpoint_left_behind_trains_no_finished_run(self, tidy: Clone):
        """As an interruption leaves it: made again, and not dropped yet."""
        status, printed = tidy.snakemake(CHECKPOINT, study="tidy")
        assert status == 0, printed
        assert (tidy.path / CHECKPOINT).exists()
        assert "tune" not in tidy.planned("fig01", study="tidy")

    def test_rungs_alone_are_kept(self, tidy: Clone, tmp_path: Path):
        clone = Clone(tmp_path, of=tidy)
        shutil.rmtree(tmp_path / "results" / "pretrain")
        run = f"{PLACE}/half_adam-lr0.01-b16_e12_init/full_adam-lr0.01-b16_e1_keep"
        status, printed = clone.snakemake(
            f"results/tune/{run}/metrics.parquet", "--config", "keep=rungs"
        )
        assert status == 0, printed
        kept = [file.parent.name for file in clone.path.rglob("checkpoint.safetensors")]
        assert kept == ["half_adam-lr0.01-b16_e10_init"]
