"""The images a second that no loop can exceed on a device, by its arithmetic and its memory."""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn

from benchmarks.stand import Bench
from plasticity.data import storage
from plasticity.observe.calibration import network_cost
from plasticity.runs.workload import Workload

PASSES = 15
"""How often a step goes over the outputs of all convolutions, where normalisation, activation and
shortcut are passes of their own: five times forward and ten times backward."""

PEAKS = {"H200": (790.0, 4.3)}
"""TFLOP/s in bfloat16 and TB/s of memory, as measured, by a part of the device's name."""


def bound_of(bench: Bench, given: argparse.Namespace) -> tuple[float | None, str]:
    """Images a second that the device cannot exceed, and where that comes from.

    Where it is not given, the time of the arithmetic and that of going over memory, one after the
    other: a training step multiplies three times as much as its forward pass.
    """
    if given.bound:
        return given.bound, f"bound: {given.bound:,.0f} images/s, as given"
    known = (0.0, 0.0)
    if given.device == "cuda":
        name = torch.cuda.get_device_name()
        known = next((peak for part, peak in PEAKS.items() if part in name), known)
    teraflops, terabytes = given.peak_tflops or known[0], given.bandwidth_tb or known[1]
    if not teraflops or not terabytes:
        return None, "bound: not known for this device (--bound, --peak-tflops, --bandwidth-tb)"
    run, part = bench.run(given.optimiser[0]), storage.read(bench.inputs.test)
    _, channels, pixels, _ = part.images.shape
    classes = len(part.header.classes)
    workload = Workload(channels, pixels, classes, run.model, run.stage.optimiser)
    size = 2 if "bfloat16" in given.precisions else 4
    arithmetic = teraflops * 1e12 / (6 * network_cost(workload).multiply_adds)
    memory = terabytes * 1e12 / (PASSES * size * convolved(workload))
    bound = 1 / (1 / arithmetic + 1 / memory)
    return bound, (
        f"bound: {bound:,.0f} images/s ({arithmetic:,.0f} by arithmetic at {teraflops:g} TFLOP/s, "
        f"{memory:,.0f} by memory at {terabytes:g} TB/s in {PASSES} passes of {size} bytes a "
        "number, one after the other)"
    )


@torch.inference_mode()
def convolved(workload: Workload) -> int:
    """The numbers in the outputs of all convolutions, for one image."""
    total = 0

    def count(layer: nn.Module, inputs: object, output: Tensor) -> None:
        nonlocal total
        total += output.numel()

    network: nn.Module = workload.model(
        workload.classes, workload.channels, workload.pixels, workload.pixels
    )
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    network.eval()
    network(torch.zeros(1, workload.channels, workload.pixels, workload.pixels))
    return total
