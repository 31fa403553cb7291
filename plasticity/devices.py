"""Which device is mine: one GPU for one job, held by a lock for the life of the process.

Snakemake counts GPUs but does not say which one a job may use. A job therefore takes the first
free one of those that it can see, by a lock on a file that only this host shares. The lock goes
with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from plasticity.errors import UserError

NO_GPU = (
    "this study trains on a GPU (device: cuda) and none is visible here. Either run it where there "
    "is one, or train on the CPU: the demo (make demo), the small study "
    "(--configfile studies/cifar10-mini.yaml), or this study with --config device=cpu "
    "(for the paper's study that is months of computing)"
)

_HELD: dict[str, IO[str]] = {}  # the lock of the GPU that this process has taken


def visible_gpus() -> list[str]:
    """The names, for ``CUDA_VISIBLE_DEVICES``, of the GPUs that this process may use.

    Those in an inherited ``CUDA_VISIBLE_DEVICES``, else all that the driver lists. Numbers become
    the driver's unique names where it tells them: within a cluster's job every GPU is number 0.
    """
    listed = _driver_list()
    inherited = os.environ.get("CUDA_VISIBLE_DEVICES")
    if inherited is None:
        return listed
    names = [name.strip() for name in inherited.split(",")]
    return [
        listed[int(name)] if name.isdigit() and int(name) < len(listed) else name
        for name in names
        if name and name != "-1"
    ]


def gpu_is_present() -> bool:
    """Whether a GPU is visible and a driver for it is there.

    ``CUDA_VISIBLE_DEVICES`` alone proves nothing: it may be inherited from another machine.
    """
    return bool(visible_gpus()) and bool(_driver_list() or Path("/dev/nvidia0").exists())


def _driver_list() -> list[str]:
    """The unique names of all GPUs that the driver lists; none without a driver."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return re.findall(r"^GPU \d+: .*\(UUID: (\S+)\)", listed.stdout, re.MULTILINE)


def claim_gpu(log: Callable[[str], None], locks: Path | None = None) -> str:
    """Take one visible GPU until this process ends, waiting for one if need be.

    Sets ``CUDA_VISIBLE_DEVICES``, so it must come before CUDA starts. Returns the GPU's name: that
    of the one already taken where there is one.
    Raises `UserError` where no GPU is visible.
    """
    for name in _HELD:
        return name
    names = visible_gpus()
    if not names:
        raise UserError(NO_GPU)
    folder = locks or Path(tempfile.gettempdir()) / f"plasticity-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    waiting = False
    while True:
        for name in names:
            lock = open(folder / f"{name.replace('/', '-')}.lock", "w")  # noqa: SIM115
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            _HELD[name] = lock
            os.environ["CUDA_VISIBLE_DEVICES"] = name
            log(f"device: GPU {name} of {', '.join(names)}")
            return name
        if not waiting:
            log(f"all GPUs ({', '.join(names)}) are taken by other jobs: waiting for one")
            waiting = True
        time.sleep(1.0)
