"""A recorder for the CPU, as strict as a CUDA graph: what it replays is the operations alone.

Python does not run again in a replay: a number that it held is frozen, a tensor that it replaced is
still the old one. Operations that read a value from the device, or whose shapes follow one, are
refused, as a stream that is being captured refuses them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from plasticity.core.errors import UserError

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal", "item")
"""Operations that wait for the device."""


class Tape:
    """Records work by its operations; `recorded` and `replayed` count how often."""

    def __init__(self, warm_ups: int = 2) -> None:
        self.warm_ups = warm_ups
        self.prepared: list[Optimizer] = []
        self.recorded = 0
        self.replayed = 0

    def prepare(self, optimiser: Optimizer) -> None:
        self.prepared.append(optimiser)

    def record(self, work: Callable[[], object]) -> Callable[[], object]:
        for _ in range(self.warm_ups):
            work()
        with _Operations() as operations:
            work()
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            with torch.inference_mode():
                for operation in operations.list:
                    operation()

        return replay


class _Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.list: list[Callable[[], None]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function.name().removeprefix("aten::").split(".")[0] in WAITS:
            raise UserError(f"{function} waits for the device")
        outputs = function(*args, **kwargs)
        used = {_memory(tensor) for tensor in tree_leaves((args, kwargs)) if _is_tensor(tensor)}
        # New memory is filled again at each replay; what was changed in place, or is another look
        # at the same memory, is there already.
        fresh = [
            (place, tensor.detach())
            for place, tensor in enumerate(tree_leaves(outputs))
            if _is_tensor(tensor) and _memory(tensor) not in used
        ]

        def again() -> None:
            made = tree_leaves(function(*args, **kwargs))
            for place, tensor in fresh:
                tensor.copy_(made[place])

        self.list.append(again)
        return outputs


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
