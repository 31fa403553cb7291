"""Claims a GPU for this job: one slot of it, held for the life of the process.

Snakemake counts GPUs but does not say which one a job may use. A job therefore takes a free slot of
those that it can see: a GPU has as many as there may be jobs on it. A slot is held by a name in
Linux's abstract socket namespace. Unlike a lock on a file it is the same for all users of a machine
and in every private /tmp, nobody can replace it, nothing cleans it away while it is in use, and it
goes with the process, however that ends.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plasticity.core.errors import PlaceError

NO_GPU = (
    "this study trains on a GPU (device: cuda) and none is visible here. Either run it where there "
    "is one, or train on the CPU: the demo (make demo), the small study "
    "(--configfile studies/cifar10-mini.yaml), or this study with --config device=cpu "
    "(for the paper's study that is months of computing)"
)

NAMESPACE = "plasticity-gpu"
"""What the names of all slots begin with. Jobs of another version must not take another name."""

POLL = 1.0
"""Seconds between two looks for a free slot."""

REMIND = 600.0
"""Seconds between two lines of the log that say that a job still waits."""

DEVICES = Path("/dev")
"""Where the driver has a file for each GPU, ``nvidia0`` and so on."""

_HELD: dict[str, socket.socket] = {}  # what holds the slot of this process, by its GPU


@dataclass(frozen=True)
class Slot:
    """A place for one job on a GPU; the slots of a GPU count from 1."""

    gpu: str
    number: int

    @property
    def address(self) -> str:
        """Its name among abstract sockets, which begin with a zero byte."""
        return f"\0{NAMESPACE}/{self.gpu}/slot{self.number}"

    def is_taken(self) -> bool:
        """Whether some process of this machine holds it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(self.address)
            except ConnectionRefusedError:
                return False
            except PermissionError:  # there is one, which this process may not talk to
                return True
        return True

    def take(self) -> socket.socket | None:
        """What holds it until it is closed, or none where another process was quicker."""
        held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            held.bind(self.address)
        except OSError as error:
            held.close()
            if error.errno == errno.EADDRINUSE:
                return None
            raise
        return held


def visible_gpus() -> list[str]:
    """The names, for ``CUDA_VISIBLE_DEVICES``, of the GPUs that this process may use.

    Those in an inherited ``CUDA_VISIBLE_DEVICES``, else all that the driver lists. Where the driver
    tells them they are its full unique names, so that a GPU has one name however it was asked for.
    A GPU that is divided (MIG) stands for its parts. Without ``nvidia-smi`` they are numbers.
    """
    return _visible(_driver_list())


def hide_gpus() -> None:
    """Let this process, and what it starts, find no GPU: for a job that has claimed none.

    Whatever asks a library for a GPU by accident would compute on that of somebody else.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def gpu_is_present() -> bool:
    """Whether a GPU is visible and a driver for it is there.

    ``CUDA_VISIBLE_DEVICES`` alone proves nothing: it may be inherited from another machine.
    """
    driver = _driver_list()
    return bool(_visible(driver)) and bool(driver or _by_device_files())


def claim_gpu(log: Callable[[str], None], slots: int = 1) -> str:
    """Take a slot of a visible GPU until this process ends, waiting for one if need be.

    `slots` is how many jobs may share a GPU; those of other processes may say another number, and
    the largest one holds. The GPU with the fewest jobs is preferred. Sets ``CUDA_VISIBLE_DEVICES``,
    so it must come before CUDA starts. Returns the GPU's name: that of the one already taken where
    there is one. Raises `PlaceError` where no GPU is visible.
    """
    for gpu in _HELD:
        return gpu
    gpus = visible_gpus()
    if not gpus:
        raise PlaceError(NO_GPU)
    started = told = time.monotonic()
    waits = False
    while (slot := _take_a_slot(gpus, slots)) is None:
        now = time.monotonic()
        if not waits:
            log(
                f"waiting for a GPU: other jobs on this machine hold all slots ({slots} each) of "
                f"{', '.join(gpus)}; `ss -xap | grep {NAMESPACE}` lists them"
            )
            waits = True
        elif now - told >= REMIND:
            log(f"still waiting for a GPU after {(now - started) / 60:.0f} minutes")
            told = now
        time.sleep(POLL)
    # Numbers that the driver did not turn into names are meant in its order, by the place on the
    # PCI bus, as nvidia-smi and clusters count. CUDA itself counts the fastest first.
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    os.environ["CUDA_VISIBLE_DEVICES"] = slot.gpu
    log(f"device: GPU {slot.gpu}, slot {slot.number} of {slots} (visible: {', '.join(gpus)})")
    return slot.gpu


def _take_a_slot(gpus: Sequence[str], slots: int) -> Slot | None:
    """Take the first free slot of the GPU with the fewest jobs; none where all are taken.

    Two processes that look at once want the same slot, as the lowest number of a GPU comes first.
    The slower one looks again, so they end on two GPUs without having to agree beforehand.
    """
    for _ in range(len(gpus) * slots):
        free = {
            gpu: [number for number in range(1, slots + 1) if not Slot(gpu, number).is_taken()]
            for gpu in gpus
        }
        gpu = max(gpus, key=lambda name: len(free[name]))  # the first one of those
        if not free[gpu]:
            return None
        slot = Slot(gpu, free[gpu][0])
        if held := slot.take():
            _HELD[gpu] = held
            return slot
    return None


Driver = Mapping[str, Sequence[str]]
"""What the driver lists: the unique names of GPUs, in its order, each with those of its parts."""


def _driver_list() -> Driver | None:
    """The GPUs that the driver lists; None where there is no ``nvidia-smi`` to ask.

    It comes with the driver, but not into each container. NVIDIA's package for Python would have to
    be installed wherever torch is, and be asked for each part of each GPU.
    """
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, encoding="utf-8", check=True
        )
    except subprocess.CalledProcessError:
        return {}
    except OSError:
        return None
    driver: dict[str, list[str]] = {}
    for line in listed.stdout.splitlines():
        if gpu := re.match(r"GPU \d+: .*\(UUID: (\S+)\)", line):
            driver[gpu[1]] = []
        elif (part := re.match(r"\s+MIG .*\(UUID: (\S+)\)", line)) and driver:
            driver[list(driver)[-1]].append(part[1])
    return driver


def _by_device_files() -> list[str]:
    """The GPUs that the driver has files for, by their numbers for CUDA."""
    return [str(number) for number, _ in enumerate(DEVICES.glob("nvidia[0-9]*"))]


def _visible(driver: Driver | None) -> list[str]:
    """The names of `visible_gpus`, given what the driver lists."""
    inherited = os.environ.get("CUDA_VISIBLE_DEVICES")
    if inherited is None and driver is None:
        return _by_device_files()
    driver = driver or {}
    if inherited is None:
        return [name for gpu in driver for name in _usable(gpu, driver)]
    names: list[str] = []
    for entry in inherited.split(","):
        meant = _meant(entry.strip(), driver)
        if not meant:
            break  # CUDA, too, overlooks all that comes after an entry that names nothing
        names += meant
    return list(dict.fromkeys(names))


def _meant(entry: str, driver: Driver) -> Sequence[str]:
    """The devices that an entry of ``CUDA_VISIBLE_DEVICES`` names: one, the parts of one, or none.

    Without a driver to ask, any well-formed entry is taken at its word.
    """
    if not driver:
        known = re.fullmatch(r"\d{1,3}|GPU-[\w-]{1,64}|MIG-[\w/-]{1,64}", entry, re.ASCII)
        return [entry] if known else []
    gpus = list(driver)
    if re.fullmatch(r"\d+", entry, re.ASCII):
        return _usable(gpus[int(entry)], driver) if int(entry) < len(gpus) else []
    parts = [part for gpu in gpus for part in driver[gpu]]
    if entry.startswith(("GPU-", "MIG-")) and (name := _only(entry, [*gpus, *parts])):
        return _usable(name, driver)
    # The older name of a part, by its GPU and its numbers there, which new drivers still accept.
    if older := re.fullmatch(r"MIG-(GPU-[\w-]+)(/\d+/\d+)", entry, re.ASCII):
        gpu = _only(older[1], [gpu for gpu in gpus if driver[gpu]])
        return [f"MIG-{gpu}{older[2]}"] if gpu else []
    return []


def _only(start: str, names: Sequence[str]) -> str | None:
    """The one of `names` that is `start` or, alone among them, begins with it."""
    found = [name for name in names if name.startswith(start)]
    return start if start in found else found[0] if len(found) == 1 else None


def _usable(name: str, driver: Driver) -> Sequence[str]:
    """The parts of a GPU that is divided, which cannot be used itself; else the device alone."""
    return driver.get(name) or [name]
