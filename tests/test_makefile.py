"""What `make` finds out before it does anything, by dry runs of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VERSION = "{}.{}".format(*sys.version_info[:2])
REBUILDS = "-m venv --clear .venv"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., str]:
    """Tells what make would do in a folder with the project's Makefile."""
    for name in ("Makefile", "requirements.txt", "constraints.txt"):
        shutil.copy2(ROOT / name, tmp_path)

    def printed(*words: str, folder: Path = tmp_path, **variables: str) -> str:
        # What the process that runs the tests was itself told by a make.
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "CORES", "MAKEFLAGS")}
        done = subprocess.run(
            ["make", "-n", *words],
            cwd=folder,
            env={**kept, **variables},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return printed


def python(path: Path, version: str) -> Path:
    """A Python that only tells its `version`."""
    path.write_text(f"#!/bin/sh\necho {version}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """What looks like an environment that make has made with the present Python."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    python(programs / "python", VERSION)
    (programs / "snakemake").write_text(f"#!{programs / 'python'}\n", encoding="utf-8")
    (programs.parent / "pyvenv.cfg").write_text(f"version = {VERSION}.7\n", encoding="utf-8")
    (programs.parent / ".ready").touch()
    return programs.parent


@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "OMP_THREAD_LIMIT"])
@pytest.mark.usefixtures("environment")
def test_settings_of_openmp_take_no_cores_away(make: Callable[..., str], variable: str):
    cores = f"--cores {len(os.sched_getaffinity(0))} "
    assert cores in make("study", **{variable: "1"})
    assert "--cores 7 " in make("study", "CORES=7")


@pytest.mark.usefixtures("environment")
def test_an_environment_that_fits_is_left_alone(make: Callable[..., str], tmp_path: Path):
    assert "-m venv" not in make("env")
    same = python(tmp_path / "same", VERSION)
    assert "-m venv" not in make("env", f"PYTHON={same}")


def test_without_one_it_is_made(make: Callable[..., str]):
    assert "-m venv .venv" in make("env")


def test_in_a_checkout_that_was_renamed_it_is_made_anew(
    make: Callable[..., str], environment: Path, tmp_path: Path
):
    moved = tmp_path.with_name(f"{tmp_path.name} moved")
    tmp_path.rename(moved)
    told = make("env", folder=moved)
    moved.rename(tmp_path)
    assert ".venv was made in another place: making it anew" in told
    assert REBUILDS in told


def test_after_an_upgrade_of_python_it_is_made_anew(make: Callable[..., str], environment: Path):
    python(environment / "bin" / "python", "3.99")
    told = make("env")
    assert f".venv was made with Python {VERSION}, and it is 3.99 now: making it anew" in told
    assert REBUILDS in told


@pytest.mark.parametrize("way", ["command line", "environment"])
@pytest.mark.usefixtures("environment")
def test_another_python_that_is_named_is_taken(make: Callable[..., str], tmp_path: Path, way: str):
    other = str(python(tmp_path / "python3.99", "3.99"))
    named = {"words": [f"PYTHON={other}"]} if way == "command line" else {"words": []}
    told = make("env", *named["words"], **({} if named["words"] else {"PYTHON": other}))
    assert f"{other} {REBUILDS}" in told
