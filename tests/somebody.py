"""What a user who owns nothing may do, also where the tests run as root, who may do everything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def somebody_else() -> Iterator[None]:
    """As a user who owns nothing; root may read everything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def let_in(folder: Path) -> None:
    """Let everybody into the `folder` of a test, which is its owner's alone."""
    for above in (folder, folder.parent, folder.parent.parent):
        above.chmod(0o755)
