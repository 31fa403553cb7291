"""Fixtures of the tests that run Snakemake."""

import pytest
from clone import Clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which nothing was run."""
    return Clone(tmp_path_factory.mktemp("clone"))
