"""Curvature: against matrices of known spectrum and dense Hessians, and its laws of scale."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from collections.abc import Callable

import curvlinops
import pytest
import torch
from nets import CLASSES, cut, data, loss_of_row, normalised
from torch import Tensor, nn

from plasticity.measures import curvature
from plasticity.measures.curvature import Curvature, filter_deviations, filter_norms, layer_norms
from plasticity.measures.perturbed import moved
from plasticity.measures.rows import (
    apart,
    evaluation_mode,
    mean_gradient,
    norm,
    trainable,
)
from plasticity.models.network import build, initialise
from plasticity.runs import models


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def of_matrix(matrix: Tensor) -> Curvature:
    return Curvature(len(matrix), torch.device("cpu"), lambda row: matrix @ row)


def with_spectrum(values: Tensor) -> tuple[Tensor, Tensor]:
    """A symmetric matrix with these eigenvalues, and its eigenvectors as rows."""
    basis, _ = torch.linalg.qr(torch.randn(len(values), len(values), generator=generator()))
    return basis @ values.diag() @ basis.T, basis.T


def dense(network: nn.Module, examples: tuple[Tensor, Tensor]) -> Tensor:
    """The Hessian of the mean loss in the present mode, by torch.func."""
    loss, row = loss_of_row(network, examples)
    return torch.func.hessian(loss)(row)


class TestOfAMatrix:
    VALUES = torch.tensor([5.0, 3.0, *[0.5] * 36, -1.0, -20.0])

    def test_the_largest_eigenvalues_are_those_of_the_largest_sign(self):
        matrix, vectors = with_spectrum(self.VALUES)
        values, rows = curvature.largest(of_matrix(matrix), 2, generator(), 1e-6)
        assert values.tolist() == pytest.approx([5, 3], rel=1e-4)
        assert (rows @ vectors[:2].T).abs().tolist() == [
            pytest.approx([1, 0], abs=1e-3),
            pytest.approx([0, 1], abs=1e-3),
        ]
        again, _ = curvature.largest(of_matrix(matrix), 2, generator(), 1e-6)
        assert torch.equal(values, again)

    @pytest.mark.parametrize("count", [0, 3])
    def test_as_many_eigenvalues_as_weights_are_refused(self, count: int):
        with pytest.raises(ValueError, match=rf"^{count} eigenvalues of 3, expected"):
            curvature.largest(of_matrix(torch.eye(3)), count, generator())

    def test_the_trace_is_unbiased_and_tells_its_error(self):
        matrix, _ = with_spectrum(self.VALUES)
        found = curvature.trace(of_matrix(matrix), 2000, generator())
        off = matrix - matrix.diag().diag()
        assert found.error == pytest.approx(
            math.sqrt(2 * float(off.square().sum()) / 2000), rel=0.1
        )
        assert abs(found.value - 5) < 4 * found.error < 4

    def test_of_a_diagonal_matrix_one_draw_is_exact(self):
        found = curvature.trace(of_matrix(self.VALUES.diag()), 2, generator())
        assert found.value == pytest.approx(5)
        assert found.error == pytest.approx(0, abs=1e-5)

    def test_one_draw_has_no_error(self):
        with pytest.raises(ValueError, match="1 draws, expected at least 2"):
            curvature.trace(of_matrix(torch.eye(3)), 1, generator())

    def test_the_spectrum_is_where_the_eigenvalues_are(self):
        matrix, _ = with_spectrum(torch.tensor([-1.0] * 45 + [9.0] * 15))
        state = torch.get_rng_state()
        grid, density = curvature.spectrum(of_matrix(matrix), 20, 20, 400, generator())
        assert torch.equal(torch.get_rng_state(), state)
        step = float(grid[1] - grid[0])
        assert float(density.sum()) * step == pytest.approx(1, abs=0.05)
        assert float(density[grid < 4].sum()) * step == pytest.approx(0.75, abs=0.05)
        assert float(grid[density.argmax()]) == pytest.approx(-1, abs=0.1)
        again = curvature.spectrum(of_matrix(matrix), 20, 20, 400, generator())
        assert torch.equal(density, again[1])

    def test_it_is_scaled_from_both_sides(self):
        matrix, scale = torch.tensor([[2.0, 1.0], [1.0, 3.0]]), torch.tensor([10.0, 0.0])
        scaled = of_matrix(matrix).scaled(scale)
        assert (scaled @ torch.tensor([1.0, 1.0])).tolist() == [200.0, 0.0]


class TestOfANetwork:
    @pytest.fixture
    def batches(self) -> list[tuple[Tensor, Tensor]]:
        return cut(data(10), 6)  # the last one is shorter

    def test_products_and_eigenvalues_are_those_of_the_dense_hessian(
        self, batches: list[tuple[Tensor, Tensor]]
    ):
        network = normalised()
        with evaluation_mode(network, batches):
            found = curvature.hessian(network, batches)
            expected = dense(network, data(10))
            columns = torch.stack([found @ row for row in torch.eye(49)])
            largest, _ = curvature.largest(found, 1, generator(), 1e-4)
            gradient = mean_gradient(network, batches)
            loss, row = loss_of_row(network, data(10))
            slope = torch.func.grad(loss)(row)
        assert torch.allclose(columns, expected, rtol=1e-3, atol=1e-5)
        top = torch.linalg.eigvalsh(expected)[-1]
        assert float(largest[0]) == pytest.approx(float(top), rel=1e-3)
        assert torch.allclose(gradient, slope, rtol=1e-3, atol=1e-6)

    def test_gauss_newton_is_the_fisher_matrix_of_sampled_labels(
        self, batches: list[tuple[Tensor, Tensor]]
    ):
        network, (images, _) = normalised(), data(10)
        with evaluation_mode(network, batches):
            found = curvature.gauss_newton(network, batches)
            columns = torch.stack([found @ row for row in torch.eye(49)])
            chances = network(images).softmax(dim=1).detach()
            fisher = torch.zeros(49, 49)
            for one in range(10):
                for label in range(CLASSES):
                    example = (images[one : one + 1], torch.tensor([label]))
                    loss, row = loss_of_row(network, example)
                    gradient = torch.func.grad(loss)(row)
                    fisher += chances[one, label] * torch.outer(gradient, gradient) / 10
        assert torch.allclose(columns, fisher, rtol=1e-3, atol=1e-5)

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            (curvature.hessian, "HessianLinearOperator"),
            (curvature.gauss_newton, "GGNLinearOperator"),
        ],
    )
    def test_products_are_those_of_curvlinops_where_it_can(
        self,
        batches: list[tuple[Tensor, Tensor]],
        ours: Callable[..., Curvature],
        theirs: str,
    ):
        network, row = normalised(), torch.randn(49, generator=generator())
        with evaluation_mode(network, batches):
            operator = getattr(curvlinops, theirs)(
                network,
                nn.CrossEntropyLoss(),
                list(network.parameters()),
                batches,
                check_deterministic=False,
            )
            found, expected = ours(network, batches) @ row, operator @ row
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-5)

    def test_training_mode_is_refused(self, batches: list[tuple[Tensor, Tensor]]):
        with pytest.raises(ValueError, match="training mode; measure curvature in"):
            curvature.hessian(normalised(), batches)

    def test_evaluation_mode_takes_statistics_anew_and_puts_all_back(
        self, batches: list[tuple[Tensor, Tensor]]
    ):
        network = normalised()
        network[1].running_mean.fill_(100.0)
        state = {name: value.clone() for name, value in network.state_dict().items()}
        seen = torch.stack([network[0](images).mean(dim=(0, 2, 3)) for images, _ in batches])
        with evaluation_mode(network, batches):
            assert not network.training
            assert torch.allclose(network[1].running_mean, seen.mean(dim=0), atol=1e-6)
        assert network.training
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())

    def test_channels_last_weights_are_in_the_same_rows(self, batches: list[tuple[Tensor, Tensor]]):
        network = normalised()
        with evaluation_mode(network, batches):
            one = curvature.hessian(network, batches) @ torch.arange(49.0)
            network.to(memory_format=torch.channels_last)
            other = curvature.hessian(network, batches) @ torch.arange(49.0)
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["resnet-d1w2", "resnet-d1w2-group", "resnet20-w2", "vit-p4d1w8", "mlp-d2w4"]
)
class TestOfOurNetworks:
    """By layer, because a product that is wrong for a few weights is close in all."""

    @pytest.fixture
    def network(self, name: str) -> nn.Module:
        network = build(models.parse(name), CLASSES, 1, 8, 8)
        initialise(network, generator())
        return network.to(memory_format=network.memory_format)

    def assert_close(self, network: nn.Module, found: Tensor, expected: Tensor):
        weights = trainable(network)
        pairs = zip(*(apart(row, list(weights.values())) for row in (found, expected)), strict=True)
        for name, (one, other) in zip(weights, pairs, strict=True):
            assert torch.allclose(one, other, rtol=1e-2, atol=1e-3 * float(norm(other))), name

    def test_products_are_differences_of_gradients(
        self, network: nn.Module, monkeypatch: pytest.MonkeyPatch
    ):
        # In float64, the last layer too, a step may be so small that it crosses no kink.
        monkeypatch.setattr(Tensor, "float", Tensor.double)
        network.double()
        batches = [(images.double(), labels) for images, labels in cut(data(6, side=8), 6)]
        row, step = self.row(network).double(), 1e-7
        with evaluation_mode(network, batches):
            found = curvature.hessian(network, batches) @ row
            sides = []
            for sign in (1, -1):
                with moved(network, sign * step * row):
                    sides.append(mean_gradient(network, batches))
        self.assert_close(network, found, (sides[0] - sides[1]) / (2 * step))

    def test_gauss_newton_is_the_fisher_matrix(self, network: nn.Module):
        images, _ = data(6, side=8)
        batches, row = cut(data(6, side=8), 6), self.row(network)
        expected = torch.zeros_like(row)
        with evaluation_mode(network, batches):
            found = curvature.gauss_newton(network, batches) @ row
            chances = network(images).softmax(dim=1).detach()
            for one in range(6):
                for label in range(CLASSES):
                    example = (images[one : one + 1], torch.tensor([label]))
                    gradient = mean_gradient(network, [example])
                    expected += chances[one, label] * gradient * (gradient @ row) / 6
        self.assert_close(network, found, expected)

    def row(self, network: nn.Module) -> Tensor:
        count = sum(weight.numel() for weight in trainable(network).values())
        return torch.randn(count, generator=generator())


def measured(network: nn.Module, scale: Callable[[nn.Module], Tensor]) -> float:
    """The largest eigenvalue of the Hessian, seen through `scale` from both sides."""
    batches, row = cut(data(10), 10), scale(network)
    with evaluation_mode(network, batches):
        found = curvature.hessian(network, batches).scaled(row)
        dense = torch.stack([found @ unit for unit in torch.eye(49)])
    return float(torch.linalg.eigvalsh(dense)[-1])


def of_convolution(network: nn.Module) -> Tensor:
    """Ones on the block of the convolution, the first 18 entries."""
    return (torch.arange(49) < 18).float()


class TestScale:
    """A weight before normalisation is multiplied by 3: the network is the same function."""

    @pytest.fixture
    def larger(self) -> nn.Module:
        network = copy.deepcopy(normalised())
        with torch.no_grad():
            network[0].weight *= 3
        return network

    def test_the_raw_curvature_falls_with_the_square(self, larger: nn.Module):
        raw, after = measured(normalised(), of_convolution), measured(larger, of_convolution)
        assert raw > 0.01
        assert after == pytest.approx(raw / 9, rel=1e-3)

    @pytest.mark.parametrize(
        "scale",
        [
            filter_norms,
            filter_deviations,
            layer_norms,
            lambda network: layer_norms(network, "0.weight"),
        ],
    )
    def test_the_scaled_one_stays(self, larger: nn.Module, scale: Callable[[nn.Module], Tensor]):
        raw = measured(normalised(), scale)
        assert raw > 0.01
        assert measured(larger, scale) == pytest.approx(raw, rel=1e-3)

    def test_filters_may_even_change_apart(self):
        network = normalised()
        with torch.no_grad():
            network[0].weight[1] *= 5
        raw = measured(normalised(), filter_norms)
        assert measured(network, filter_norms) == pytest.approx(raw, rel=1e-3)
        assert measured(network, layer_norms) != pytest.approx(measured(normalised(), layer_norms))

    def test_a_layer_alone_is_its_eigenvalue_times_its_squared_norm(self):
        network = normalised()
        squared = float(network[0].weight.detach().square().sum())
        expected = measured(network, of_convolution) * squared
        found = measured(network, lambda one: layer_norms(one, "0.weight"))
        assert found == pytest.approx(expected, rel=1e-3)

    def test_by_hand(self):
        network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        with torch.no_grad():
            network[0].weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
        rest = [0.0] * 6
        assert filter_norms(network).tolist() == [5, 5, 0, 2, *rest]
        deviation = 5 / math.sqrt(2)
        expected = pytest.approx([deviation, deviation, 0, 2, *rest])
        assert filter_deviations(network).tolist() == expected
        norm = math.sqrt(29)
        assert layer_norms(network).tolist() == pytest.approx([norm, norm, 0, norm, *rest])

    def test_an_unknown_layer_is_refused(self):
        with pytest.raises(
            ValueError, match=r"no weight 'x' .* expected one of 0.weight, 4.weight"
        ):
            layer_norms(normalised(), "x")


def test_its_library_is_loaded_where_it_is_needed():
    code = "import sys, plasticity.measures.perturbed; print('curvlinops' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


class TestSubspaces:
    BASIS = torch.eye(5)[:2]

    def test_the_share_of_a_row(self):
        row = torch.tensor([3.0, 0.0, 4.0, 0.0, 0.0])
        assert curvature.share_within(row, self.BASIS) == pytest.approx(9 / 25)
        turned = torch.tensor([[0.6, 0.8], [-0.8, 0.6]]) @ self.BASIS
        assert curvature.share_within(row, turned) == pytest.approx(9 / 25)

    def test_the_overlap_of_two(self):
        other = torch.stack([torch.eye(5)[2], (torch.eye(5)[0] + torch.eye(5)[3]) / math.sqrt(2)])
        assert curvature.overlap(self.BASIS, self.BASIS.flip(0)) == pytest.approx(1)
        assert curvature.overlap(self.BASIS, other) == pytest.approx(0.25)

    def test_of_random_rows_it_is_the_share_of_dimensions(self):
        rows = torch.randn(500, 5, generator=generator())
        shares = [curvature.share_within(row, self.BASIS) for row in rows]
        assert sum(shares) / 500 == pytest.approx(2 / 5, abs=0.05)

    def test_the_gradient_of_logistic_regression_lies_within_its_curvature(self):
        """The span of the examples holds both; no more eigenvalues than that differ from zero."""
        network, batches = (
            nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES, bias=False)),
            cut(data(3), 3),
        )
        with evaluation_mode(network, batches):
            found = curvature.hessian(network, batches)
            _, basis = curvature.largest(found, 3 * (CLASSES - 1), generator(), 1e-5)
            gradient = mean_gradient(network, batches)
        assert curvature.share_within(gradient, basis) == pytest.approx(1, abs=1e-3)
        assert curvature.share_within(gradient, basis[:1]) < 0.99

    def test_bases_of_several_shapes_are_refused(self):
        with pytest.raises(ValueError, match=r"\(2, 5\) and \(1, 5\), expected one shape"):
            curvature.overlap(self.BASIS, self.BASIS[:1])


def test_rows_are_taken_apart_as_they_were_put_together():
    weights = list(trainable(normalised()).values())
    pieces = apart(torch.arange(49.0), weights)
    assert [piece.shape for piece in pieces] == [weight.shape for weight in weights]
    assert torch.equal(pieces[0].reshape(-1), torch.arange(18.0))
