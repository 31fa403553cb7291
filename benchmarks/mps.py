"""NVIDIA's service that lets processes share a GPU (MPS), started for a benchmark alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.stand import first_line

CONTROL = "nvidia-cuda-mps-control"

Environment = Mapping[str, str]


@contextmanager
def mps() -> Iterator[Environment]:
    """A service of our own, which ends with this context; the variables by which it is found.

    Raises `RuntimeError` where it cannot be had.
    """
    if not shutil.which(CONTROL):
        raise RuntimeError(f"{CONTROL} is not installed")
    # A short path, as that of a socket has to be.
    with tempfile.TemporaryDirectory(prefix="mps", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        ours = {
            "CUDA_MPS_PIPE_DIRECTORY": str(folder / "pipe"),
            "CUDA_MPS_LOG_DIRECTORY": str(folder / "log"),
        }
        for path in ours.values():
            Path(path).mkdir()
        settings: dict[str, Any] = {
            **{"env": {**os.environ, **ours}, "timeout": 30, "check": True, "text": True},
            # Not a pipe: the service keeps what it is given open.
            **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
        }
        try:
            subprocess.run([CONTROL, "-d"], **settings)
        except (OSError, subprocess.SubprocessError) as error:
            raise RuntimeError(f"{CONTROL} does not start: {first_line(error)}") from error
        try:
            yield ours
        finally:
            try:
                subprocess.run([CONTROL], input="quit\n", **settings)
            except (OSError, subprocess.SubprocessError) as error:
                print(f"{CONTROL} does not end: {first_line(error)}", file=sys.stderr)
