"""Extensions as users write them, for tests: their files, and how words of theirs look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from plasticity.runs import extensions

START = '''
"""Starts of my own."""
from plasticity.runs import Number, starts
from {helpers} import FACTOR


@starts.member("{word}{{factor}}", factor=Number(above=0, at_most=1))
def {word}(network, generator, *, factor):
    """Every parameter times `factor`."""
    from {helpers} import FACTOR as again

    assert again == FACTOR
    for parameter in network.parameters():
        parameter.mul_(factor * FACTOR)
'''


def written(folder: Path, files: dict[str, str]) -> Path:
    """`folder` with the `files`, texts by name."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def start(word: str = "shrink", helpers: str = "helpers") -> str:
    """A file that declares the start `word`, with a module of helpers beside it."""
    return START.format(word=word, helpers=helpers)


@pytest.fixture
def no_extensions() -> Iterator[None]:
    """None is used before and after the test."""
    extensions.use({})
    yield
    extensions.use({})
