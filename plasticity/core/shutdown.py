"""Graceful shutdown on SIGTERM and SIGINT: a signal is noted, and training ends after its batch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

REQUESTS = (signal.SIGTERM, signal.SIGINT)
"""What asks a process to end: a cluster's time limit, preemption or `scancel`; Ctrl-C."""


class Ended(Exception):  # noqa: N818 (no error)
    """Training was interrupted by a signal and can be continued; the message says where.

    `status` is the exit status of a process that the signal killed.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class ShutdownRequest:
    """False until a signal arrived that asks this process to end; `number` is that signal."""

    number: int | None = None

    def __bool__(self) -> bool:
        return self.number is not None

    def ended(self, where: str) -> Ended:
        """The exception to end with; `where` completes its message."""
        assert self.number is not None
        name = signal.Signals(self.number).name
        return Ended(f"ended by {name} {where}", 128 + self.number)


@contextmanager
def graceful_shutdown() -> Iterator[ShutdownRequest]:
    """While this lasts, a signal sets the request that it gives, in place of ending the process.

    Python delivers signals to the main thread alone; in another one nothing changes.
    """
    request = ShutdownRequest()
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
