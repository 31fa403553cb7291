"""Tensors that get back the values which they had."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


def undoing(tensors: Sequence[Tensor]) -> Callable[[], None]:
    """What gives `tensors` the values back that they have now."""
    before = [tensor.detach().clone() for tensor in tensors]

    def undo() -> None:
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)

    return undo


@contextmanager
def put_back(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Leave the values of `tensors` as they were, whatever happens to them here."""
    undo = undoing(tensors)
    try:
        yield
    finally:
        undo()
