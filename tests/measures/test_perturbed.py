"""Networks near a state: noise and sharpness against curvature, grids and laws of scale."""

from __future__ import annotations

import math

import pytest
import torch
from nets import cut, data, normalised
from torch import Tensor, nn

from plasticity.measures import curvature, perturbed
from plasticity.measures.rows import evaluation_mode, loss_and_accuracy


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


BATCHES = cut(data(10), 6)


class TestMoved:
    def test_it_adds_the_row_and_gives_the_same_bits_back(self):
        network = normalised()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        with perturbed.moved(network, torch.arange(49.0)):
            moved = network[4].bias - before["4.bias"]
            assert moved.tolist() == pytest.approx([46, 47, 48], rel=1e-5)
        with pytest.raises(RuntimeError), perturbed.moved(network, torch.ones(49)):
            raise RuntimeError
        for name, value in network.state_dict().items():
            assert torch.equal(value, before[name])


class TestUnderNoise:
    def test_the_rise_is_half_the_trace_to_second_order(self):
        network, size = normalised(), 0.03
        with evaluation_mode(network, BATCHES):
            (found,) = perturbed.under_noise(network, BATCHES, [size], 400, generator())
            scale = curvature.filter_deviations(network)
            hessian = curvature.hessian(network, BATCHES)
            dense = torch.stack([hessian @ row for row in torch.eye(49)])
            base, _ = loss_and_accuracy(network, BATCHES)
        expected = size**2 / 2 * float((scale**2 * dense.diag()).sum())
        assert abs(found.rise.value - expected) < 4 * found.rise.error
        assert found.loss.value == pytest.approx(base + found.rise.value)
        assert found.rise.error == pytest.approx(found.loss.error, rel=1e-4)

    def test_noise_has_its_size_and_spares_zeros_biases_and_normalisation(self):
        network = normalised()
        with torch.no_grad():
            network[0].weight[0, 0, 0] = 0
        seen: list[dict[str, Tensor]] = []
        with evaluation_mode(network, BATCHES[:1]):
            network.register_forward_pre_hook(
                lambda module, _: seen.append(
                    {name: weight.detach().clone() for name, weight in module.named_parameters()}
                )
            )
            perturbed.under_noise(network, BATCHES[:1], [0.1], 300, generator())
        base, *noisy = seen
        assert len(noisy) == 300
        for name, filters in (("0.weight", 2), ("4.weight", 3)):
            moved = torch.stack([each[name] - base[name] for each in noisy])
            squares = moved.reshape(300, filters, -1).square().sum(dim=2).mean(dim=0)
            sizes = base[name].reshape(filters, -1).square().sum(dim=1)
            assert (squares / sizes).sqrt().tolist() == pytest.approx([0.1] * filters, rel=0.1)
        for each in noisy:
            assert not each["0.weight"][0, 0, 0].any()
            for name in ("1.weight", "1.bias", "4.bias"):
                assert torch.equal(each[name], base[name])

    def test_growing_noise_leads_to_chance_and_none_to_the_state_itself(self):
        network = normalised()
        with evaluation_mode(network, BATCHES):
            loss, accuracy = loss_and_accuracy(network, BATCHES)
            none, some, more = perturbed.under_noise(
                network, BATCHES, [0.0, 0.3, 3.0], 50, generator()
            )
        assert (none.loss.value, none.accuracy.value) == pytest.approx((loss, accuracy))
        assert none.rise.value == none.rise.error == 0
        assert none.loss.value < some.loss.value < more.loss.value
        assert [one.size for one in (none, some, more)] == [0.0, 0.3, 3.0]

    def test_a_scale_without_effect_has_none(self):
        small, large = normalised(), normalised()
        with torch.no_grad():
            large[0].weight *= 4
        found = []
        for network in (small, large):
            with evaluation_mode(network, BATCHES):
                found += perturbed.under_noise(network, BATCHES, [0.2], 20, generator())
        assert found[0].rise.value == pytest.approx(found[1].rise.value, rel=1e-3)


class TestSharpness:
    def test_it_is_the_maximum_of_a_grid(self):
        """Two weights, each a filter of its own: the ball is an ellipse."""
        network = nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False))
        with torch.no_grad():
            network[1].weight.copy_(torch.tensor([[0.5], [-2.0]]))
        images = torch.tensor([[1.0], [-0.5], [2.0], [-1.0]])
        batches = cut((images, torch.tensor([0, 1, 1, 0])), 4)
        with evaluation_mode(network, batches):
            base, _ = loss_and_accuracy(network, batches)
            rises = []
            for turn in torch.linspace(0, 2 * math.pi, 721).tolist():
                way = 0.3 * torch.tensor([0.5 * math.cos(turn), 2.0 * math.sin(turn)])
                with perturbed.moved(network, way):
                    rises.append(loss_and_accuracy(network, batches)[0] - base)
            found = perturbed.sharpness(network, batches, 0.3, 10, generator())
        assert found == pytest.approx(max(rises), rel=1e-3)
        assert max(rises) > 2 * sum(max(rise, 0) for rise in rises) / len(rises)

    def test_at_a_minimum_it_is_half_the_largest_scaled_eigenvalue(self):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(3, 3, bias=False))
        images = torch.randn(40, 3)
        labels = torch.randint(3, (40,))
        batches = cut((images, labels), 40)
        rule = torch.optim.LBFGS(network.parameters(), max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            rule.zero_grad()
            loss = nn.functional.cross_entropy(network(images), labels)
            loss.backward()
            return loss

        rule.step(closure)
        radius = 0.1
        with evaluation_mode(network, batches):
            scale = curvature.filter_norms(network)
            hessian = curvature.hessian(network, batches)
            dense = torch.stack([hessian @ row for row in torch.eye(9)])
            found = perturbed.sharpness(network, batches, radius, 20, generator())
        top = float(torch.linalg.eigvalsh(scale[:, None] * dense * scale)[-1])
        assert found == pytest.approx(radius**2 / 2 * top, rel=0.03)

    def test_a_fall_is_no_rise(self):
        network = normalised()
        with evaluation_mode(network, BATCHES):
            found = [
                perturbed.sharpness(network, BATCHES, 0.1, 1, generator(seed)) for seed in range(8)
            ]
        assert min(found) == 0
        assert max(found) > 0

    def test_a_scale_without_effect_has_none_and_no_rise_is_zero(self):
        small, large = normalised(), normalised()
        with torch.no_grad():
            large[0].weight *= 4
        found = []
        for network in (small, large):
            with evaluation_mode(network, BATCHES):
                found.append(perturbed.sharpness(network, BATCHES, 0.1, 5, generator()))
        assert found[0] > 0.001
        assert found[0] == pytest.approx(found[1], rel=1e-2)
        with torch.no_grad():
            small[0].weight.zero_()
            small[4].weight.zero_()
        with evaluation_mode(small, BATCHES):
            assert perturbed.sharpness(small, BATCHES, 0.1, 5, generator()) == 0
