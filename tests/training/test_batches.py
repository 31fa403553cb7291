"""The order of an epoch: what it depends on, and drawing with replacement."""

import numpy as np
import pytest
import torch
from tiny import TUNE

from plasticity.runs import Run
from plasticity.training import batches as module
from plasticity.training.batches import Subset, order_of, shuffled


def batches(run: Run, epoch: int, subset: Subset) -> torch.Tensor:
    """The indices of an epoch, int64 [steps, batch]."""
    order = order_of(run, subset, None)
    return order.epoch_batches((epoch - 1) * order.steps.per_epoch)[0]


def test_a_drift_moves_from_the_half_to_everything():
    """Fractions of indices outside of the half, against half of the formula's probability."""
    run = Run.parse("digits-clutter/resnet-d1w2/seed0/drift0.5_adam-lr0.01-b100_e10_init")
    subset = Subset(torch.arange(10_000), 20_000)
    for epoch in (1, 2, 10):
        drawn = batches(run, epoch, subset)
        assert drawn.shape == (200, 100)  # as many steps as a pass through everything
        n = np.arange(1, 201) + (epoch - 1) * 200
        expected = (1 - 0.5 ** (50 * n / 2000)) / 2
        outside = (drawn >= 10_000).double().mean(dim=1).numpy()
        # 20,000 independent draws, each outside with a chance of at most a half.
        assert abs(outside.mean() - expected.mean()) < 4 * 0.5 / np.sqrt(20_000)
        assert drawn.min() >= 0
        assert drawn.max() < 20_000
    first = (batches(run, 1, subset)[0] >= 10_000).sum()
    assert first < 10  # the first batch hardly leaves the half: an expected 0.9 of 100


def test_the_fraction_of_a_drift_is_that_of_the_formula_at_every_step(monkeypatch):
    """With n from 1 to N over all epochs (appendix A.2)."""
    monkeypatch.setattr(module, "with_replacement", lambda subset, fractions, *rest: fractions)
    run = Run.parse("digits-clutter/resnet-d1w2/seed0/drift0.9_adam-lr0.01-b16_e3_init")
    subset = Subset(torch.arange(35), 70)  # 4 whole batches an epoch
    fractions = torch.cat([batches(run, epoch, subset) for epoch in (1, 2, 3)])
    assert fractions.tolist() == pytest.approx([1 - 0.9 ** (50 * n / 12) for n in range(1, 13)])


def test_a_drift_draws_with_replacement_and_uniformly():
    run = Run.parse("digits-clutter/resnet-d1w2/seed0/resampled_adam-lr0.01-b100_e1_init")
    drawn = batches(run, 1, Subset(torch.arange(10_000), 10_000)).flatten()
    # Of 10,000 draws with replacement 1 - 1/e are different ones, 63.2%, deviation 0.3%.
    assert len(drawn.unique()) / 10_000 == pytest.approx(0.632, abs=0.015)


def test_a_drift_depends_on_seed_and_position_alone():
    path = "digits-clutter/resnet-d1w2/seed{}/drift0.5_adam-lr0.01-b16_e{}_init"
    subset = Subset(torch.arange(32), 64)
    run = Run.parse(path.format(0, 4))
    assert torch.equal(batches(run, 2, subset), batches(run, 2, subset))
    assert not torch.equal(batches(run, 2, subset), batches(run, 3, subset))
    assert not torch.equal(
        batches(run, 2, subset), batches(Run.parse(path.format(1, 4)), 2, subset)
    )


def test_cold_and_warm_tuning_see_the_same_batches():
    cold = Run.parse("digits-clutter/resnet-d1w2/seed0/full_adam-lr0.01-b16_e3_init")
    warm = Run.parse(TUNE.format(pretrain=2, tune=3))
    subset = Subset(torch.arange(64), 64)
    for epoch in (1, 2):
        assert torch.equal(batches(cold, epoch, subset), batches(warm, epoch, subset))
    assert not torch.equal(batches(cold, 2, subset), batches(cold, 3, subset))


def test_an_epoch_is_a_permutation_without_its_last_short_batch():
    indices = torch.arange(100, 170)
    batches = shuffled(indices, 16, torch.Generator())
    seen = batches.flatten()
    assert batches.shape == (4, 16)
    assert len(seen.unique()) == 64
    assert set(seen.tolist()) <= set(indices.tolist())
