"""Copies of commits in temporary folders, and commands that are run in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The repository that this tool stands in."""

WORKTREE = "WORKTREE"
"""Names the files as they are now, with what is not committed, where a commit is asked for."""

SETTINGS = {
    # The order in which numbers are added depends on the number of threads.
    **{"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    "CUDA_VISIBLE_DEVICES": "",
    # oneDNN in torch 2.13 writes beyond its memory where a convolution of 1 x 1 with a stride and
    # few channels gets its gradient, and jobs of earlier commits crash. Its kernels for SSE4.1 do
    # not, and give the same bits whether such a convolution leaves out the pixels itself or not.
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "agg",
}
"""What fixes the numbers and the messages of a command, besides the commit and the machine."""

UNWANTED = ("PYTHONPATH", "PYTHONWARNINGS", "PYTEST_ADDOPTS", "PYTEST_PLUGINS", "SNAKEMAKE_PROFILE")


class FreezeError(Exception):
    """What keeps a freeze from being taken, compared or accepted; its message is for the user."""


@dataclass(frozen=True)
class Checkout:
    """The files of a commit in the folder `project`, beside an empty one for all that it makes."""

    project: Path
    scratch: Path

    def run(
        self, *words: str | Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Python with these words in the project; standard error is part of what it prints."""
        settings = {name: value for name, value in os.environ.items() if name not in UNWANTED}
        temporary = self.scratch / "tmp"
        temporary.mkdir(exist_ok=True)
        settings |= {**SETTINGS, "TMPDIR": str(temporary), **(environment or {})}
        settings["PATH"] = f"{Path(sys.executable).parent}:{settings.get('PATH', '')}"
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.project,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )

    def output(self, *words: str | Path) -> str:
        """What such a command prints; raises `FreezeError` where it fails."""
        done = self.run(*words)
        if done.returncode:
            shown = " ".join(map(str, words))
            end = "\n".join(done.stdout.splitlines()[-60:])
            raise FreezeError(f"{shown}: ended with status {done.returncode}\n{end}")
        return done.stdout


@contextmanager
def checkout(commit: str) -> Iterator[Checkout]:
    """The files of `commit`, or of the working tree, in a temporary folder that is removed."""
    with tempfile.TemporaryDirectory(prefix="freeze-") as folder:
        # As programs print it: a link on the way would hide it from whoever replaces it.
        place = Path(folder).resolve()
        made = Checkout(place / "project", place / "made")
        made.project.mkdir()
        made.scratch.mkdir()
        if commit == WORKTREE:
            _copy_working_tree(made.project)
        else:
            _extract(commit, made.project)
        yield made


def resolve(name: str) -> str:
    """The whole identifier of the commit `name`, or `WORKTREE`; raises `FreezeError`."""
    if name in (WORKTREE, "."):
        return WORKTREE
    done = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if done.returncode:
        raise FreezeError(f"{name}: neither a commit nor a file")
    return done.stdout.decode().strip()


def say(line: str) -> None:
    """Print `line` on standard error, so that what a comparison prints stays by itself."""
    print(f"  {line}", file=sys.stderr, flush=True)


def git(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Run git in the repository of this tool."""
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, check=False)


def _extract(commit: str, folder: Path) -> None:
    # An archive and not a worktree: git need not be told when it is removed, or was killed before.
    archive = folder.with_name("archive.tar")
    done = git("archive", "--format=tar", f"--output={archive}", commit)
    if done.returncode:
        raise FreezeError(done.stderr.decode())
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    archive.unlink()


def _copy_working_tree(folder: Path) -> None:
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout.decode()
    for name in sorted(set(filter(None, listed.split("\0")))):
        if (ROOT / name).is_file():  # what was deleted is listed as well
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
