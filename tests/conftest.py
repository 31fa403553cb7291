"""Shared fixtures: a tiny prepared data set, a full disk, and hypothesis without surprises."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from clone import end_forge
from hypothesis import settings

from plasticity.data import storage
from plasticity.data.raw import RawData

# The same cases on every execution, so that a failure is never another machine's luck; no
# deadlines, because the machines that run this are slow and shared.
settings.register_profile("plasticity", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("plasticity")


LONGEST = (
    *("test_slurm.py", "test_workflow.py", "test_faults.py", "test_docs.py"),
    *("test_workflow_study.py", "test_workflow_early.py", "test_workflow_extensions.py"),
    *("test_newcomers.py", "test_targets.py"),
    *("test_resuming.py", "test_budget.py"),
    *("test_claims_rule.py", "test_figures.py", "test_hostile.py", "test_figures_early.py"),
    *("test_claims_verdicts.py", "test_digests.py", "test_sparse_training.py", "test_gpu_slots.py"),
)
"""Files that take a minute or more: begun first, so that no worker is left with one at the end.

The fourth is a short one, as it waits for the first: a worker is given its next file early.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session", autouse=True)
def forge() -> Iterator[None]:
    """What runs Snakemake for the tests ends with them."""
    yield
    end_forge()


@pytest.fixture
def raw() -> RawData:
    """Random images: 24 + 8 of 3 x 8 x 8 pixels in 3 classes, of which each has some."""
    generator = np.random.default_rng(0)
    return RawData(
        train_images=generator.integers(0, 256, (24, 3, 8, 8), dtype=np.uint8),
        train_labels=np.arange(24) % 3,
        test_images=generator.integers(0, 256, (8, 3, 8, 8), dtype=np.uint8),
        test_labels=np.arange(8) % 3,
        classes=["ant", "bee", "cow"],
        source="random numbers",
    )


@pytest.fixture
def prepared(tmp_path: Path, raw: RawData) -> dict[str, Path]:
    """`raw` as prepared files, by part."""
    places = {part: tmp_path / "data" / f"{part}.safetensors" for part in ("train", "test")}
    storage.write(raw, "random", **places)
    return places


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """A context in which no file can grow beyond some bytes: the disk is full."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        # Python ignores the signal that comes with it, so that writing fails with EFBIG.
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
