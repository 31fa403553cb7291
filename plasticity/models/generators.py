"""The global generators of torch, NumPy and Python: dropout and a user's own code draw from them.

Everything here draws from generators of its own (`plasticity.core.rng`). The global ones begin anew
with each stage, and their states are part of its state, so that a stage has the same draws in
whatever process it is trained, killed, continued or observed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from plasticity.core import rng
from plasticity.runs import Run


def seed(run: Run, device: torch.device) -> None:
    """Begin all of them anew for the last stage of `run`, that of a GPU where `device` is one.

    The seed tells stages of one run apart, and not a rung from what continues it.
    """
    _begin(rng.derive(run.seed, "global", len(run.stages)), device)


def _begin(drawn: int, device: torch.device) -> None:
    torch.default_generator.manual_seed(drawn)
    if device.type == "cuda":
        torch.cuda.manual_seed(drawn)
    np.random.seed(drawn % 2**32)
    random.seed(drawn)


def states(device: torch.device) -> dict[str, Tensor]:
    """Their present states, by name: torch's as uint8, the others as float64; all on the CPU."""
    numpy = np.random.get_state(legacy=False)
    mersenne, gauss = numpy["state"], (numpy["has_gauss"], numpy["gauss"])
    _, python, left = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        **({"cuda": torch.cuda.get_rng_state()} if device.type == "cuda" else {}),
        "numpy": _listed([*mersenne["key"], mersenne["pos"], *gauss]),
        "python": _listed([*python, np.nan if left is None else left]),
    }


def _listed(numbers: Sequence[float]) -> Tensor:
    # On the CPU also where networks are made without numbers.
    return torch.tensor(numbers, dtype=torch.float64, device="cpu")


def restore(found: Mapping[str, Tensor]) -> None:
    """Put them into the `states` that were `found`."""
    torch.set_rng_state(found["torch"])
    if "cuda" in found:
        torch.cuda.set_rng_state(found["cuda"])
    *key, position, has_gauss, gauss = found["numpy"].tolist()
    mersenne = np.array(key, dtype=np.uint32)
    np.random.set_state(("MT19937", mersenne, int(position), int(has_gauss), gauss))
    *python, left = found["python"].tolist()
    random.setstate((3, tuple(map(int, python)), None if np.isnan(left) else left))


@contextmanager
def kept(device: torch.device) -> Iterator[None]:
    """Leave them as they were, whatever draws from them here."""
    before = states(device)
    try:
        yield
    finally:
        restore(before)


@contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """Begin those of the CPU anew from `generator` in here; afterwards they are as they were."""
    cpu = torch.device("cpu")
    with kept(cpu):
        _begin(int(torch.randint(2**62, (), generator=generator)), cpu)
        yield
