"""A recorder for the CPU, as strict as a CUDA graph: what it replays is the operations alone.

Python does not run again in a replay: a number that it held is frozen, a tensor that it replaced is
still the old one. Operations that read a value from the device, or whose shapes follow one, are
refused, as a stream that is being captured refuses them; so are those between two devices, and
those that have no deterministic form on a GPU.
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
from plasticity.training.cuda_graphs import put_rates_on_device

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal", "item")
"""Operations that wait for the device."""

THROWS = {
    "torch.nn.AvgPool3d": ["avg_pool3d_backward"],
    "torch.nn.AdaptiveAvgPool2d": ["_adaptive_avg_pool2d_backward"],
    "torch.nn.AdaptiveAvgPool3d": ["_adaptive_avg_pool3d_backward"],
    "torch.nn.AdaptiveMaxPool2d": ["adaptive_max_pool2d_backward"],
    "torch.nn.FractionalMaxPool2d": ["fractional_max_pool2d_backward"],
    "torch.nn.FractionalMaxPool3d": ["fractional_max_pool3d_backward"],
    "torch.nn.MaxUnpool1d": ["max_unpool2d"],
    "torch.nn.MaxUnpool2d": ["max_unpool2d"],
    "torch.nn.MaxUnpool3d": ["max_unpool3d"],
    "torch.nn.functional.interpolate": [
        f"upsample_{mode}_backward" for mode in ("linear1d", "bilinear2d", "bicubic2d")
    ]
    + ["upsample_trilinear3d_backward", "_upsample_bilinear2d_aa_backward"],
    "torch.nn.ReflectionPad1d": ["reflection_pad1d_backward"],
    "torch.nn.ReflectionPad2d": ["reflection_pad2d_backward"],
    "torch.nn.ReflectionPad3d": ["reflection_pad3d_backward"],
    "torch.nn.NLLLoss": ["nll_loss2d_forward"],  # that of labels [n] does not
    "torch.nn.CTCLoss": ["_ctc_loss_backward"],
    "torch.nn.EmbeddingBag": ["_embedding_bag_dense_backward"],
    "torch.Tensor.put_": ["put_"],
    "torch.histc": ["histc"],
    "torch.bincount": ["bincount"],
    "torch.median": ["median", "nanmedian"],
    "torch.nn.functional.grid_sample": ["grid_sampler_2d_backward", "grid_sampler_3d_backward"],
    "torch.cumsum": ["cumsum", "cumsum_"],
    "torch.Tensor.scatter_reduce": ["scatter_reduce", "scatter_reduce_"],
    "torch.Tensor.resize_": [],  # of quantised tensors
}
"""What torch documents to throw on a GPU under deterministic algorithms, and its operations."""

UNDETERMINED = {name for names in THROWS.values() for name in names}


class Tape:
    """Records work by its operations; `recorded` and `replayed` count how often."""

    def __init__(self, warm_ups: int = 2) -> None:
        self.warm_ups = warm_ups
        self.prepared: list[Optimizer] = []
        self.recorded = 0
        self.replayed = 0

    def prepare(self, optimiser: Optimizer) -> None:
        self.prepared.append(optimiser)
        put_rates_on_device(optimiser)

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
        name = function.name().removeprefix("aten::").split(".")[0]
        if name in WAITS:
            raise UserError(f"{function} waits for the device")
        if name in UNDETERMINED:
            raise UserError(f"{function} has no deterministic form on a GPU")
        given = [tensor for tensor in tree_leaves((args, kwargs)) if _is_tensor(tensor)]
        if len({tensor.device for tensor in given}) > 1:
            raise UserError(f"{function} mixes devices")
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
