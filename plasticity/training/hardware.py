"""Where and how to compute: a device, a precision, threads, and how operations reach the device."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor
from torch.optim import Optimizer

from plasticity.core.errors import PlaceError, UserError
from plasticity.core.gpus import claim_gpu
from plasticity.models.network import Network
from plasticity.runs.compute import (
    EXECUTIONS,
    PRECISIONS,
    Execution,
    Precision,
    impossible,
    unrecorded,
)
from plasticity.training.backends import prepare_backends
from plasticity.training.cuda_graphs import CudaGraphExecution, CudaGraphs
from plasticity.training.loop import EagerExecution, TrainState
from plasticity.training.methods import NONE, Methods

Log = Callable[[str], None]


@dataclass(frozen=True)
class Hardware:
    """Where and how to compute: device ``cuda`` or ``cpu``, a precision, threads on the CPU.

    `slots` is how many jobs may share a GPU, which changes no result. `execution` is one of
    `runs.compute.EXECUTIONS`; what is compiled is kept in `cache`, for other jobs.
    """

    device: str
    precision: Precision
    threads: int = 1
    slots: int = 1
    execution: Execution = "auto"
    cache: Path | None = None

    def __post_init__(self) -> None:
        asked = {"precision": self.precision, "execution": self.execution}
        for (key, word), known in zip(asked.items(), (PRECISIONS, EXECUTIONS), strict=True):
            if word not in known:
                raise UserError(f"{key}: {word!r} is not known; expected {', '.join(known)}")
        if complaint := impossible(self.device, **asked):
            raise UserError(complaint)

    @property
    def carried_out(self) -> Execution:
        """How operations reach the device, where ``auto`` stands for what is right for it."""
        usual: Execution = "graph" if self.device == "cuda" else "eager"
        return usual if self.execution == "auto" else self.execution

    def stepping(self, passes: int) -> Hardware:
        """The same for a rule of so many `passes` a step: several are not recorded.

        Raises `UserError` where `execution` asks for it.
        """
        if passes == 1:
            return self
        if complaint := unrecorded(self.execution, passes):
            raise UserError(complaint)
        return replace(self, execution="eager")

    @property
    def name(self) -> str:
        """What the device is called."""
        return torch.cuda.get_device_name() if self.device == "cuda" else cpu_name()

    @property
    def gpu(self) -> str:
        """The model of the GPU in use, which moves bits: its name and compute capability.

        Empty on the CPU.
        """
        return f"{self.name} ({compute_capability()})" if self.device == "cuda" else ""

    def free_memory(self, device: torch.device) -> int | None:
        """The bytes that are free on a GPU; None on the CPU, where data lie already."""
        return torch.cuda.mem_get_info(device)[0] if self.device == "cuda" else None

    def take(self, log: Log) -> torch.device:
        """The device, ready to compute: a GPU of which this process holds a slot until it ends.

        Raises `PlaceError` where there is no GPU to take, torch cannot use it, or it cannot compute
        in the precision.
        """
        if self.device == "cuda":
            claim_gpu(log, self.slots)
            if not torch.cuda.is_available():
                raise PlaceError(
                    f"torch {torch.__version__} (for CUDA {torch.version.cuda}) cannot use the GPU "
                    "that was taken for this job; install a build of torch that fits the driver"
                )
        compiles = self.carried_out == "compiled"
        if compiles and self.cache:  # before torch's compiler is loaded, which sets it itself
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(self.cache.absolute()))
        prepare_backends(self.threads, self.precision, compiles=compiles)
        if self.device == "cuda":
            self._require_precision()
        return torch.device(self.device)

    def _require_precision(self) -> None:
        """Raise `PlaceError` where the GPU that was taken would only imitate the precision."""
        imitated = self.precision != "float32" and not torch.cuda.is_bf16_supported(
            including_emulation=False
        )
        if imitated:
            raise PlaceError(
                f"precision: {self.precision} needs a GPU of compute capability 8.0 or higher, and "
                f"{self.name} has {compute_capability()}; run this on another GPU, or with "
                "precision: float32 in another folder (--directory)"
            )

    def train_state(
        self,
        network: Network,
        optimiser: Optimizer,
        mask: Mapping[str, Tensor] = MappingProxyType({}),
        passes: int = 1,
        methods: Methods = NONE,
    ) -> TrainState:
        """`network`, on the device, with its `optimiser`, which has made no step yet.

        `mask` says, by name, which weights of a pruned network are left; the optimiser makes so
        many `passes` a step; `methods` act beside it.
        """
        if self.carried_out == "compiled":
            network.compile(dynamic=False)
        masks = []
        for name, layer in mask.items():
            weight = network.get_parameter(name)
            # In the memory order of the weight, which makes multiplying fast.
            masks.append((weight, torch.empty_like(weight).copy_(layer).detach()))
        execution = self._execution(optimiser)
        return TrainState(network, optimiser, self.precision, masks, execution, passes, methods)

    def _execution(self, optimiser: Optimizer) -> EagerExecution:
        if self.device != "cuda" or self.carried_out == "eager":
            return EagerExecution()
        graphs = CudaGraphs()
        graphs.prepare(optimiser)
        return CudaGraphExecution(graphs)


def compute_capability() -> str:
    """That of the GPU in use, such as 9.0: what kernels are compiled for."""
    return ".".join(map(str, torch.cuda.get_device_capability()))


def cpu_name() -> str:
    """The processor's name, or its architecture where the system does not tell the name."""
    try:
        listed = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        found = re.search(r"^model name\s*:\s*(.+)$", listed, re.M)
    except OSError:
        found = None
    return found[1] if found else platform.machine()
