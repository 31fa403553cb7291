"""What every script of the workflow shares: a log, and errors that a person can read."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    with open(path, "w", buffering=1) as file:

        def log(line: str) -> None:
            print(line, file=file)

        try:
            yield log
        except UserError as error:
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
