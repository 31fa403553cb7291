"""Files that appear whole or not at all or can be read to their end, and locks."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from safetensors import SafetensorError

from plasticity.core.errors import PlaceError, UserError

RIGHT_FILE = "put the right file there, or keep both and run in another folder (--directory)"
"""What to do where a result is not the one expected: it may be all that is left of a run."""


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that is moved onto it when the block ends without error.

    The data reaches the disk before the name does, so a crash at any moment leaves either what was
    there before or the new file whole. The temporary name is fixed: a killed attempt leaves at most
    one, and the next one replaces it. The file has the mode of any new file, by the umask and the
    rules of its folder, whatever writes it. Raises `PlaceError` where the folder cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)  # it may be somebody else's
        partial.touch()
        mode = stat.S_IMODE(partial.stat().st_mode)
        yield partial
        with suppress(OSError):  # some mounts have one mode for all files, and refuse
            partial.chmod(mode)  # safetensors makes files that nobody else may read
        with open(partial, "rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):  # the message below matters more than what is left behind
            partial.unlink()
        raise unwritable(path, error) from error


def unwritable(path: str | Path, error: Exception) -> PlaceError:
    """What to do where a file could not be written."""
    return PlaceError(
        f"{path}: cannot be written ({error}); "
        "make room or make the folder writable, then run the same command again"
    )


def unreadable(path: str | Path, said: str, advice: str) -> UserError:
    """What to do where a file could not be read, or (`said`) holds something else.

    Where access is denied, whatever the library that tried makes of it, `advice` is of no use:
    there may be nothing wrong with the file.
    """
    try:
        with open(path, "rb"):
            return UserError(f"{path}: {said}; {advice}")
    except PermissionError:
        return PlaceError(
            f"{path}: permission denied; make it and its folders readable for you (chmod), or ask "
            "whoever made it to"
        )
    except OSError:
        return UserError(f"{path}: {said}; {advice}")


def require_readable(path: str | Path, key: str) -> None:
    """Raise `UserError`, naming `key`, where `path` is there and cannot be read as file or folder.

    That is: where access is denied, or where it is a device or a pipe, which may have no end.
    """
    path = Path(path)
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
        strange = path.exists() and not is_file and not is_folder
    except OSError as error:
        raise UserError(f"{key}: {path}: cannot be read ({error}); make it readable") from error
    if strange:
        raise UserError(f"{key}: {path}: neither a file nor a folder; name one of these")
    mode = os.R_OK | os.X_OK if is_folder else os.R_OK
    if (is_file or is_folder) and not os.access(path, mode):
        raise UserError(f"{key}: {path}: cannot be read; make it readable for you")


LOCKLESS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What file systems without locks answer."""

REMIND = 600.0
"""Seconds between two lines of a log that say that somebody still waits."""


@contextmanager
def held(path: Path, log: Callable[[str], None]) -> Iterator[bool]:
    """Hold the lock `path` alone, for as long as this lasts; gives whether it had to be waited for.

    A lock goes with its process; on network file systems that of a machine that died may stay, and
    the log says how to break it. Where the file system knows no locks, `log` is told and all goes
    on without. Raises `PlaceError` where the folder cannot be written.
    """
    # Not `filelock`: it leaves its file and ends where there are no locks or a handle is stale.
    waited, told = False, -REMIND
    while (lock := _try_to_hold(path, log)) is None:
        waited = True
        if time.monotonic() - told >= REMIND:
            log(
                "an earlier attempt at this run has not ended yet: waiting for it "
                f"(if it is sure that there is none, delete {path})"
            )
            told = time.monotonic()
        time.sleep(0.5)
    try:
        yield waited
    finally:
        path.unlink(missing_ok=True)
        lock.close()


def _try_to_hold(path: Path, log: Callable[[str], None]) -> IO[str] | None:
    """The open file that holds the lock `path`, or None where another process holds it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path, "w", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it before may have removed it since it was opened, here or on another node.
        if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
            return lock
    except OSError as error:
        if error.errno in LOCKLESS:
            log(f"{path.parent}: this file system has no locks ({error}); going on without")
            return lock
        if error.errno not in (errno.EWOULDBLOCK, errno.ENOENT, errno.ESTALE):
            raise
    lock.close()
    return None
