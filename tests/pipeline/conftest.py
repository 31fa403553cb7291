"""A copy of the library to be edited."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from edited import ROOT, digest_of

from plasticity.pipeline import closure, digests, tokens


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that the digests are taken of, to be edited."""
    ignored = shutil.ignore_patterns("__pycache__")
    package = shutil.copytree(ROOT / "plasticity", tmp_path / "plasticity", ignore=ignored)
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    monkeypatch.setattr(closure, "PACKAGE", package)
    monkeypatch.setattr(tokens, "digest_of", digest_of)
    digests.forget()
    yield package
    digests.forget()
