"""A copy of the project to run Snakemake in, and a study small enough for a test."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
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
figures: {fig11: {seeds: [0]}}
"""


@cache
def forge() -> subprocess.Popen[str]:
    """The process that runs Snakemake, which is started once."""
    return subprocess.Popen(
        [sys.executable, Path(__file__).with_name("forge.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )


def end_forge() -> None:
    """End that process, if it was started."""
    if forge.cache_info().currsize:
        forge().communicate()
        forge.cache_clear()


class Clone:
    """A copy of the project in a folder of its own; `of` another one, with its results."""

    def __init__(self, path: Path, of: Clone | None = None) -> None:
        self.path = path
        if of:
            shutil.copytree(of.path, path, dirs_exist_ok=True)  # and the times of all files
            return
        for name in SOURCES:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, path / name)
        (path / "studies" / "tiny.yaml").write_text(TINY)

    @classmethod
    def found(cls, path: Path) -> Clone:
        """The copy that is in `path` already."""
        clone = cls.__new__(cls)
        clone.path = path
        return clone

    def snakemake(
        self,
        *arguments: str,
        study: str | None = "tiny",
        environment: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Run Snakemake; returns its exit status and what it printed."""
        config = ["--configfile", f"studies/{study}.yaml"] if study else []
        command = {
            "folder": str(self.path),
            "words": [*arguments, "--cores", "2", *config],
            # No GPU for anybody, so that the tests mean the same on every machine.
            "environment": {**os.environ, "CUDA_VISIBLE_DEVICES": "", **(environment or {})},
        }
        server = forge()
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as printed:
            server.stdin.write(json.dumps({**command, "output": printed.name}) + "\n")
            server.stdin.flush()
            return int(server.stdout.readline()), printed.read()

    def planned(self, *targets: str, study: str | None = "tiny") -> dict[str, int]:
        """The number of jobs of each rule that a dry run of `targets` plans."""
        status, printed = self.snakemake("-n", *targets, study=study)
        assert status == 0, printed
        return counts(printed)

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


def counts(printed: str) -> dict[str, int]:
    """The number of jobs of each rule in what a dry run printed."""
    if "Nothing to be done" in printed:
        return {}
    table = printed.split("Job stats:")[1].split("\n\n")[0]
    found = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}
    del found["total"]
    return found
