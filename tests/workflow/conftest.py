"""Fixtures of the tests that run Snakemake."""

import os

import pytest
from clone import Clone

from plasticity.core import files


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which nothing was run."""
    return Clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which the tiny study was run, to be copied: two figures on 64 digits.

    All workers share it: whoever comes first makes it, and the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with files.held(base / "made.lock", print):
        if not (base / "made").exists():
            clone = Clone(tmp_path_factory.mktemp("making"))
            status, printed = clone.snakemake()
            assert status == 0, printed
            clone.path.rename(base / "made")
    return Clone.found(base / "made")
