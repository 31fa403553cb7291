"""How torch is asked to compute: the same bits each time, and its compiler left unloaded.

Nothing is compiled by default, and loading the compiler takes 1.7 s of the CPU, as long as a short
stage: hence two uses of what torch keeps private, in `bare_step` and `leave_compiler_unloaded`.
Either of them alone saves nothing.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    # Attention operation by operation: what fuses it adds gradients in any order.
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)
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


def bare_step(optimiser: Optimizer) -> Callable[..., object]:
    """The step of `optimiser` without torch's wrappers, which load its compiler.

    On the CPU also without its check of the recording of graphs: that asks for the current stream
    of any visible GPU, which opens a context on a GPU that this process has not claimed.
    """
    parameters = (p for group in optimiser.param_groups for p in group["params"])
    if all(parameter.device.type == "cpu" for parameter in parameters):
        for name in vars(Optimizer):  # the check has two names, both private to torch
            if name.endswith("_graph_capture_health_check"):
                setattr(optimiser, name, lambda: None)
    step = partial(inspect.unwrap(type(optimiser).step), optimiser)
    return torch.no_grad()(step)


OUT_OF_MEMORY = ("out of memory", "alloc_failed")
"""What torch and CUDA's libraries say, in lower case, where memory is short."""

AMBIGUOUS = (
    "unable to find an engine to execute this computation",
    "cublas_status_not_initialized",
)
"""What cuDNN and cuBLAS say, in lower case, where memory is short and for other reasons too."""


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the device had too little memory; torch and CUDA's libraries use different words."""
    said = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError)
        or any(words in said for words in OUT_OF_MEMORY)
        or (any(words in said for words in AMBIGUOUS) and shortages() > 0)
    )


def shortages() -> int:
    """How often this process has found too little memory on its GPU; opens none."""
    return int(torch.cuda.memory_stats().get("num_ooms", 0))


@contextmanager
def refusing_shortages() -> Iterator[None]:
    """Raise `torch.OutOfMemoryError` where the GPU's memory ran short in this block.

    cuDNN looks for memory to work in, and where there is too little takes another algorithm
    without a word, which gives other bits.
    """
    before = shortages()
    yield
    if found := shortages() - before:
        raise torch.OutOfMemoryError(
            f"memory ran short {found} times, upon which cuDNN takes other algorithms that give "
            "other bits"
        )
