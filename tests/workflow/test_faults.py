"""What may happen to a study, and what is left of it: full disks, damage, kills, two drivers.

Each fault is real: a file system that is full, a process that is killed. docs/reliability.md tells
the outcomes.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from clone import Clone
from tiny import PRETRAIN, TUNE, Folder, tiny_data

from plasticity.core.errors import PlaceError, UserError
from plasticity.core.logs import logged, told_once
from plasticity.data import storage
from plasticity.runs import Run

PLACE = "digits-clutter-n64-r6/resnet-d1w2/seed0"
STAGE = "full_adam-lr0.01-b16_e{epochs}_init"
LONG = f"{PLACE}/{STAGE.format(epochs=40)}"
TINY = ("--configfile", "studies/tiny.yaml")
PATIENCE = 600
"""Seconds after which what is waited for has failed; no machine is as slow as that."""
HALF = "half_adam-lr0.01-b16_e2_init"
CHECKPOINT = f"results/pretrain/{PLACE}/{HALF}/checkpoint.safetensors"
WARM = f"{PLACE}/{HALF}/full_adam-lr0.01-b16_e3_keep"


def metrics(run: str) -> str:
    return f"results/tune/{run}/metrics.parquet"


def bits(path: Path) -> dict[str, list[float]]:
    """What a run measured, without the time that it took."""
    table = pq.read_table(path)
    return {name: table[name].to_pylist() for name in table.column_names if name != "seconds"}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which the runs of these tests were trained undisturbed."""
    clone = Clone(tmp_path_factory.mktemp("calm"))
    status, printed = clone.snakemake(metrics(LONG), metrics(WARM))
    assert status == 0, printed
    return clone


@pytest.fixture
def clone(tmp_path: Path, calm: Clone) -> Clone:
    """A copy in which nothing was trained; data and splits are there."""
    clone = Clone(tmp_path, of=calm)
    for kind in ("tune", "pretrain", "logs"):
        shutil.rmtree(tmp_path / "results" / kind)
    return clone


HELD = """
            while "epoch 20/" in line and Path("hold").exists():
                __import__("time").sleep(0.1)
"""
"""Lines that make a training stand still after 19 epochs as long as there is a file `hold`."""


@pytest.fixture
def held(clone: Clone) -> Iterator[Clone]:
    """A copy in which `LONG` stands still until `release`, and at the latest until the end."""
    jobs = clone.path / "plasticity" / "core" / "logs.py"
    write = "\n            self.file.write("
    assert write in jobs.read_text()
    jobs.write_text(jobs.read_text().replace(write, HELD + write))
    (clone.path / "hold").touch()
    yield clone
    release(clone)


def release(clone: Clone) -> None:
    """Let a held training go on."""
    (clone.path / "hold").unlink(missing_ok=True)


def started(clone: Clone, *arguments: str) -> subprocess.Popen[str]:
    """Snakemake, running; it leads a process group, as a command in a shell does."""
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", *arguments, "--cores=2", *TINY],
        cwd=clone.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        # Where the tests run in the background of a script, Ctrl-C is ignored, and so it would be.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def until_logged(clone: Clone, words: str) -> None:
    """Wait until `LONG` has said something."""
    log = clone.path / f"results/logs/tune/{LONG}.log"
    end = time.monotonic() + PATIENCE
    while not (log.exists() and words in log.read_text()):
        assert time.monotonic() < end, f"nobody has said: {words}"
        time.sleep(0.1)


class TestDisks:
    """On a file system of its own, in a mount namespace: it needs root."""

    @pytest.fixture(autouse=True)
    def may_mount(self) -> None:
        tried = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
        if tried.returncode != 0:
            pytest.skip("may not mount file systems here")

    def in_namespace(self, clone: Clone, *commands: str) -> str:
        """What the shell prints for `commands`, in a namespace of their own."""
        finished = subprocess.run(
            [
                "unshare",
                "-m",
                "bash",
                "-c",
                "\n".join(["exec 2>&1", "mkdir -p results", *commands]),
            ],
            cwd=clone.path,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=PATIENCE,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        )
        return finished.stdout

    def snakemake(self, *arguments: str) -> str:
        words = [sys.executable, "-m", "snakemake", *arguments, "--cores=1", *TINY]
        return f"{shlex.join(words)}; echo status $?"

    def test_a_full_disk_loses_nothing(self, clone: Clone, calm: Clone):
        """With 4 KiB free, too little for metrics, and with 40 KiB, too little for a checkpoint."""
        (clone.path / "results").rename(clone.path / "made")
        command = self.snakemake(metrics(WARM))
        printed = self.in_namespace(
            clone,
            "mount -t tmpfs -o size=20m tmpfs results",
            "cp -a made/. results",
            # All but a little is taken.
            "dd if=/dev/zero of=results/ballast bs=1K 2>/dev/null",
            "truncate -s -4K results/ballast",
            command,
            "truncate -s -36K results/ballast; echo MORE",
            command,
            "rm results/ballast; echo ROOM",
            command,
            f"cp {metrics(WARM)} kept.parquet",
            "find results -name '*partial*' -o -name '.lock' -o -name 'resume*' | sed 's/^/LEFT /'",
        )
        full, more, room = re.split("MORE|ROOM", printed)
        for said, named in ((full, "metrics.parquet"), (more, "checkpoint.safetensors")):
            assert "status 1" in said
            assert "No space left on device" in said
            assert f"{named}: cannot be written" in said
            assert "Traceback" not in said
        assert "status 0" in room, room
        assert "LEFT" not in room
        assert bits(clone.path / "kept.parquet") == bits(calm.path / metrics(WARM))

    def test_read_only_results_stop_it_at_once(self, clone: Clone):
        printed = self.in_namespace(
            clone,
            "mount --bind results results",
            "mount -o remount,ro,bind results",
            self.snakemake(metrics(WARM)),
        )
        assert "status 1" in printed
        assert "results: not a folder that can be written" in printed
        assert "Traceback" not in printed
        assert "Execute" not in printed


class TestDamage:
    """Files that are not what they were."""

    def test_a_damaged_checkpoint_is_named_and_trained_anew(self, tmp_path: Path, calm: Clone):
        study = Clone(tmp_path, of=calm)
        shutil.rmtree(tmp_path / "results" / "tune")
        file = study.path / CHECKPOINT
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        status, printed = study.snakemake(metrics(WARM))
        assert status == 1
        assert f"error: {CHECKPOINT}: damaged, its checksum is wrong; delete it" in printed
        assert "delete it and run again: Snakemake trains it anew" in printed
        assert "Traceback" not in printed
        assert file.read_bytes() == data
        assert not (study.path / metrics(WARM)).exists()
        file.unlink()
        status, printed = study.snakemake(metrics(WARM))
        assert status == 0, printed
        assert bits(study.path / metrics(WARM)) == bits(calm.path / metrics(WARM))

    def test_data_that_changed_under_a_study_are_refused(self, tmp_path: Path):
        """The pretraining saw other images than the tuning would."""
        folder = Folder.prepare(tmp_path)
        parent = folder.train(Run.parse(PRETRAIN.format(epochs=2)))
        data = tiny_data()
        data.train_images[0] += 1
        storage.write(data, "digits-clutter", folder.train_file, folder.test_file)
        with pytest.raises(UserError, match=r"checkpoint\.safetensors: trained on other data"):
            folder.train(Run.parse(TUNE.format(pretrain=2, tune=2)), parent=parent.checkpoint)

    def test_damaged_data_are_refused(self, tmp_path: Path):
        folder = Folder.prepare(tmp_path)
        data = bytearray(folder.train_file.read_bytes())
        data[-5] ^= 1
        folder.train_file.write_bytes(data)
        with pytest.raises(UserError, match=r"train\.safetensors: damaged"):
            folder.train(Run.parse(PRETRAIN.format(epochs=2)))

    def test_a_node_whose_clock_is_behind(self, clone: Clone):
        """Results that seem older than what they were made from are not made again."""
        behind = "\nimport os\nfor _file in snakemake.output: os.utime(_file, (1e9, 1e9))\n"
        script = clone.path / "workflow" / "scripts" / "train.py"
        script.write_text(script.read_text() + behind)
        status, printed = clone.snakemake(metrics(WARM))
        assert status == 0, printed
        assert clone.planned(metrics(WARM)) == {}


class TestDrivers:
    """Snakemake itself: killed, interrupted, and started twice."""

    def test_killed_and_started_again(self, held: Clone, calm: Clone):
        """Its job, which nobody tells of its death, is waited for, and what it made is taken."""
        driver = started(held, metrics(LONG))
        until_logged(held, "epoch 19/")
        driver.kill()
        driver.wait()
        driver.stdout.close()
        status, printed = held.snakemake(metrics(LONG))
        assert status == 1
        assert "--unlock" in printed
        status, printed = held.snakemake("--unlock")
        assert status == 0, printed
        driver = started(held, metrics(LONG))
        until_logged(held, "waiting for it")
        release(held)
        printed, _ = driver.communicate(timeout=PATIENCE)
        assert driver.returncode == 0, printed
        log = (held.path / f"results/logs/tune/{LONG}.log").read_text()
        assert log.endswith("has finished this run: nothing is left to do\n")
        assert bits(held.path / metrics(LONG)) == bits(calm.path / metrics(LONG))
        assert [path.name for path in (held.path / metrics(LONG)).parent.iterdir()] == [
            "metrics.parquet"
        ]

    def test_interrupted_from_the_keyboard_and_started_again(self, held: Clone, calm: Clone):
        driver = started(held, metrics(LONG))
        until_logged(held, "epoch 19/")
        os.killpg(driver.pid, signal.SIGINT)
        release(held)
        printed, _ = driver.communicate(timeout=PATIENCE)
        assert driver.returncode != 0
        assert "ended by SIGINT after" in printed
        assert "Traceback" not in printed
        status, printed = held.snakemake(metrics(LONG))
        assert status == 0, printed
        log = (held.path / f"results/logs/tune/{LONG}.log").read_text()
        assert log.startswith("resuming after")
        assert bits(held.path / metrics(LONG)) == bits(calm.path / metrics(LONG))

    def test_no_shell_stands_between_snakemake_and_its_job(self, clone: Clone, tmp_path: Path):
        """A shell that waits for its command would end at a signal at once, and the job with it."""
        bin_ = tmp_path / "bin"
        bin_.mkdir()
        # Older versions of bash start the last command as a process, where newer ones become it.
        (bin_ / "bash").write_text('#!/bin/bash\nshift\neval "$1"\n')
        (bin_ / "bash").chmod(0o755)
        script = clone.path / "workflow" / "scripts" / "train.py"
        tell = 'print("PARENT", open(f"/proc/{os.getppid()}/cmdline").read())'
        script.write_text(f"{script.read_text()}\nimport os\n{tell}\n")
        status, printed = clone.snakemake(
            metrics(f"{PLACE}/{STAGE.format(epochs=1)}"),
            environment={"PATH": f"{bin_}:{os.environ['PATH']}"},
        )
        assert status == 0, printed
        (parent,) = re.findall("PARENT (.*)", printed)
        assert "forge.py" in parent  # which became Snakemake
        assert "bash" not in parent

    def test_a_second_one_in_the_same_folder_is_refused(self, held: Clone):
        """Where it needs what the first one makes, be it made already: here the split."""
        shutil.rmtree(held.path / "results" / "splits")
        driver = started(held, metrics(LONG))
        until_logged(held, "epoch 19/")
        status, printed = held.snakemake(metrics(WARM))
        assert status == 1
        assert "Directory cannot be locked" in printed
        assert "Traceback" not in printed
        release(held)
        printed, _ = driver.communicate(timeout=PATIENCE)
        assert driver.returncode == 0, printed


def test_a_log_that_cannot_be_written_is_named(
    tmp_path: Path,
    full_disk: Callable[[int], AbstractContextManager[None]],
    capsys: pytest.CaptureFixture[str],
):
    path = tmp_path / "run.log"
    with full_disk(0), pytest.raises(SystemExit) as ended, logged(path) as log:
        log("one line")
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(f"\nerror: {path}: cannot be written (")
    assert "make room" in said


def test_a_log_that_cannot_be_opened_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit), logged(tmp_path) as log:
        log("one line")
    assert capsys.readouterr().err.startswith(f"\nerror: {tmp_path}: cannot be written (")


class TestToldOnce:
    """Further attempts at what cannot work."""

    def attempt(self, note: Path, number: int, *, fails: bool) -> None:
        with told_once(note, number):
            if fails:
                raise UserError("the batch is too large")

    def test_the_second_attempt_does_not_try(self, tmp_path: Path):
        note = tmp_path / "run" / "refused.txt"
        with pytest.raises(UserError, match=r"^the batch is too large"):
            self.attempt(note, 1, fails=True)
        for number in (2, 3):
            with pytest.raises(UserError, match=r"^not tried again: the batch is too large"):
                self.attempt(note, number, fails=False)

    def test_the_first_attempt_of_another_invocation_does(self, tmp_path: Path):
        note = tmp_path / "refused.txt"
        with pytest.raises(UserError):
            self.attempt(note, 1, fails=True)
        self.attempt(note, 1, fails=False)
        assert not note.exists()

    def test_a_mistake_of_the_place_is_tried_again(self, tmp_path: Path):
        note = tmp_path / "refused.txt"
        with pytest.raises(PlaceError), told_once(note, 1):
            raise PlaceError("the disk is full")
        self.attempt(note, 2, fails=False)

    def test_an_attempt_that_a_cluster_ended_is_followed_by_another(self, tmp_path: Path):
        note = tmp_path / "refused.txt"
        with pytest.raises(SystemExit), told_once(note, 1):
            sys.exit(143)
        self.attempt(note, 2, fails=False)
