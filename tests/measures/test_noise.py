"""Noise of gradients: against brute force, enumeration and simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from nets import cut, data, loss_of_row, normalised
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from plasticity.measures import noise
from plasticity.measures.estimates import jackknife, mean
from plasticity.measures.rows import in_a_row


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestGradients:
    def test_they_are_those_of_training(self):
        network, batches = normalised(), cut(data(12), 4)
        found = noise.batch_gradients(network, batches)
        assert found.batch == 4
        for row, loss, (images, labels) in zip(found.rows, found.losses, batches, strict=True):
            network.zero_grad()
            expected = cross_entropy(network.train()(images), labels)
            expected.backward()
            gradient = in_a_row([parameter.grad for parameter in network.parameters()])
            assert torch.equal(loss, expected.detach())
            assert torch.equal(row, gradient)

    def test_the_network_is_left_as_it_was(self):
        network = normalised().eval()
        network[3].train()
        state = {name: value.clone() for name, value in network.state_dict().items()}
        network[4].weight.grad = torch.ones(3, 8)
        noise.batch_gradients(network, cut(data(8), 4))
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
        assert [module.training for module in network] == [False, False, False, True, False]
        assert network[0].weight.grad is None
        assert torch.equal(network[4].weight.grad, torch.ones(3, 8))

    def test_a_frozen_parameter_has_no_place_and_an_unused_one_zeros(self):
        network = normalised()
        network[0].weight.requires_grad_(False)
        network.register_parameter("unused", nn.Parameter(torch.ones(5)))
        rows = noise.batch_gradients(network, cut(data(4), 4)).rows
        assert rows.shape == (1, 49 - 18 + 5)
        assert not rows[0, :5].any()

    def test_batches_of_several_sizes_are_refused(self):
        with pytest.raises(ValueError, match=r"batches of \[2, 4\] examples, expected"):
            noise.batch_gradients(normalised(), cut(data(6), 4))


class TestGram:
    @pytest.mark.parametrize("piece", [3, 2**20])
    def test_it_holds_the_inner_products(self, piece: int, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(noise, "PIECE", piece)
        rows, scale = normal(0, 4, 10).float(), normal(1, 10).float()
        plain, seen = rows.double(), (rows * scale).double()
        assert torch.allclose(noise.gram(rows), plain @ plain.T)
        assert torch.allclose(noise.gram(rows, scale), seen @ seen.T, rtol=1e-5)

    def test_the_scale_is_that_of_adam(self):
        weight = nn.Parameter(torch.zeros(5))
        adam = torch.optim.Adam([weight], lr=1.0, betas=(0.8, 0.9), eps=1e-3)
        for step in range(4):
            before = weight.detach().clone()
            weight.grad = normal(step, 5).float()
            adam.step()
        state = adam.state[weight]
        scale = noise.adam_scale([state["exp_avg_sq"]], 4, 0.9, 1e-3)
        average = state["exp_avg"] / (1 - 0.8**4)
        assert torch.allclose(before - weight.detach(), scale * average, rtol=1e-4)


def pairings(members: list[int]) -> Iterator[list[tuple[int, int]]]:
    """All ways to cut `members` into pairs."""
    if not members:
        yield []
        return
    first, *others = members
    for other in others:
        for rest in pairings([one for one in others if one != other]):
            yield [(first, other), *rest]


class TestOfAllExamples:
    """Batches of a small data set against the gradients of its single examples."""

    @pytest.fixture
    def network(self) -> nn.Module:
        network = normalised()
        network[1] = nn.Identity()
        return network

    def test_single_examples_give_their_covariance(self, network: nn.Module):
        images, labels = data(6)
        gradients = []
        for one in range(6):
            loss, row = loss_of_row(network, (images[one : one + 1], labels[one : one + 1]))
            gradients.append(torch.func.grad(loss)(row))
        expected = torch.stack(gradients).double()
        found = noise.gram(noise.batch_gradients(network, cut((images, labels), 1)).rows)
        assert noise.trace(found, 1) == pytest.approx(float(expected.var(dim=0).sum()), rel=1e-5)

    def test_disjoint_batches_are_right_on_average_over_all_ways_to_cut(self, network: nn.Module):
        images, labels = data(6)
        single = noise.batch_gradients(network, cut((images, labels), 1)).rows.double()
        spread = float(single.var(dim=0).sum())
        ways = list(pairings(list(range(6))))
        assert len(ways) == 15
        grams = []
        for way in ways:
            batches = [(images[list(pair)], labels[list(pair)]) for pair in way]
            grams.append(noise.gram(noise.batch_gradients(network, batches).rows))
        traces = torch.tensor([noise.trace(gram, 2) for gram in grams])
        signals = torch.tensor([noise.squared_norm(gram) for gram in grams])
        assert float(traces.mean()) == pytest.approx(spread, rel=1e-4)
        short = float(single.mean(dim=0).square().sum()) - spread / 6
        assert float(signals.mean()) == pytest.approx(short, rel=1e-4)
        assert float(traces.std()) > 0.01 * spread  # each way alone is off


BATCH = 8
MEAN = torch.tensor([3.0, -2.0, 0.0, 0.0, 1.0, 0.5], dtype=torch.float64)
DEVIATIONS = torch.tensor([8.0, 2.0, 1.0, 1.0, 0.5, 0.0], dtype=torch.float64)
"""Of single examples: the trace is 70.25, the largest eigenvalue 64, the squared norm 14.25."""


def simulated(statistic: Callable[[Tensor], float], count: int, draws: int = 2000) -> Tensor:
    """`statistic` of so many independent Grams of `count` batches each."""
    noises = normal(count, draws, count, len(MEAN)) * DEVIATIONS / math.sqrt(BATCH)
    rows = MEAN + noises
    return torch.tensor([statistic(gram) for gram in rows @ rows.mT], dtype=torch.float64)


def assert_mean(values: Tensor, expected: float):
    """Within four standard errors, which say enough to tell it from a bias of a tenth."""
    found = mean(values.tolist())
    assert found.error < abs(expected) / 40
    assert abs(found.value - expected) < 4 * found.error


class TestSimulated:
    @pytest.mark.parametrize("count", [2, 5])
    def test_trace_and_squared_norm_are_unbiased(self, count: int):
        assert_mean(simulated(lambda gram: noise.trace(gram, BATCH), count, 8000), 70.25)
        assert_mean(simulated(noise.squared_norm, count, 8000), 14.25)

    def test_a_preconditioner_is_seen_through(self):
        scale = torch.tensor([0.1, 1.0, 2.0, 1.0, 1.0, 1.0])
        rows = (MEAN + normal(3, 2000, 4, 6) * DEVIATIONS / math.sqrt(BATCH)).float()
        values = torch.tensor([noise.trace(noise.gram(one, scale), BATCH) for one in rows])
        assert_mean(values, 0.64 + 4 + 4 + 1 + 0.25)

    def test_the_ratio_is_biased_upwards_and_the_jackknife_takes_that_off(self):
        truth = 70.25 / 14.25

        def scale(gram: Tensor) -> float:
            return noise.noise_scale(gram, BATCH)

        plain = mean(simulated(scale, 10, 500).tolist())
        cut = mean(simulated(lambda gram: jackknife(gram, scale).value, 10, 500).tolist())
        assert plain.value - truth > 4 * plain.error
        assert abs(cut.value - truth) < 0.5 * (plain.value - truth)

    def test_the_ratio_is_none_where_there_is_no_signal(self):
        rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
        assert noise.squared_norm(rows @ rows.T) == -1
        assert math.isnan(noise.noise_scale(rows @ rows.T, 1))

    @pytest.mark.parametrize(
        "statistic", [noise.squared_norm, lambda gram: noise.trace(gram, BATCH)]
    )
    def test_the_jackknife_keeps_what_is_unbiased_and_tells_its_error(
        self, statistic: Callable[[Tensor], float]
    ):
        values = simulated(statistic, 10, 500)
        errors = simulated(lambda gram: jackknife(gram, statistic).error ** 2, 10, 500)
        kept = simulated(lambda gram: jackknife(gram, statistic).value, 10, 500)
        assert torch.allclose(values, kept)
        assert float(errors.mean().sqrt()) == pytest.approx(float(values.std()), rel=0.2)

    def test_the_largest_eigenvalue_lies_between_two_estimates(self):
        above, below = (
            simulated(lambda gram: estimate(gram, BATCH), 6)  # noqa: B023
            for estimate in (noise.largest_eigenvalue_above, noise.largest_eigenvalue_below)
        )
        apart = mean((above - below).tolist())
        assert apart.value > 4 * apart.error
        found = mean(below.tolist())
        assert 50 < found.value < 64 + 4 * found.error

    def test_without_a_direction_the_one_is_far_above_and_the_other_right(self):
        rows = normal(0, 500, 8, 200)
        above, below = (
            mean([estimate(gram, 1) for gram in rows @ rows.mT])
            for estimate in (noise.largest_eigenvalue_above, noise.largest_eigenvalue_below)
        )
        assert above.value > 25
        assert abs(below.value - 1) < 4 * below.error < 0.2

    def test_both_halves_find_a_direction(self):
        rows = normal(0, 6, 5)
        turned = rows.roll(3, dims=0)
        one, other = (noise.largest_eigenvalue_below(each @ each.T, 1) for each in (rows, turned))
        assert one == pytest.approx(other)

    def test_of_what_is_not_finite_there_is_none(self):
        gram = torch.eye(4, dtype=torch.float64)
        gram[0, 0] = math.nan
        assert math.isnan(noise.trace(gram, 1))
        assert math.isnan(noise.largest_eigenvalue_above(gram, 1))
        assert math.isnan(noise.largest_eigenvalue_below(gram, 1))

    def test_no_noise_has_no_eigenvalue(self):
        rows = torch.ones(4, 3, dtype=torch.float64)
        assert noise.largest_eigenvalue_below(rows @ rows.T, 1) == 0
        assert noise.largest_eigenvalue_above(rows @ rows.T, 1) == pytest.approx(0, abs=1e-12)

    @pytest.mark.parametrize(
        ("estimate", "least"),
        [
            (lambda gram: noise.trace(gram, 1), 2),
            (noise.squared_norm, 2),
            (lambda gram: noise.largest_eigenvalue_above(gram, 1), 2),
            (lambda gram: noise.largest_eigenvalue_below(gram, 1), 4),
        ],
    )
    def test_too_few_batches_are_refused(self, estimate: Callable[[Tensor], float], least: int):
        few = torch.eye(least - 1, dtype=torch.float64)
        with pytest.raises(ValueError, match=f"{least - 1} batches, expected at least {least}"):
            estimate(few)
        with pytest.raises(ValueError, match="2 draws, expected at least 3"):
            jackknife(torch.eye(2), noise.squared_norm)


class TestTailIndex:
    def test_of_normal_and_of_cauchy_noise(self):
        gauss, other = normal(0, 160_000), normal(1, 160_000)
        assert noise.tail_index(gauss) == pytest.approx(2, abs=0.1)
        assert noise.tail_index(gauss / other) == pytest.approx(1, abs=0.05)
        assert noise.tail_index(gauss / other, group=10) == pytest.approx(1, abs=0.05)

    def test_by_hand(self):
        found = noise.tail_index(torch.tensor([1.0, 3.0, 0.0, -2.0, 6.0, 9.0]), group=2)
        expected = math.log(2) / (math.log(16) / 2 - math.log(36) / 4)
        assert found == pytest.approx(expected)

    def test_of_too_few_entries_there_is_none(self):
        assert math.isnan(noise.tail_index(torch.tensor([1.0, 0.0, 2.0, 3.0])))
