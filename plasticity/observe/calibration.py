"""How fast this device trains and evaluates the networks of a study, and what these cost on any.

Measured on made-up images with the functions that train, for a few seconds each.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import Optimizer
from torch.utils.flop_counter import FlopCounterMode

from plasticity.core.rng import torch_generator
from plasticity.models.network import Foreign, Network, build
from plasticity.runs.costs import Calibration, NetworkCost, Throughput
from plasticity.runs.metrics import EpochMetrics, as_rows
from plasticity.runs.workload import Workload
from plasticity.training import generators, optimiser_state
from plasticity.training.backends import bare_step
from plasticity.training.examples import Batch, Examples
from plasticity.training.hardware import Hardware, Log
from plasticity.training.loop import EVALUATION_BATCH, EpochProgress, TrainState, evaluate, train_on
from plasticity.training.methods import Methods

SECONDS = 3.0
"""How long training is measured, after it has warmed up; evaluation for a third of that."""

HEADER = 2500
"""About the bytes by which a checkpoint says whose it is, and which code made it."""


def calibrate(
    workloads: Sequence[Workload], hardware: Hardware, log: Log, seconds: float = SECONDS
) -> Calibration:
    """Measure the throughput of all `workloads`; raises `UserError` for a device out of reach.

    Each takes about `seconds` or, on a slow processor, the time of the few steps that a measurement
    cannot do without.
    """
    device = hardware.take(log)
    measured: dict[Workload, Throughput] = {}
    evaluated: dict[tuple[object, ...], float] = {}  # which does not depend on the optimiser
    for number, workload in enumerate(workloads, start=1):
        bench = Bench.of(workload, hardware, device)
        training = bench.training(seconds, log)
        network = (workload.channels, workload.size, workload.classes, workload.model)
        if network not in evaluated:
            evaluated[network] = bench.evaluation(seconds / 3, training, log)
        measured[workload] = Throughput(training, evaluated[network])
        log(
            f"{number}/{len(workloads)}  {workload}: {training:,.0f} images/s in training, "
            f"{evaluated[network]:,.0f} in evaluation"
        )
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return Calibration(measured, hardware.name, hardware.precision, hardware.threads, now)


@dataclass(frozen=True)
class Bench:
    """A network with made-up images on a device, ready to be timed."""

    train_state: TrainState
    examples: Examples
    batch: int

    @classmethod
    def of(cls, workload: Workload, hardware: Hardware, device: torch.device) -> Bench:
        """The bench of `workload` on `device`."""
        generator = torch_generator(0, "calibration")
        shape = (EVALUATION_BATCH, workload.channels, *workload.size)
        images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
        labels = torch.randint(workload.classes, shape[:1], generator=generator)
        middle = torch.full((1, workload.channels, 1, 1), 127.5, device=device)
        with device:  # drawn where they are used: a large network is slow to draw on the CPU
            network = build(workload.model, workload.classes, *shape[1:])
        network.to(device)
        optimiser = workload.optimiser(network.parameters())
        passes = workload.optimiser.facts.passes
        if passes == 1:
            network.to(memory_format=network.memory_format)  # type: ignore[call-overload]
        # Their events, which come now and then, are left out.
        methods = Methods.of(workload.methods, network, network, EVALUATION_BATCH)
        hardware = hardware.stepping(passes)
        return cls(
            train_state=hardware.train_state(network, optimiser, passes=passes, methods=methods),
            examples=Examples(images.to(device), labels.to(device), middle, middle / 2),
            batch=workload.optimiser.options["batch"],
        )

    def training(self, seconds: float, log: Log) -> float:
        """Images a second of training."""
        generator = torch_generator(0, "calibration order")

        def work(times: int) -> int:
            shape = (times, self.batch)
            order = torch.randint(len(self.examples), shape, generator=generator)
            batches = order.to(self.examples.device)
            part = EpochProgress.begin(self.examples.device)
            train_on(self.train_state, self.examples, map(Batch, batches), part)
            return _count(part.sums)

        return self._rate(work, seconds, log)

    def evaluation(self, seconds: float, training: float, log: Log) -> float:
        """Images a second of evaluation; that of `training` bounds how many are taken at once."""
        count = min(EVALUATION_BATCH, max(1, round(3 * training * seconds)))
        whole = self.examples
        some = Examples(whole.images[:count], whole.labels[:count], whole.mean, whole.std)

        def work(times: int) -> int:
            return sum(_count(evaluate(self.train_state, some)) for _ in range(times))

        return self._rate(work, seconds, log)

    def _rate(self, work: Callable[[int], int], seconds: float, log: Log) -> float:
        """Images a second of `work`, which does something so many times and tells the images."""
        began = time.perf_counter()
        images = work(1)
        first = time.perf_counter() - began
        if first >= seconds and self.examples.device.type == "cpu":
            log(f"warning: {images} images take {first:.1f} s: measured by these alone")
            return images / first
        if self.examples.device.type != "cpu":
            work(1)  # the second step is the one that is recorded
        # What came first loaded kernels and took memory. More and more at a time from here on, as
        # in training the host waits for the device once an epoch.
        images, times, began = 0, 1, time.perf_counter()
        while (spent := time.perf_counter() - began) < seconds or not images:
            images += work(times)
            if time.perf_counter() - began < seconds / 4:
                times *= 2
        return images / spent


def _count(sums: Tensor | None) -> int:
    """The number of images in sums of loss, correct answers and images; waits for the device."""
    assert sums is not None  # nothing stops an evaluation here
    return int(sums[2].item())


def network_cost(workload: Workload) -> NetworkCost:
    """Count what `workload` costs on any device, without training it."""
    network, optimiser = _unallocated(workload)
    small = _stand_ins(network)
    remembers = _after_a_step(workload, small)
    for parameter, stand_in in zip(network.parameters(), small, strict=True):
        for name, slot in remembers.get(stand_in, {}).items():
            alike = isinstance(slot, Tensor) and slot.shape == stand_in.shape
            optimiser.state[parameter][name] = (
                torch.empty_like(parameter, dtype=slot.dtype) if alike else slot
            )
    methods = Methods.of(workload.methods, network, network, EVALUATION_BATCH)
    plain, remembered = optimiser_state.taken_apart(optimiser, methods.members, network)
    tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"optimiser/{name}": value for name, value in remembered.items()}
    if (evaluated := methods.evaluated(network)) is not network:
        other = evaluated.state_dict()
        tensors |= {f"evaluated/{name}": value for name, value in other.items()}
    drawing = generators.states(torch.device("cpu"))
    tensors |= {f"generators/{name}": value for name, value in drawing.items()}
    epoch = EpochMetrics(1, 1, 0.0, 0.0, 0.0, 0.0, 0.0)
    return NetworkCost(
        multiply_adds=_multiply_adds(network, workload),
        state=_stored_bytes(tensors) + len(json.dumps(json.dumps(plain))),
        epoch=8 * len(as_rows([epoch])[0]),
    )


def _unallocated(workload: Workload) -> tuple[Network, Optimizer]:
    """The network of `workload` and its optimiser: shapes without numbers, where that is possible.

    A `Foreign` network has numbers: its function may compute with some, its buffers hold indices.
    So has one with methods, which may look at them.
    """
    size = (workload.classes, workload.channels, *workload.size)
    try:
        with torch.device("meta"):
            network = build(workload.model, *size)
            optimiser = workload.optimiser(network.parameters())
    except (NotImplementedError, RuntimeError, TypeError):
        network = None  # built with numbers below, where any other reason is raised again
    if network is None or isinstance(network, Foreign) or workload.methods:
        network = build(workload.model, *size)
        optimiser = workload.optimiser(network.parameters())
    return network, optimiser


def _stand_ins(network: nn.Module) -> list[nn.Parameter]:
    """A small parameter for each of `network`, of as many dimensions; of one row where that has."""
    return [
        nn.Parameter(
            torch.zeros([min(2, size) for size in parameter.shape]),
            requires_grad=parameter.requires_grad,
        )
        for parameter in network.parameters()
    ]


def _after_a_step(
    workload: Workload, parameters: Sequence[nn.Parameter]
) -> Mapping[Tensor, Mapping[str, Any]]:
    """What the optimiser keeps of each of `parameters` after a step."""
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    optimiser: Optimizer = workload.optimiser(parameters)
    step = bare_step(optimiser)
    step(lambda: torch.zeros(())) if workload.optimiser.facts.passes > 1 else step()
    return optimiser.state


def _stored_bytes(tensors: Mapping[str, Tensor]) -> int:
    """The bytes of a safetensors file with `tensors`: the numbers, and the list of them."""
    listed, end = {}, 0
    for name, value in tensors.items():
        begin, end = end, end + value.numel() * value.element_size()
        listed[name] = {
            "dtype": "F32",  # or another name of three letters
            "shape": list(value.shape),
            "data_offsets": [begin, end],
        }
    return end + len(json.dumps(listed, separators=(",", ":"))) + HEADER


@torch.inference_mode()
def _multiply_adds(network: nn.Module, workload: Workload) -> int:
    """Those of one image's forward pass in convolutions, linear layers and attention."""
    # On the CPU, whatever its weights are: not every operation knows the device without numbers.
    if any(parameter.is_meta for parameter in network.parameters()):
        network.to_empty(device="cpu")
    network.eval()
    # The operations one by one: what fuses attention into one is not counted.
    with sdpa_kernel(SDPBackend.MATH), _unfused(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, workload.channels, *workload.size))
    return int(counter.get_total_flops()) // 2


@contextmanager
def _unfused() -> Iterator[None]:
    """Torch's layers of attention compute operation by operation in here, as in training."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
