"""What every script of the workflow shares: a log, and errors that a person can read."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from plasticity.errors import UserError
from plasticity.signals import Ended


@contextmanager
def logged(path: str | Path) -> Iterator[Callable[[str], None]]:
    """A function that writes lines to the log in `path`, at once.

    A `UserError` that ends the block is printed as its message alone, in the log and on standard
    error, and ends the process with status 1; so does `Ended`, with the status of a process that a
    signal killed; any other error leaves its traceback in the log.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb", buffering=0) as file:  # nothing is left to be written at the end

        def log(line: str) -> None:
            try:
                file.write(f"{line}\n".encode())
            except OSError as error:
                raise UserError(f"{path}: cannot be written ({error}); make room") from error

        try:
            yield log
        except UserError as error:
            with suppress(UserError):  # the log may be what cannot be written
                log(f"error: {error}")
            print(f"\nerror: {error}\n", file=sys.stderr)
            sys.exit(1)
        except Ended as ended:
            log(str(ended))
            print(f"\n{ended}\n", file=sys.stderr)
            sys.exit(ended.status)
        except BaseException:
            log(traceback.format_exc())
            raise


@contextmanager
def told_once(note: Path, attempt: int) -> Iterator[None]:
    """Spare a job the further attempts that cannot mend what ended the first one.

    A `UserError` leaves its message in `note`. A further attempt, which a workflow makes on its own
    where it has `retries`, finds it there and ends with it at once. The first attempt of an
    invocation, which a person made, does not look.
    """
    if attempt > 1 and note.exists():
        raise UserError(f"not tried again: {note.read_text(encoding='utf-8')}")
    note.unlink(missing_ok=True)
    try:
        yield
    except UserError as error:
        with suppress(OSError):  # the error itself is worth more
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(str(error), encoding="utf-8")
        raise
