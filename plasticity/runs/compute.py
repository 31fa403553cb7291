"""How a job may compute, in words: precisions, ways of execution, and which need a GPU."""

from __future__ import annotations

from typing import Literal, get_args

Precision = Literal["float32", "tfloat32", "bfloat16"]
"""What the forward pass computes in; with ``tfloat32`` a GPU rounds what it multiplies to it."""

Execution = Literal["auto", "eager", "graph", "compiled"]
"""How operations reach the device: as is right for it, one by one, as a recorded CUDA graph, or
compiled (and on a GPU recorded)."""

PRECISIONS: tuple[str, ...] = get_args(Precision)
EXECUTIONS: tuple[str, ...] = get_args(Execution)

NEED_A_GPU = {"precision": "tfloat32", "execution": "graph"}
"""What no processor can do, by the setting that may ask for it."""


def impossible(device: str, **asked: str) -> str | None:
    """What is wrong with settings, such as ``precision="float32"``, on `device`; or nothing."""
    for key, word in asked.items():
        if device != "cuda" and NEED_A_GPU.get(key) == word:
            return f"{key}: {word} needs a GPU (device: cuda); choose another one"
    return None


def unrecorded(execution: str, passes: int) -> str | None:
    """What is wrong with an `execution` for a rule of so many `passes` a step; or nothing."""
    if passes == 1 or execution in ("auto", "eager"):
        return None
    return (
        f"execution: {execution} records a step, and this optimiser evaluates the loss {passes} "
        "times in one, as it decides itself; train with execution: auto or eager"
    )
