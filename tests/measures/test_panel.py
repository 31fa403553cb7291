"""Signs of lost plasticity: by hand, and probes on networks that can and cannot learn."""

from __future__ import annotations

import copy
import math
from functools import partial

import pytest
import torch
from nets import CLASSES, cut, data, normalised
from torch import nn

from plasticity.measures import panel

ACTIVATION = torch.tensor([[4.0, 0.0, 0.0, 0.1], [-2.0, 0.0, 1.0, 0.1]])
"""Mean magnitudes 3, 0, 0.5 and 0.1, whose mean is 0.9."""


class TestActivations:
    def test_they_are_what_modules_give_and_take(self):
        network, batches = normalised().eval(), cut(data(5), 2)
        found = panel.activations(network, ["2", "0"], batches)
        images, _ = data(5)
        assert torch.allclose(found["0"], network[0](images), atol=1e-6)
        assert torch.allclose(found["2"], network[:3](images), atol=1e-6)
        assert torch.allclose(panel.features(network, batches), network[:4](images), atol=1e-6)
        assert not any(module._forward_hooks for module in network.modules())

    def test_what_is_changed_in_place_later_is_not(self):
        network = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True))
        found = panel.activations(network, ["0"], [(torch.tensor([[-1.0]]), torch.tensor([0]))])
        assert found["0"].tolist() == [[-1.0]]

    def test_a_module_that_is_not_called_once_is_refused(self):
        network, relu = normalised(), nn.ReLU()
        with pytest.raises(ValueError, match="no module 'x' in network Sequential"):
            panel.activations(network, ["x"], cut(data(2), 2))
        twice = nn.Sequential(relu, nn.Linear(4, 4), relu)
        with pytest.raises(ValueError, match="module 0: called 2 times in 1 passes"):
            panel.activations(twice, ["0"], cut(data(2), 2))
        with pytest.raises(ValueError, match="has no linear layer"):
            panel.features(relu, cut(data(2), 2))


class TestIdleUnits:
    def test_by_hand(self):
        expected = [3 / 0.9, 0, 0.5 / 0.9, 0.1 / 0.9]
        assert panel.redo_scores(ACTIVATION).tolist() == pytest.approx(expected, rel=1e-6)
        assert panel.redo_dormant_share(ACTIVATION, 0.0) == 0.25
        assert panel.redo_dormant_share(ACTIVATION, 0.2) == 0.5
        assert panel.never_active_share(ACTIVATION) == 0.25
        assert panel.rarely_active_share(ACTIVATION, 0.6) == 0.5
        assert panel.rarely_active_share(ACTIVATION, 0.5) == 0.25

    def test_a_channel_is_a_unit_at_all_its_positions(self):
        flat = torch.randn(6, 3).relu()
        flat[:, 1] = 0
        spread = flat.view(2, 3, 3).movedim(2, 1).reshape(2, 3, 1, 3)
        assert torch.allclose(panel.redo_scores(spread), panel.redo_scores(flat))
        assert panel.never_active_share(spread) == pytest.approx(1 / 3)

    def test_a_layer_of_zeros_is_dormant(self):
        assert panel.redo_dormant_share(torch.zeros(3, 4), 0.0) == 1


class TestRanks:
    def test_by_hand(self):
        matrix = torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        assert panel.stable_rank(matrix) == pytest.approx(6 / 4)
        entropy = 0.5 * math.log(2) + 2 * 0.25 * math.log(4)
        assert panel.effective_rank(matrix) == pytest.approx(math.exp(entropy))
        assert panel.threshold_rank(matrix, 0.5) == 1
        assert panel.threshold_rank(matrix, 0.49) == 2
        assert panel.threshold_rank(matrix) == 3

    @pytest.mark.parametrize(
        "rank", [panel.stable_rank, panel.effective_rank, panel.threshold_rank]
    )
    def test_of_the_identity_and_of_nothing(self, rank):
        assert rank(torch.eye(4)[:3]) == pytest.approx(3)
        assert rank(torch.zeros(3, 4)) == 0


class TestNorms:
    def test_by_layer(self):
        network = normalised()
        initial = copy.deepcopy(network.state_dict())
        with torch.no_grad():
            network[0].weight += 2
            network[4].weight.fill_(0.5)
            network[4].bias.fill_(100.0)
        assert panel.weight_norms(network)["4.weight"] == pytest.approx(math.sqrt(24 / 4))
        moved = panel.distances(network, initial)
        assert list(moved) == ["0.weight", "4.weight"]
        assert moved["0.weight"] == pytest.approx(2 * math.sqrt(18))
        matrices = panel.weight_matrices(network)
        assert [tuple(matrix.shape) for matrix in matrices.values()] == [(2, 9), (3, 8)]

    def test_of_features(self):
        assert panel.feature_norm(torch.tensor([[3.0, 4.0], [0.0, 1.0]])) == pytest.approx(3)


class TestProbes:
    def fitted(self, network: nn.Module, seed: int = 0, epochs: int = 60) -> int | None:
        images, _ = data(20)
        return panel.steps_to_fit_random_labels(
            network,
            images,
            CLASSES,
            partial(torch.optim.Adam, lr=0.05),
            batch=9,
            target=0.8,
            epochs=epochs,
            generator=torch.Generator().manual_seed(seed),
        )

    def test_a_network_that_learns_fits_and_one_that_cannot_does_not(self):
        network = normalised()
        state = copy.deepcopy(network.state_dict())
        steps = self.fitted(network)
        assert steps is not None
        assert steps > 2
        assert steps % 2 == 0
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
        assert self.fitted(network, epochs=steps // 2) == steps
        assert self.fitted(network, epochs=steps // 2 - 1) is None
        network[2] = nn.Threshold(1e9, 0.0)  # nothing passes
        assert self.fitted(network) is None

    def test_the_generator_decides(self):
        assert self.fitted(normalised()) == self.fitted(normalised())
        assert len({self.fitted(normalised(), seed) for seed in range(4)}) > 1

    def test_it_counts_what_is_right_and_steps_by_the_gradient_of_each_batch(self):
        """A network that always says class 1, and a rule that stands still and looks."""
        network = nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES))
        with torch.no_grad():
            network[1].weight.zero_()
            network[1].bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
        seen = []

        class Still(torch.optim.SGD):
            def step(self, closure=None):
                seen.append(self.param_groups[0]["params"][1].grad.clone())

        images, _ = data(20)
        labels = torch.randint(CLASSES, (20,), generator=torch.Generator().manual_seed(3))
        right = int((labels == 1).sum())
        assert 0 < right < 20

        def steps(target: float) -> int | None:
            generator = torch.Generator().manual_seed(3)
            return panel.steps_to_fit_random_labels(
                network, images, CLASSES, partial(Still, lr=0.0), 20, target, 3, generator
            )

        assert steps(right / 20) == 1
        assert steps((right + 1) / 20) is None
        assert len(seen) == 1 + 3
        assert all(torch.allclose(one, seen[0], atol=1e-6) for one in seen)

    def test_less_than_a_batch_is_refused(self):
        rule = partial(torch.optim.SGD, lr=0.1)
        with pytest.raises(ValueError, match="batches of 9 of 2 images, expected at most"):
            panel.steps_to_fit_random_labels(
                normalised(), data(2)[0], CLASSES, rule, 9, 1.0, 1, torch.Generator()
            )

    def test_a_linear_probe_reads_what_is_linear_in_the_features(self):
        features = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
        linear = (features[:, 2] > 0).long()
        # Not a function of any line: both classes have the same mean.
        curved = (features[:, 0].abs() > 0.7).long()
        parts = (
            features[:100] * torch.tensor([1e4, 1.0, 1e-4]),
            features[100:] * torch.tensor([1e4, 1.0, 1e-4]),
        )
        assert panel.linear_probe_accuracy(parts[0], linear[:100], parts[1], linear[100:]) > 0.93
        assert panel.linear_probe_accuracy(parts[0], curved[:100], parts[1], curved[100:]) < 0.7
