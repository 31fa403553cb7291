"""What ends a job, in words for users: too little memory, too small a batch, failing own code."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plasticity.core.errors import UserError, shown
from plasticity.runs import Member, Run, Term, extensions
from plasticity.training.backends import is_out_of_memory

EXPECTED = {
    "model": "it is given classes, channels, height and width, and returns a torch module that is "
    "called with images [n, channels, height, width] and returns logits [n, classes]",
    "optimiser": "it is given the parameters and returns a torch optimiser, whose step is called "
    "once a batch, after its gradients were made, with a closure where its facts declare passes; "
    "a parameter may have no gradient",
    "start": "it is given the network and a generator, behind them batches of images and labels "
    "where its facts ask for some, and changes the network in place; gradients are "
    "made within torch.enable_grad()",
    "method": "it is given the network of the stage and another one as the run was initialised, "
    "and returns a plasticity.interventions.method.Method, which says what its parts are given",
}
"""How the functions of a user's own are called, by the kind of word that they declare."""

MADE = {"optimiser": "/torch/optim/", "model": "/plasticity/models/network.py"}
"""Where what they make may be at work, in code that is not their own."""

CALLED = {
    **MADE,
    "start": "/plasticity/training/initial_state.py",
    "method": "/plasticity/training/methods.py",
}
"""By which file they are called: of several words of one file, the one called last has failed."""


@contextmanager
def explained(run: Run, log: Callable[[str], None]) -> Iterator[None]:
    """Raise `UserError`, which says what to do, for what ends the last stage of `run` in here.

    An error of code of a user's own names its place, and the lines of that code that led there are
    left in the log. Any other error is left as it is.
    """
    try:
        yield
    except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError,
            AssertionError, ImportError) as error:  # fmt: skip
        if isinstance(error, RuntimeError) and is_out_of_memory(error):
            raise out_of_memory(run, error) from error
        if "Expected more than 1" in str(error) and "when training" in str(error):
            raise too_few_values(run) from error
        if "deterministic implementation" in str(error):
            raise not_deterministic(run, error) from error
        if blamed := own_code(run, error, log):
            raise blamed from error
        raise


def own_code(run: Run, error: Exception, log: Callable[[str], None]) -> UserError | None:
    """What to say of an `error` in what a word of `run` declares; None where it is in none."""
    frames = traceback.extract_tb(error.__traceback__)
    stage = run.stage
    first = (str(error).strip() or "no message").splitlines()[0]
    if "CUDA" in first or "cuDNN" in first:  # of the device, wherever it comes to light
        return None
    terms: list[Term[Any]] = [stage.optimiser, *stage.methods, stage.start, run.model]
    words = [term.member for term in terms]
    suspects = [one for member in words if (one := _suspected(member, frames))]
    if not suspects:
        return None
    one = max(suspects, key=lambda one: (one.is_own, one.called))
    log("".join(traceback.format_list(one.lines)).rstrip())
    last = one.lines[-1]
    where = f"{last.filename}, line {last.lineno}" if one.is_own else _file_of(one.member)
    return UserError(
        f"{one.member.kind} {one.member.name}: its code failed in stage '{stage}' "
        f"({type(error).__name__}: {shown(first)}); correct {where}: {EXPECTED[one.member.kind]}"
    )


@dataclass(frozen=True)
class _Suspect:
    """A word whose code may have failed: the `lines` that led there, and since when it ran."""

    member: Member[Any]
    lines: Sequence[traceback.FrameSummary]
    is_own: bool
    called: int


def _suspected(member: Member[Any], frames: Sequence[traceback.FrameSummary]) -> _Suspect | None:
    """`member`, if it is at work in `frames`: in its own files, or by what it made."""
    file = _file_of(member)
    beside = [one.has for one in extensions.in_use() if one.has(Path(file))]
    own = [
        frame
        for frame in frames
        if frame.filename == file or any(has(Path(frame.filename)) for has in beside)
    ]
    by = CALLED[member.kind]
    called = max((at for at, frame in enumerate(frames) if by in frame.filename), default=-1)
    if own:
        return _Suspect(member, own, True, called)
    is_made = member.kind in MADE and called >= 0
    return _Suspect(member, frames[called:], False, called) if is_made else None


def _file_of(member: Member[Any]) -> str:
    return inspect.getsourcefile(member.function) or ""


def out_of_memory(run: Run, error: Exception) -> UserError:
    """What to do where the device has too little memory for a stage."""
    batch = run.stage.optimiser.options["batch"]
    first = str(error).strip().splitlines()[0]
    return UserError(
        f"stage '{run.stage}': out of memory on the device with batches of {batch} ({first}). "
        "Use a GPU with more memory or fewer jobs a GPU, or train with smaller batches (-b in the "
        "optimiser's name, batch in the configuration), which are other runs"
    )


def not_deterministic(run: Run, error: Exception) -> UserError:
    """What to do where an operation would give other bits each time."""
    operation = str(error).split()[0]
    return UserError(
        f"stage '{run.stage}': {operation}, which model {run.model} (or its optimiser "
        "or a method) uses, gives other bits each time on this device, and results here are "
        "reproducible to the bit; take a layer that computes the same otherwise, such as a mean "
        "instead of adaptive pooling"
    )


def too_few_values(run: Run) -> UserError:
    """What to do where a batch leaves a layer of normalisation nothing to take a mean over."""
    batch = run.stage.optimiser.options["batch"]
    return UserError(
        f"stage '{run.stage}': with batches of {batch} on {run.dataset}, a layer of normalisation "
        f"of {run.model} is left a single value a channel, which has no deviation. Train with "
        "larger batches (-b in the optimiser's name, batch in the configuration), or on larger "
        "images"
    )
