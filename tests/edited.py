"""A copy of the library that is edited, and the runs whose digests are taken of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import plasticity
from plasticity.pipeline import closure, digests, tokens
from plasticity.runs import Run, Term
from plasticity.runs.kinds import TUNE, Job
from plasticity.runs.provenance import outdated

ADAM = Run.parse("cifar10/resnet18/seed0/full_adam-lr0.001_e500_init")
TICKET = Run.parse("cifar10/resnet20/seed0/full+augment_sgd-lr0.1_e160_ticket8-noise1")
SGD = Run.parse("cifar10/resnet18/seed0/full_sgd-lr0.1_e500_init")
RESET = Run.parse(
    "cifar10/resnet18/seed0/half_adam-lr0.001_e350_init/full_adam-lr0.001_e500_reset6"
)
REWOUND = Run.parse(
    "cifar10/resnet20/seed0/full_sgd-lr0.1_i500_init/full_sgd-lr0.1_till160_ticket2-random"
)
ROOT = Path(plasticity.__file__).parents[1]


digest_of = cache(tokens.digest_of)
"""All tests look at the same files, of which each changes a few."""


def training(run: Run) -> dict[str, str]:
    """The components of the tuning of `run`."""
    return digests.components(Job(TUNE, run))


def edit(path: Path, change: Callable[[str], str]) -> None:
    """Change the text of a module, and forget the digests taken before."""
    before = path.read_text(encoding="utf-8")
    after = change(before)
    assert after != before
    path.write_text(after, encoding="utf-8")
    digests.forget()


def append(path: Path, text: str = "print('changed')") -> None:
    """Add `text` to a module."""
    edit(path, lambda code: f"{code}\n\n{text}\n")


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The components in which two results differ."""
    return outdated(before, after, ())


def file_of(term: Term[Any]) -> str:
    """The component that declares a word of a registry."""
    return closure.name_of(closure.path_of(next(iter(closure.sources_of(term.member.function)))))
