"""How every script of the workflow starts and ends: quick imports, a log, errors to be read."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import Any, Protocol

from plasticity.core.logs import logged

Log = Callable[[str], None]
"""Writes a line to the log of a job."""


class Given(Protocol):
    """What Snakemake gives a script under the name ``snakemake``: its directives, by name."""

    rule: str
    input: Any
    output: Any
    params: Any
    wildcards: Any
    resources: Any
    threads: int
    log: Any
    config: dict[str, Any]


def call(function: str, given: Given) -> None:
    """Call a function of this package, such as ``training:train``, with its log.

    A mistake of the user's ends the process with its message alone.
    """
    with logged(given.log[0]) as log:
        with quick_imports():
            found: Callable[[Given, Log], None] = resolve_name(f"{__package__}.{function}")
        found(given, log)


@contextmanager
def quick_imports() -> Iterator[None]:
    """What is imported inside is not looked at for garbage.

    Python would look through all of it time and again while more is imported, and thrice as the
    process ends. Modules stay until then anyway. With torch that saves 0.7 of 3.2 seconds of CPU.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def present(names: Any, name: str) -> Any:
    """The entry called `name` of an input, an output or parameters; None where there is none."""
    return names[name] if name in names.keys() else None  # noqa: SIM118 (not a dict)
