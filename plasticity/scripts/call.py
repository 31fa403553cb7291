"""How every script of the workflow starts and ends: quick imports, a log, errors to be read."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from plasticity.core.gpus import hide_gpus
from plasticity.core.logs import logged, told_once
from plasticity.runs import extensions
from plasticity.runs.kinds import Job
from plasticity.runs.layout import COMPILED, REFUSED, job_of

if TYPE_CHECKING:
    from plasticity.training.hardware import Hardware

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


def call(script: str, given: Given) -> None:
    """Call the function ``main`` of the module of this package that is called like the `script`.

    A mistake of the user's ends the process with its message alone.
    """
    with logged(given.log[0]) as log:
        if given.config.get("datasets"):
            use_declared(given.config)
        with quick_imports():
            extensions.use(extensions.given(given.config))
            main: Callable[[Given, Log], None] = import_module(f"{__package__}.{script}").main
        with extensions.explained(log):
            main(given, log)


def use_declared(config: dict[str, Any]) -> None:
    """Make the data sets that `config` declares words of paths, as the main process found them."""
    from plasticity.data import declared

    declared.use(declared.of_configuration(config), renew=False)


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


@contextmanager
def attempted(given: Given) -> Iterator[Job]:
    """The job on a run that a script makes an attempt at; what no further one can mend is noted."""
    output = given.output[0]
    with told_once(Path(output).with_name(REFUSED), given.resources.attempt):
        yield job_of(output)


def present(names: Any, name: str) -> Any:
    """The entry called `name` of an input, an output or parameters; None where there is none."""
    return names[name] if name in names.keys() else None  # noqa: SIM118 (not a dict)


def paths(named: Any) -> dict[str, Path]:
    """The `named` inputs or outputs of a job, as paths."""
    return {name: Path(path) for name, path in named.items()}


def hardware_of(given: Given, place: Any) -> Hardware:
    """How to compute: `place` are the directives that name the device and the execution."""
    from plasticity.training.hardware import Hardware  # with torch, which other scripts lack

    if place.device != "cuda":
        hide_gpus()
    return Hardware(
        device=place.device,
        precision=given.params.precision,
        threads=given.threads,
        slots=given.resources.slots_per_gpu,
        execution=place.execution,
        cache=Path(COMPILED),
    )
