"""Own rules under a recording: what they do in Python happens as often as without, or is refused.

A tape stands for CUDA graphs, as in test_cuda_graphs.py.
"""

from __future__ import annotations

import enum
import random

import numpy as np
import pytest
import torch
from tape import Tape
from test_cuda_graphs import some_examples, train_state_of
from torch import nn
from torch.optim import Optimizer

from plasticity.core.errors import UserError
from plasticity.training.cuda_graphs import CudaGraphExecution
from plasticity.training.examples import Batch
from plasticity.training.loop import (
    EagerExecution,
    EpochProgress,
    TrainState,
    evaluate,
    train_on,
)
from plasticity.training.optimiser_state import held_in_python


class Once(Optimizer):
    """A rule that begins with a smaller step; `begins` tells whether this is that step."""

    def __init__(self, parameters, lr=0.1):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        scale = 0.1 if self.begins() else 1.0
        for parameter in self.param_groups[0]["params"]:
            parameter.sub_(scale * self.param_groups[0]["lr"] * parameter.grad)


class ByAttribute(Once):
    started = False

    def begins(self):
        before, self.started = self.started, True
        return not before


class ByGroup(Once):
    def begins(self):
        is_first = "begun" not in self.param_groups[0]
        self.param_groups[0]["begun"] = True
        return is_first


class ByWord(Once):
    phase = first = enum.Enum("Phase", "FIRST LATER").FIRST

    def begins(self):
        before, self.phase = self.phase, type(self.first).LATER
        return before is self.first


class ByArray(Once):
    def __init__(self, parameters, lr=0.1):
        super().__init__(parameters, lr)
        self.weights = np.array([0.0, 1.0])

    def begins(self):
        before = float(self.weights[0])
        self.weights[0] = 1.0
        return before == 0.0


class ByBuffers(Once):
    """Whose state is in an attribute."""

    def begins(self):
        is_first = not hasattr(self, "buffers")
        if is_first:
            self.buffers = [torch.zeros_like(p) for p in self.param_groups[0]["params"]]
        for buffer, parameter in zip(self.buffers, self.param_groups[0]["params"], strict=True):
            buffer.mul_(0.9).add_(parameter.grad)
            parameter.sub_(buffer, alpha=0.1)
        return is_first


def trained_by(rule: type[Optimizer], execution: EagerExecution, steps: int = 4) -> nn.Module:
    """A network trained on the same batch with `rule` for so many `steps`."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    train_state = TrainState(network, rule(network.parameters()), "float32", execution=execution)
    part = EpochProgress.begin(torch.device("cpu"))
    train_on(train_state, some_examples(), iter([Batch(torch.arange(4))] * steps), part)
    return network


@pytest.mark.parametrize("rule", [ByAttribute, ByGroup, ByWord, ByArray, ByBuffers])
def test_what_a_rule_does_once_it_does_once(rule: type[Optimizer]):
    """Trying the first step is to leave no flag behind."""
    tape = Tape()
    eager, taped = trained_by(rule, EagerExecution()), trained_by(rule, CudaGraphExecution(tape))
    assert torch.equal(eager[1].weight, taped[1].weight)
    assert tape.replayed == 3


class Keeps(Once):
    """An array and a generator that stay as they are."""

    def __init__(self, parameters, lr=0.1):
        super().__init__(parameters, lr)
        self.weights, self.draw = np.array([1.0, 2.0]), torch.Generator()

    def begins(self):
        return False


class Halves(Keeps):
    def begins(self):
        self.weights *= 0.5
        return bool(self.weights[0] > 0.2)


class Draws(Keeps):
    def begins(self):
        torch.rand((), generator=self.draw)
        return False


class DrawsNumPy(Keeps):
    def begins(self):
        return np.random.random() < 0.5


class DrawsPython(Keeps):
    def begins(self):
        return random.random() < 0.5


def test_arrays_and_generators_that_stay_as_they_are_can_be_recorded():
    tape = Tape()
    trained_by(Keeps, CudaGraphExecution(tape))
    assert tape.replayed == 4


@pytest.mark.parametrize("rule", [Halves, Draws, DrawsNumPy, DrawsPython])
def test_arrays_that_change_and_draws_in_python_are_refused(rule: type[Optimizer]):
    with pytest.raises(UserError, match=r"^execution: .*draws .*with execution: eager$"):
        trained_by(rule, CudaGraphExecution(Tape()))


def test_tensors_elsewhere_count_by_their_values():
    """Such as a count on the CPU, which a recording on a GPU leaves out."""
    parameter = nn.Parameter(torch.zeros(2))
    optimiser = Keeps([parameter])
    optimiser.count = torch.zeros(())
    here, elsewhere = torch.device("cpu"), torch.device("meta")
    before = held_in_python(optimiser, here), held_in_python(optimiser, elsewhere)
    optimiser.count += 1
    assert held_in_python(optimiser, here) == before[0]
    assert held_in_python(optimiser, elsewhere) != before[1]


def test_an_evaluation_that_draws_in_python_is_refused():
    class Noisy(nn.Linear):
        def forward(self, images):
            return super().forward(images.flatten(1)) * np.random.random()

    with pytest.raises(UserError, match="draws from a generator of Python, NumPy or the CPU"):
        evaluate(train_state_of(Noisy(4, 2), Tape()), some_examples())
