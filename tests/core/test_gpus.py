"""Which GPU is mine: what is visible, and that no two jobs on one machine take the same slot."""

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
from plasticity.core.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Puts an nvidia-smi of the test's own in the place of any other."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def install(lines, status=0):
        program = folder / "nvidia-smi"
        listed = "".join(f"echo '{line}'\n" for line in lines)
        program.write_text(f'#!/bin/sh\n[ "$1" = -L ] || exit 9\n{listed}exit {status}\n')
        program.chmod(0o755)

    return install


@pytest.mark.parametrize(
    ("inherited", "names"),
    [
        ("0,1", ["0", "1"]),
        ("1", ["1"]),
        (" 3 , 2 ", ["3", "2"]),
        ("GPU-abc,GPU-def", ["GPU-abc", "GPU-def"]),
        ("MIG-1/2/3", ["MIG-1/2/3"]),
        ("0,0,1,0", ["0", "1"]),
        ("", []),
        ("-1", []),
        (",", []),
        ("NoDevFiles", []),
        # CUDA stops at the first entry that names nothing.
        ("0,-1,1", ["0"]),
        ("0,,1", ["0"]),
        ("1,gpu,0", ["1"]),
        ("\N{SUPERSCRIPT TWO}", []),
    ],
)
def test_the_gpus_that_a_job_inherits(driver, monkeypatch, inherited, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert gpus.visible_gpus() == names


FIRST, SECOND = (
    "GPU-11111111-2222-3333-4444-555555555555",
    "GPU-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
)
LISTED = [
    f"GPU 0: NVIDIA H200 (UUID: {FIRST})",
    f"GPU 1: NVIDIA H200 NVL (UUID: {SECOND})",
]
LEFT, RIGHT = (
    "MIG-66666666-7777-8888-9999-000000000000",
    "MIG-6fffffff-7777-8888-9999-000000000000",
)
# The first GPU is divided, so that only its parts can be used.
DIVIDED = [
    LISTED[0],
    f"  MIG 3g.71gb     Device  0: (UUID: {LEFT})",
    f"  MIG 3g.71gb     Device  1: (UUID: {RIGHT})",
    LISTED[1],
]


def test_the_gpus_that_the_driver_lists(driver):
    driver(LISTED)
    assert gpus.visible_gpus() == [FIRST, SECOND]


def test_the_parts_of_a_divided_gpu_that_the_driver_lists(driver):
    driver(DIVIDED)
    assert gpus.visible_gpus() == [LEFT, RIGHT, SECOND]


@pytest.mark.parametrize(
    ("inherited", "names"),
    [
        ("1", [SECOND]),
        ("1,0", [SECOND, FIRST]),
        (FIRST, [FIRST]),
        # The beginning of a name is enough if no other one begins so.
        ("GPU-1", [FIRST]),
        (f"GPU-a,{FIRST}", [SECOND, FIRST]),
        ("GPU-,0", []),
        # The same one by its number and by its name.
        (f"0,{FIRST},GPU-1111,1", [FIRST, SECOND]),
        # What names nothing ends the list.
        ("2", []),
        ("1,2,0", [SECOND]),
        ("1,GPU-77,0", [SECOND]),
        ("1,-1,0", [SECOND]),
        ("", []),
        ("-1", []),
    ],
)
def test_inherited_entries_become_the_driver_s_unique_names(driver, monkeypatch, inherited, names):
    driver(LISTED)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert gpus.visible_gpus() == names


@pytest.mark.parametrize(
    ("inherited", "names"),
    [
        (LEFT, [LEFT]),
        ("MIG-66", [LEFT]),
        ("MIG-6", []),
        (f"{RIGHT},{LEFT},{RIGHT}", [RIGHT, LEFT]),
        # A divided GPU stands for its parts.
        ("0", [LEFT, RIGHT]),
        ("1,0", [SECOND, LEFT, RIGHT]),
        (f"{LEFT},{FIRST}", [LEFT, RIGHT]),
        # Parts by the older names.
        (f"MIG-{FIRST}/1/0", [f"MIG-{FIRST}/1/0"]),
        ("MIG-GPU-111/13/2", [f"MIG-{FIRST}/13/2"]),
        (f"MIG-{SECOND}/1/0", []),
        (f"1,MIG-{FIRST}/1", [SECOND]),
    ],
)
def test_inherited_parts_of_a_divided_gpu(driver, monkeypatch, inherited, names):
    driver(DIVIDED)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert gpus.visible_gpus() == names


def test_a_driver_that_lists_parts_by_the_older_names(driver, monkeypatch):
    parts = [f"MIG-{FIRST}/{instance}/0" for instance in (1, 11)]
    driver([LISTED[0], *(f"  MIG 1g.5gb Device 0: (UUID: {part})" for part in parts)])
    assert gpus.visible_gpus() == parts
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", parts[0])
    assert gpus.visible_gpus() == [parts[0]]


def test_no_driver_is_no_gpu(driver):
    assert gpus.visible_gpus() == []


def test_a_driver_that_fails_is_no_gpu(driver):
    driver(["NVIDIA-SMI has failed because it could not communicate with the driver"], status=9)
    assert gpus.visible_gpus() == []


def test_a_driver_without_devices_is_no_gpu(driver):
    driver(["No devices found."])
    assert gpus.visible_gpus() == []


def test_no_gpu_is_a_message_that_says_what_to_do(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError) as refused:
        gpus.claim_gpu(print)
    message = str(refused.value)
    assert message == gpus.NO_GPU
    assert "device: cuda" in message
    assert "none is visible here" in message
    assert "make demo" in message
    assert "device=cpu" in message


@pytest.mark.skipif(any(Path("/dev").glob("nvidia[0-9]*")), reason="there is a driver")
def test_an_inherited_number_without_a_driver_is_no_gpu(driver, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert gpus.visible_gpus() == ["0"]
    assert not gpus.gpu_is_present()


# Several jobs, each a process of its own

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
            text=True,
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
