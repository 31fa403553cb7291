"""Which GPU is mine: what is visible, and that no two jobs on one machine take the same."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plasticity import devices
from plasticity.errors import UserError

ROOT = Path(__file__).parents[1]


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
        ("", []),
        ("-1", []),
        (",", []),
    ],
)
def test_the_gpus_that_a_job_inherits(driver, monkeypatch, inherited, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert devices.visible_gpus() == names


FIRST, SECOND = (
    "GPU-11111111-2222-3333-4444-555555555555",
    "GPU-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
)
LISTED = [
    f"GPU 0: NVIDIA H200 (UUID: {FIRST})",
    "  MIG 1g.18gb     Device  0: (UUID: MIG-66666666-7777-8888-9999-000000000000)",
    f"GPU 1: NVIDIA H200 NVL (UUID: {SECOND})",
]


def test_the_gpus_that_the_driver_lists(driver):
    driver(LISTED)
    assert devices.visible_gpus() == [FIRST, SECOND]


@pytest.mark.parametrize(
    ("inherited", "names"),
    [
        ("1", [SECOND]),
        ("1,0", [SECOND, FIRST]),
        (FIRST, [FIRST]),
        ("2", ["2"]),  # the driver may list less than there is
        ("", []),
        ("-1", []),
    ],
)
def test_inherited_numbers_become_the_driver_s_unique_names(driver, monkeypatch, inherited, names):
    driver(LISTED)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert devices.visible_gpus() == names


def test_no_driver_is_no_gpu(driver):
    assert devices.visible_gpus() == []


def test_a_driver_that_fails_is_no_gpu(driver):
    driver(["NVIDIA-SMI has failed because it could not communicate with the driver"], status=9)
    assert devices.visible_gpus() == []


def test_a_driver_without_devices_is_no_gpu(driver):
    driver(["No devices found."])
    assert devices.visible_gpus() == []


def test_no_gpu_is_a_message_that_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError) as refused:
        devices.claim_gpu(print, tmp_path / "locks")
    message = str(refused.value)
    assert message == devices.NO_GPU
    assert "device: cuda" in message
    assert "none is visible here" in message
    assert "make demo" in message
    assert "device=cpu" in message
    assert not (tmp_path / "locks").exists()


# Several jobs, each a process of its own

JOB = """
import os, sys
from pathlib import Path
from plasticity.devices import claim_gpu
name = claim_gpu(lambda line: print("log:", line, flush=True), Path(sys.argv[1]))
print("mine:", name, os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


class Job:
    """A process that claims a GPU and holds it until it is told to end."""

    def __init__(self, locks, gpus, code=JOB):
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(locks)],
            cwd=ROOT,
            # Without the programs of this machine, whose driver may know GPUs by other names.
            env={
                **os.environ,
                "CUDA_VISIBLE_DEVICES": gpus,
                "PYTHONPATH": str(ROOT),
                "PATH": "",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self):
        return self.process.stdout.readline().strip()

    def gpu(self):
        """The GPU that the job took."""
        line = self.line()
        while not line.startswith("mine:"):
            assert line.startswith("log:"), self.process.stderr.read()
            line = self.line()
        _, name, exported = line.split()
        assert name == exported
        return name

    def end(self, how=None):
        if how:
            self.process.send_signal(how)
        self.process.communicate(timeout=10)


@pytest.fixture
def start(tmp_path):
    """Starts jobs that share one folder of locks."""
    jobs = []

    def started(gpus, code=JOB):
        jobs.append(Job(tmp_path / "locks", gpus, code))
        return jobs[-1]

    yield started
    for job in jobs:
        if job.process.poll() is None:
            job.process.kill()
        job.process.communicate()


def test_two_jobs_take_two_gpus_and_a_third_one_waits_for_the_first_to_be_free(start):
    first = start("GPU-abc,GPU-def")
    assert first.gpu() == "GPU-abc"
    second = start("GPU-abc,GPU-def")
    assert second.gpu() == "GPU-def"
    third = start("GPU-abc,GPU-def")
    assert third.line() == (
        "log: all GPUs (GPU-abc, GPU-def) are taken by other jobs: waiting for one"
    )
    # Killed at once, without a chance to let go of anything.
    first.end(signal.SIGKILL)
    assert third.gpu() == "GPU-abc"


def test_a_job_that_ends_frees_its_gpu(start):
    first = start("0")
    assert first.gpu() == "0"
    first.end()
    assert start("0").gpu() == "0"


def test_jobs_that_start_at_once_take_different_gpus(start):
    jobs = [start("0,1,2") for _ in range(3)]
    assert {job.gpu() for job in jobs} == {"0", "1", "2"}


def test_a_job_takes_none_but_those_it_can_see(start):
    assert start("0,1").gpu() == "0"
    assert start("1,2").gpu() == "1"
    assert start("0,1,2").gpu() == "2"


def test_a_name_with_slashes_is_locked_too(start, tmp_path):
    assert start("MIG-1/2/3").gpu() == "MIG-1/2/3"
    assert [path.name for path in (tmp_path / "locks").iterdir()] == ["MIG-1-2-3.lock"]


def test_the_log_says_which_gpu_was_taken(start):
    assert start("0,1").line() == "log: device: GPU 0 of 0, 1"


def test_a_job_that_asks_twice_keeps_its_gpu(start):
    """Two stages trained in one process: the second must not wait for the first's own lock."""
    code = JOB.replace("name = claim_gpu", "claim_gpu(print, Path(sys.argv[1]))\nname = claim_gpu")
    job = start("0", code)
    lines = [job.line(), job.line()]
    assert "waiting" not in lines[1], lines


def test_locks_are_for_this_user_alone(start, tmp_path):
    start("0").gpu()
    assert (tmp_path / "locks").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="there is a driver")
def test_an_inherited_number_without_a_driver_is_no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert not devices.gpu_is_present()
