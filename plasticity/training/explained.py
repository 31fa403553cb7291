"""What ends a job, in words for users: too little memory, too small a batch, failing own code."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from plasticity.core.errors import UserError, shown
from plasticity.runs import Run
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
}
"""How the functions of a user's own are called, by the kind of word that they declare."""

MADE = {"optimiser": "/torch/optim/", "model": "/plasticity/models/network.py"}
"""Where what they make may be at work, in code that is not their own."""


@contextmanager
def explained(run: Run, log: Callable[[str], None]) -> Iterator[None]:
    """Raise `UserError`, which says what to do, for what ends the last stage of `run` in here.

    An error of code of a user's own names its place, and its traceback is left in the log. Any
    other error is left as it is.
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
        if blamed := own_code(run, error):
            log(traceback.format_exc())
            raise blamed from error
        raise


def own_code(run: Run, error: Exception) -> UserError | None:
    """What to say of an `error` in what a word of `run` declares; None where it is in none."""
    frames = traceback.extract_tb(error.__traceback__)
    stage = run.stage
    first = (str(error).strip() or "no message").splitlines()[0]
    if "CUDA" in first or "cuDNN" in first:  # of the device, wherever it comes to light
        return None
    for term in (stage.optimiser, stage.start, run.model):
        member = term.member
        file = inspect.getsourcefile(member.function) or ""
        inside = MADE.get(member.kind)
        own = [frame for frame in frames if frame.filename == file]
        if own or (inside and any(inside in frame.filename for frame in frames)):
            where = f"{own[-1].filename}, line {own[-1].lineno}" if own else file
            return UserError(
                f"{member.kind} {member.name}: its code failed in stage '{stage}' "
                f"({type(error).__name__}: {shown(first)}); correct {where}: "
                f"{EXPECTED[member.kind]}"
            )
    return None


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
        f"stage '{run.stage}': {operation}, which model {run.model} (or its optimiser) uses, gives "
        "other bits each time on this device, and results here are reproducible to the bit; take a "
        "layer that computes the same otherwise, such as a mean instead of adaptive pooling"
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
