"""The path of the weights, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from plasticity.measures import path


def test_a_way_with_a_right_angle_and_a_turn_back():
    way = path.Path(torch.tensor([1.0, 1.0]))
    assert way.update is None
    assert way.turn is None
    assert way.heading(torch.tensor([5.0, 1.0])) is None
    assert float(way.length) == float(way.distance) == 0
    weights = torch.tensor([4.0, 1.0])
    way.move(weights)
    weights[0] = 100.0  # what is moved on in place is not looked at again
    assert way.turn is None
    assert float(way.heading(torch.tensor([1.0, 4.0]))) == pytest.approx(0)
    assert float(way.heading(torch.tensor([4.0, 4.0]))) == pytest.approx(math.sqrt(0.5))
    way.move(torch.tensor([4.0, 5.0]))
    assert float(way.turn) == pytest.approx(math.pi / 2)
    assert float(way.length) == 7
    assert float(way.distance) == 5
    way.move(torch.tensor([4.0, 2.0]))
    assert float(way.turn) == pytest.approx(math.pi)
    assert float(way.length) == 10
    assert torch.equal(way.update, torch.tensor([0.0, -3.0]))


def test_small_angles_are_exact():
    one = torch.tensor([1.0, 0.0], dtype=torch.float64)
    other = torch.tensor([1.0, 1e-9], dtype=torch.float64)
    assert float(path.angle(one, 5 * other)) == pytest.approx(1e-9, rel=1e-6)
    assert float(path.cosine(one, -2 * other)) == pytest.approx(-1)
    assert math.isnan(float(path.angle(one, 0 * other)))


def test_the_rate_is_as_that_of_a_weight_of_unit_norm():
    """One step of SGD on a loss of the direction alone turns every multiple alike at that rate."""

    def turned(size: float, rate: float) -> float:
        weight = torch.tensor([3.0 * size, 4.0 * size], dtype=torch.float64, requires_grad=True)
        loss = (weight / weight.norm()) @ torch.tensor([1.0, 0.0], dtype=torch.float64)
        loss.backward()
        return float(path.angle(weight.detach(), weight.detach() - rate * weight.grad))

    weight = torch.tensor([[6.0], [8.0]])
    assert path.effective_rate(0.5, weight) == pytest.approx(0.005)
    assert path.effective_rate(0.5, weight, power=1) == pytest.approx(0.05)
    assert turned(2.0, 0.5) == pytest.approx(turned(0.2, 0.005))
    assert turned(2.0, 0.5) != pytest.approx(turned(0.2, 0.5), rel=0.1)
