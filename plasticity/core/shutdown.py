"""A request to end, such as a cluster sends some time before it kills: noted, and then obeyed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

REQUESTS = (signal.SIGTERM, signal.SIGINT)
"""What asks a process to end: a time limit, preemption and `scancel`; Ctrl-C."""


class Ended(Exception):  # noqa: N818 (no error)
    """Training left off because it was asked to, and can be continued. Its message says where."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Request:
    """Whether this process was asked to end; false until then."""

    number: int | None = None

    def __bool__(self) -> bool:
        return self.number is not None

    def ended(self, where: str) -> Ended:
        """The exception that obeys this request, with the status of a process that it killed."""
        assert self.number is not None
        name = signal.Signals(self.number).name
        return Ended(f"ended by {name} {where}", 128 + self.number)


@contextmanager
def requests() -> Iterator[Request]:
    """A `Request` that takes the place of a sudden end, for as long as this lasts.

    Only the main thread of a process can be asked; in another one nothing changes.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        request.number = number
        if number == signal.SIGINT:  # a second Ctrl-C ends at once, as one is used to
            signal.signal(number, before[signal.SIGINT])

    # What is ignored, as by a command in the background of a script, stays ignored.
    before = {n: signal.getsignal(n) for n in REQUESTS if signal.getsignal(n) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
