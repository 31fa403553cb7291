"""Fixtures of the tests that train."""

from pathlib import Path

import pytest
from chain import Chain
from tiny import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with the tiny data set."""
    return Folder.prepare(tmp_path)


@pytest.fixture
def chain(folder: Folder) -> Chain:
    """Trains in that folder whatever a run needs."""
    return Chain(folder)
