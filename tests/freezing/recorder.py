"""A pytest plugin that records the text of every error for users that is made in its process.

It knows the two modules that have held `UserError`, and needs nothing else of the project.
"""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

from hypothesis import currently_in_test_context

PLACES = ("plasticity.core.errors", "plasticity.errors")

texts: set[str] = set()


def user_error() -> type[Exception]:
    """The class of errors whose messages users read."""
    for place in PLACES:
        try:
            found: type[Exception] = importlib.import_module(place).UserError
        except ModuleNotFoundError:
            continue
        return found
    raise ModuleNotFoundError(f"no UserError in any of {', '.join(PLACES)}")


def pytest_configure() -> None:
    """Record from now on, which is before the first test is imported."""
    kind: Any = user_error()
    original = kind.__init__

    def recording(self: Exception, *words: object, **named: object) -> None:
        original(self, *words, **named)
        # Generated cases hold arbitrary texts, and follow the text of their test.
        if not currently_in_test_context():
            texts.add(" ".join(map(str, words)))

    kind.__init__ = recording


def pytest_unconfigure() -> None:
    """Leave what was recorded; several processes may have run tests."""
    file = Path(os.environ["FREEZE_MESSAGES"]) / f"{os.getpid()}.json"
    file.write_text(json.dumps(sorted(texts)))
