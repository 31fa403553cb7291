"""Which GPU is mine: no two jobs on one machine take the same slot, each a process of its own."""

import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from plasticity.core import gpus

ROOT = Path(__file__).parents[2]

JOB = """
import os, sys
from plasticity.core import gpus
gpus.NAMESPACE, slots = sys.argv[1], int(sys.argv[2])
gpus.POLL, gpus.REMIND = 0.05, 0.2
def log(line):
    print("log:", line, flush=True)
name = gpus.claim_gpu(log, slots)
assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
print("mine:", name, os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


def environment(gpus):
    """That of a job which sees `gpus`, without the driver of this machine."""
    return {**os.environ, "CUDA_VISIBLE_DEVICES": gpus, "PYTHONPATH": str(ROOT), "PATH": ""}


PATIENCE = 600
"""Seconds after which what is waited for has failed; no machine is as slow as that."""


class Job:
    """A process that claims a slot of a GPU and holds it until it is told to end."""

    def __init__(self, namespace, gpus, slots, code):
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, namespace, str(slots)],
            cwd=ROOT,
            env=environment(gpus),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def line(self):
        return self.process.stdout.readline().strip()

    def slot(self):
        """The GPU that the job took, and the number of the slot."""
        log = self.line()
        while not (taken := re.match(r"log: device: GPU (\S+), slot (\d+) of \d+ ", log)):
            assert log.startswith("log:"), self.process.stderr.read()
            log = self.line()
        assert self.line() == f"mine: {taken[1]} {taken[1]}"
        return taken[1], int(taken[2])

    def gpu(self):
        return self.slot()[0]

    def end(self, how=None):
        if how:
            self.process.send_signal(how)
        self.process.communicate(timeout=PATIENCE)


@pytest.fixture
def namespace():
    """Names that no other test and nobody's jobs on this machine take."""
    return f"plasticity-test-{uuid.uuid4()}"


@pytest.fixture
def start(namespace):
    """Starts jobs that see one another's slots."""
    jobs = []

    def started(gpus, slots=1, code=JOB):
        jobs.append(Job(namespace, gpus, slots, code))
        return jobs[-1]

    yield started
    for job in jobs:
        if job.process.poll() is None:
            job.process.kill()
        job.process.communicate()


def test_a_slot_is_taken_for_as_long_as_it_is_held(namespace, monkeypatch):
    monkeypatch.setattr(gpus, "NAMESPACE", namespace)
    slot = gpus.Slot("0", 1)
    assert not slot.is_taken()
    held = slot.take()
    assert slot.is_taken()
    assert slot.take() is None
    assert not gpus.Slot("0", 2).is_taken()
    held.close()
    assert not slot.is_taken()


def test_two_jobs_take_two_gpus_and_a_third_one_waits_for_the_first_to_be_free(start, namespace):
    first = start("GPU-abc,GPU-def")
    assert first.gpu() == "GPU-abc"
    second = start("GPU-abc,GPU-def")
    assert second.gpu() == "GPU-def"
    third = start("GPU-abc,GPU-def")
    assert third.line() == (
        "log: waiting for a GPU: other jobs on this machine hold all slots (1 each) of "
        f"GPU-abc, GPU-def; `ss -xap | grep {namespace}` lists them"
    )
    assert third.line().startswith("log: still waiting for a GPU after ")
    # Killed at once, without a chance to let go of anything.
    first.end(signal.SIGKILL)
    assert third.gpu() == "GPU-abc"


def test_a_job_that_ends_frees_its_gpu(start):
    first = start("0")
    assert first.gpu() == "0"
    first.end()
    assert start("0").gpu() == "0"


def test_jobs_that_start_at_once_take_different_gpus(start):
    jobs = [start("0,1,2", slots=3) for _ in range(3)]
    assert {job.slot() for job in jobs} == {("0", 1), ("1", 1), ("2", 1)}


def test_jobs_spread_over_the_gpus_before_they_share_one(start):
    jobs = [start("0,1", slots=2) for _ in range(4)]
    taken = {job.slot(): job for job in jobs}
    assert set(taken) == {("0", 1), ("1", 1), ("0", 2), ("1", 2)}
    assert "waiting" in start("0,1", slots=2).line()


def test_the_gpu_with_the_fewest_jobs_comes_first(start):
    """Even if another one has a lower slot free."""
    jobs = {job.slot(): job for job in [start("0,1", slots=3) for _ in range(6)]}
    for left in (("1", 2), ("1", 3), ("0", 1)):
        jobs[left].end(signal.SIGKILL)
    # Now GPU 0 has two jobs, in slots 2 and 3, and GPU 1 one, in slot 1.
    assert start("0,1", slots=3).slot() == ("1", 2)


def test_jobs_that_allow_other_numbers_share_no_more_than_the_largest_does(start):
    assert start("0", slots=2).slot() == ("0", 1)
    alone = start("0", slots=1)
    assert "waiting" in alone.line()
    assert start("0", slots=2).slot() == ("0", 2)
    assert "waiting" in start("0", slots=2).line()


def test_a_job_takes_none_but_those_it_can_see(start):
    assert start("0,1").gpu() == "0"
    assert start("1,2").gpu() == "1"
    assert start("0,1,2").gpu() == "2"


def test_a_part_of_a_gpu_is_taken_by_its_whole_name(start):
    assert start("MIG-GPU-1/2/3,MIG-GPU-1/2/4").gpu() == "MIG-GPU-1/2/3"
    assert start("MIG-GPU-1/2/3,MIG-GPU-1/2/4").gpu() == "MIG-GPU-1/2/4"


def test_the_log_says_which_slot_was_taken(start):
    assert start("0,1", slots=3).line() == "log: device: GPU 0, slot 1 of 3 (visible: 0, 1)"


def test_a_job_that_asks_twice_keeps_its_slot(start):
    """Two stages trained in one process: the second must not wait for the first's own slot."""
    job = start("0", code=JOB.replace("name = ", "gpus.claim_gpu(log, slots)\nname = "))
    assert job.slot() == ("0", 1)


# Takes a slot, leaves a file of its name for as long as it holds it, and holds it until all may go
# on, and then for a while. A file that is there already is of a job that shares the slot, or that
# was killed.
CROWD = """
import os, random, sys, time
from pathlib import Path
from plasticity.core import gpus
gpus.NAMESPACE, folder = sys.argv[1], Path(sys.argv[2])
gpus.POLL = 0.05
look = gpus.Slot.is_taken
def slowly(slot):
    found = look(slot)
    time.sleep(0.002)  # in which others may take what was free
    return found
gpus.Slot.is_taken = slowly
lines = []
gpus.claim_gpu(lines.append, 3)
mine = folder / "held" / lines[-1].split("(")[0].strip()
me = str(os.getpid())
(folder / "served" / me).touch()
try:
    with open(mine, "x") as file:
        file.write(me)
except FileExistsError:
    if not (folder / "doomed" / mine.read_text()).exists():
        (folder / "shared" / me).write_text(f"{mine.name}, which {mine.read_text()} holds")
    mine.write_text(me)
while not (folder / "go").exists():
    time.sleep(0.05)
time.sleep(random.uniform(0.1, 0.6))
if not mine.exists() or mine.read_text() != me:
    (folder / "shared" / me).write_text(f"{mine.name} was taken by another")
mine.unlink(missing_ok=True)
"""


def content(file):
    """The text of a file, or nothing if it has just gone."""
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def test_a_crowd_of_jobs_some_of_which_are_killed(namespace, tmp_path, monkeypatch):
    """Fifty on 4 GPUs of 3 slots: no slot is ever shared, none is lost, everybody has a turn."""
    held, served, shared, doomed = (
        tmp_path / name for name in ("held", "served", "shared", "doomed")
    )
    for folder in (held, served, shared, doomed):
        folder.mkdir()
    chance = random.Random(0)
    jobs = [
        subprocess.Popen(
            [sys.executable, "-S", "-c", CROWD, namespace, str(tmp_path)],
            env=environment("0,1,2,3"),
        )
        for _ in range(50)
    ]
    end, killed = time.monotonic() + PATIENCE, 0

    def holders():
        assert time.monotonic() < end, "some job has never had its turn"
        time.sleep(0.05)
        pids = {content(file) for file in held.iterdir()}
        return [job for job in jobs if str(job.pid) in pids and job.poll() is None]

    def kill(job):
        (doomed / str(job.pid)).touch()
        job.kill()
        return job.wait() == -signal.SIGKILL

    try:
        # While all stand still: whoever is killed is followed by another.
        for _ in range(6):
            while len(found := holders()) < 12:
                pass
            killed += kill(chance.choice(found))
        assert killed == 6
        # While they come and go: as many more as are met.
        (tmp_path / "go").touch()
        while any(job.poll() is None for job in jobs):
            if (found := holders()) and killed < 12:
                killed += kill(chance.choice(found))
    finally:
        for job in jobs:
            job.kill()
            job.wait()
    assert [file.read_text() for file in shared.iterdir()] == []
    assert len(list(served.iterdir())) == 50
    statuses = [job.returncode for job in jobs]
    assert statuses.count(0) == 50 - killed
    assert statuses.count(-signal.SIGKILL) == killed
    # All slots are free again, those of the killed ones too.
    monkeypatch.setattr(gpus, "NAMESPACE", namespace)
    assert not any(gpus.Slot(gpu, number).is_taken() for gpu in "0123" for number in (1, 2, 3))
