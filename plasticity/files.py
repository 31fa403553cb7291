"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from plasticity.errors import UserError


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that is moved onto it when the block ends without error.

    The data reaches the disk before the name does, so a crash at any moment leaves either what was
    there before or the new file whole. The temporary name is fixed: a killed attempt leaves at most
    one, and the next one overwrites it. Raises `UserError` where the folder cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with open(partial, "rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):  # the message below matters more than what is left behind
            partial.unlink()
        raise UserError(
            f"{path}: cannot be written ({error}); "
            "make room or make the folder writable, then run the same command again"
        ) from error
