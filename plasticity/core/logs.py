"""The log of a job, and errors to be read."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NoReturn

from plasticity.core import files
from plasticity.core.errors import PlaceError, UserError
from plasticity.core.shutdown import Ended


class Log:
    """Lines in a file, each on the disk at once; raises `PlaceError` where it cannot be written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: IO[bytes] | None = None

    def __call__(self, line: str) -> None:
        """Write `line`, the first one into a new file."""
        try:
            if self.file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # Without a buffer, so that nothing is left to be written at the end.
                self.file = open(self.path, "wb", buffering=0)  # noqa: SIM115
            self.file.write(f"{line}\n".encode())
        except OSError as error:
            raise files.unwritable(self.path, error) from error

    def close(self) -> None:
        """Close the file, if there is one."""
        if self.file is not None:
            self.file.close()


@contextmanager
def logged(path: str | Path) -> Iterator[Callable[[str], None]]:
    """A function that writes lines to the log in `path`, at once.

    A `UserError` that ends the block is printed as its message alone, in the log and on standard
    error, and ends the process with status 1; so does `Ended`, with the status of a process that a
    signal killed; any other error leaves its traceback in the log.
    """
    log = Log(Path(path))
    try:
        yield log
    except UserError as error:
        _leave(log, f"error: {error}", 1)
    except Ended as ended:
        _leave(log, str(ended), ended.status)
    except BaseException:
        log(traceback.format_exc())
        raise
    finally:
        log.close()


def _leave(log: Log, words: str, status: int) -> NoReturn:
    """End this process with `words` in the log and on standard error."""
    with suppress(PlaceError):  # the log may be what cannot be written
        log(words)
    print(f"\n{words}\n", file=sys.stderr)
    sys.exit(status)


@contextmanager
def told_once(note: Path, attempt: int) -> Iterator[None]:
    """Spare a job the further attempts that cannot mend what ended the first one.

    A `UserError` leaves its message in `note`, unless it is one of the place. A further attempt,
    which a workflow makes on its own where it has `retries`, finds it there and ends with it at
    once. The first attempt of an invocation, which a person made, does not look.
    """
    if attempt > 1 and note.exists():
        raise UserError(f"not tried again: {note.read_text(encoding='utf-8')}")
    note.unlink(missing_ok=True)
    try:
        yield
    except PlaceError:
        raise
    except UserError as error:
        with suppress(PlaceError), files.whole(note) as partial:  # the error itself is worth more
            partial.write_text(str(error), encoding="utf-8")
        raise
