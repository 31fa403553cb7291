"""Transforms of labels: which are changed, to what, and the same whenever."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.runs import transforms


def terms(*spellings):
    return tuple(transforms.parse(spelling) for spelling in spellings)


def labels(n, classes=10):
    return torch.randint(classes, (n,), generator=torch_generator(0, "labels"))


def test_random_labels_are_the_same_for_the_same_stream():
    (term,) = terms("randomlabels")
    true = labels(1000)
    first, again, other = (term(true, 10, torch_generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.dtype == torch.int64


def test_random_labels_are_uniform_and_know_nothing_of_the_true_ones():
    (term,) = terms("randomlabels")
    true = labels(20_000, 5)
    found = term(true, 5, torch_generator(0))
    counts = torch.bincount(5 * true + found, minlength=25)
    # Each pair 800 times, with a deviation of some 28.
    assert len(counts) == 25
    assert (counts - 800).abs().max() < 150


@given(st.sampled_from([0.001, 0.25, 0.5, 0.9, 1.0]), st.integers(2, 5), st.integers(1, 400))
def test_that_fraction_of_wrong_labels_is_wrong(fraction, classes, count):
    (term,) = terms(f"wronglabels{fraction:g}")
    true = labels(count, classes)
    found = term(true, classes, torch_generator(count))
    assert (found != true).sum() == round(fraction * count)
    assert found.dtype == torch.int64
    assert ((found >= 0) & (found < classes)).all()
    assert torch.equal(true, labels(count, classes))


def test_wrong_labels_are_uniform_among_the_other_classes():
    (term,) = terms("wronglabels0.5")
    true = labels(20_000, 5)
    found = term(true, 5, torch_generator(0))
    counts = torch.bincount(5 * true + found, minlength=25).view(5, 5)
    others = counts[~torch.eye(5, dtype=torch.bool)]
    # Half of 4,000 of each class stay; of the others each has 500, with a deviation of some 22.
    assert (counts.diagonal() - 2000).abs().max() < 200
    assert (others - 500).abs().max() < 110


def test_wrong_labels_by_hand():
    """Which are chosen, and how far on from the true one each is."""
    (term,) = terms("wronglabels0.5")
    generator = torch_generator(0)
    chosen = torch.randperm(4, generator=generator)[:2]
    further = torch.randint(1, 3, (2,), generator=generator)
    expected = torch.tensor([0, 1, 2, 2])
    expected[chosen] = (expected[chosen] + further) % 3
    assert torch.equal(term(torch.tensor([0, 1, 2, 2]), 3, torch_generator(0)), expected)


def test_wrong_labels_of_one_class_are_refused():
    (term,) = terms("wronglabels0.5")
    with pytest.raises(UserError, match="no label is wrong where there is one class alone"):
        term(labels(4, 1), 1, torch_generator(0))
