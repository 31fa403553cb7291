"""Digests of the code that makes data, tables and figures."""

import pytest
from edited import ADAM, RESET, SGD, TICKET, append, file_of, training

from plasticity.pipeline import digests
from plasticity.runs import data_selections, datasets
from plasticity.runs.provenance import Code

# The other jobs


def depends(package, digest, module):
    before = digest()
    append(package / module, "VALUE = 1")
    return digest() != before


@pytest.mark.parametrize(
    ("module", "counts"),
    [("core/rng.py", True), ("data/splits.py", True), ("training/loop.py", False)],
)
def test_a_split_depends_on(package, module, counts):
    full = data_selections.parse("full")
    assert depends(package, lambda: digests.split(full).digest, module) == counts


@pytest.mark.parametrize(
    ("module", "counts"),
    [("data/storage.py", True), ("core/rng.py", True), ("training/loop.py", False)],
)
def test_a_data_set_depends_on(package, module, counts):
    digits = datasets.parse("digits-clutter")
    assert depends(package, lambda: digests.dataset(digits).digest, module) == counts
    assert depends(package, lambda: digests.dataset(digits).digest, file_of(digits))


@pytest.mark.parametrize(
    ("module", "counts"),
    [
        *(
            ("analysis/summary/runs.py", True),
            ("analysis/stats.py", True),
            ("runs/metrics.py", True),
        ),
        *(("training/loop.py", False), ("analysis/figures/style.py", False)),
    ],
)
def test_tables_depend_on(package, module, counts):
    assert depends(package, digests.summary, module) == counts


@pytest.mark.parametrize(
    ("module", "counts"),
    [
        *(("analysis/figures/resets.py", True), ("analysis/figures/style.py", True)),
        *(("analysis/figures/__init__.py", True), ("analysis/figures/warm_start.py", False)),
        *(("training/loop.py", False), ("observe/final_states.py", False)),
    ],
)
def test_a_drawing_depends_on(package, module, counts):
    assert depends(package, lambda: digests.drawing("resets"), module) == counts


def test_different_jobs_have_different_digests():
    all_of_them = [
        *(Code(training(run)).digest for run in (ADAM, SGD, RESET, TICKET)),
        *(digests.split(data_selections.parse(name)).digest for name in ("full", "half")),
        *(digests.dataset(datasets.parse(name)).digest for name in ("svhn", "cifar10", "svhn-n10")),
        *(digests.summary(), digests.claims()),
        *(digests.drawing(name) for name in ("resets", "warm_start")),
        *(digests.preview(name, [ADAM]) for name in ("resets", "warm_start")),
        digests.preview("resets", [SGD]),
        *(digests.script(name) for name in ("train.py", "prune.py")),
    ]
    assert len(set(all_of_them)) == len(all_of_them)
