"""A copy of the project to run Snakemake in, and a study small enough for a test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ("Snakefile", "config.yaml", "plasticity", "workflow", "profiles", "studies", "envs")
TINY = """
study: tiny
dataset: digits-clutter-n64-r6
model: resnet-d1w2
device: cpu
precision: float32
threads: 1
keep: all
seeds: [0, 1]
lengths: {pretrain: 2, tune: 3}
optimisers:
  adam: {lr: 0.01, batch: 16}
targets: [fig01, fig11]
"""


class Clone:
    """A copy of the project in a folder of its own."""

    def __init__(self, path: Path) -> None:
        for name in SOURCES:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, path / name)
        (path / "studies" / "tiny.yaml").write_text(TINY)
        self.path = path

    def snakemake(
        self,
        *arguments: str,
        study: str | None = "tiny",
        environment: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Run Snakemake; returns its exit status and what it printed."""
        config = ["--configfile", f"studies/{study}.yaml"] if study else []
        finished = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments, "--cores", "2", *config],
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            # No GPU for anybody, so that the tests mean the same on every machine.
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **(environment or {})},
        )
        return finished.returncode, finished.stdout

    def planned(self, *targets: str, study: str | None = "tiny") -> dict[str, int]:
        """The number of jobs of each rule that a dry run of `targets` plans."""
        status, printed = self.snakemake("-n", *targets, study=study)
        assert status == 0, printed
        if "Nothing to be done" in printed:
            return {}
        table = printed.split("Job stats:")[1].split("\n\n")[0]
        counts = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}
        del counts["total"]
        return counts

    @contextmanager
    def edited(self, name: str, *, add: str = "", data: bytes | None = None) -> Iterator[None]:
        """The file `name` with `add` at its end, or other `data`, for as long as this lasts."""
        file = self.path / name
        before, times = file.read_bytes(), file.stat()
        file.write_bytes(before + add.encode() if data is None else data)
        if data is not None:  # as if the change had gone unnoticed
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        yield
        file.write_bytes(before)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
