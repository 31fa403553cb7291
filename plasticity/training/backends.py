"""How torch is asked to compute: the same bits each time, and its compiler left unloaded.

Nothing is compiled by default, and loading the compiler takes 1.7 s of the CPU, as long as a short
stage: hence the two uses of what torch keeps private, `bare_step` and `leave_compiler_unloaded`.
Either of them alone saves nothing.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.optim import Optimizer

from plasticity.runs.compute import Precision

DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "tfloat32": torch.float32,
    "bfloat16": torch.bfloat16,
}
"""What the forward pass computes in, by the name of a precision."""


def prepare_backends(
    threads: int, precision: Precision = "float32", *, compiles: bool = False
) -> None:
    """Ask torch for the same bits on every execution, with `threads` threads on the CPU.

    Without `compiles` torch's compiler is left unloaded.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic with it
    # float32 means float32, not TF32, whatever the environment says.
    rounds = precision == "tfloat32"
    torch.set_float32_matmul_precision("high" if rounds else "highest")
    cudnn: Any = torch.backends.cudnn
    cudnn.allow_tf32 = rounds  # it and the next two must agree, or torch cannot read it
    cudnn.conv.fp32_precision = cudnn.rnn.fp32_precision = "tf32" if rounds else "ieee"
    # As use_deterministic_algorithms(True), which loads the compiler to tell it as well.
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False  # it may choose another algorithm in another process
    torch.set_num_threads(threads)
    if compiles:
        torch.use_deterministic_algorithms(True)  # also for what the compiler chooses among
    else:
        leave_compiler_unloaded()


def leave_compiler_unloaded() -> None:
    """Let the methods of an optimiser do without torch's compiler.

    The first call of some imports it, only to mark them as not to be compiled. Nothing is compiled
    here, so the methods are marked with themselves. The mark is private to torch: where another
    version does not read it, the import comes back and nothing else changes.
    """
    for method in vars(Optimizer).values():
        if (wrapped := getattr(method, "__wrapped__", None)) is not None:
            wrapped.__dynamo_disable = wrapped


def bare_step(optimiser: Optimizer) -> Callable[[], object]:
    """The step of `optimiser` without torch's wrappers, which load its compiler."""
    step = partial(inspect.unwrap(type(optimiser).step), optimiser)
    return torch.no_grad()(step)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the device had too little memory; torch and CUDA's libraries use different words."""
    words = ("out of memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)
