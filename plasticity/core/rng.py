"""Random streams: one for each seed and purpose, so that no draw depends on another."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive(seed: int, *purpose: object) -> int:
    """A 63-bit seed for `purpose`, such as ``("order", "half", 3)``: equal inputs, equal seed."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def numpy_generator(seed: int, *purpose: object) -> np.random.Generator:
    """A NumPy generator for `purpose`."""
    return np.random.default_rng(derive(seed, *purpose))


def torch_generator(seed: int, *purpose: object) -> torch.Generator:
    """A torch generator on the CPU for `purpose`: the same draws whatever device trains."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *purpose))
