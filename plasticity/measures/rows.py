"""Parameters of a network in a row, and the modes in which it is measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import update_bn

from plasticity.models.undo import put_back

Examples = tuple[Tensor, Tensor]
"""A batch: images, float32 [b, ...], and labels, int64 [b], on the device of the network."""


def trainable(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name: rows hold them in this order."""
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def in_a_row(tensors: Iterable[Tensor]) -> Tensor:
    """A copy of all entries in the order of the indices, however they lie in memory: [n]."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def norm(values: Tensor) -> Tensor:
    """The L2 norm of all `values`, summed in float64, on their device."""
    found: Tensor = torch.linalg.vector_norm(values.detach(), dtype=torch.float64)
    return found


def apart(row: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """The inverse of `in_a_row`: the pieces of `row`, [n], in the shapes of `like`."""
    pieces = torch.split(row, [one.numel() for one in like])
    return [piece.view(one.shape) for piece, one in zip(pieces, like, strict=True)]


@contextmanager
def training_mode(network: nn.Module) -> Iterator[None]:
    """`network` in training mode in here; its modes and buffers are put back afterwards.

    Running statistics, which training mode moves, are so left alone. Draws of the global
    generators, as of dropout, are not put back.
    """
    with _modes_put_back(network), put_back(list(network.buffers())):
        network.train()
        yield


@contextmanager
def evaluation_mode(network: nn.Module, batches: Sequence[Examples]) -> Iterator[None]:
    """`network` in evaluation mode in here, its statistics of normalisation taken from `batches`.

    They are the means over the batches (`torch.optim.swa_utils.update_bn`): right after a start
    those that a network brings along belong to other weights. Modes and buffers are put back
    afterwards. It takes a forward pass a batch.
    """
    with _modes_put_back(network), put_back(list(network.buffers())):
        update_bn(batches, network)
        network.eval()
        yield


@contextmanager
def _modes_put_back(network: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in network.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def logits_of(network: nn.Module, images: Tensor) -> Tensor:
    """Those of `network`, in float32 at least, whatever it computes in."""
    logits: Tensor = network(images)
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def mean_gradient(network: nn.Module, batches: Sequence[Examples]) -> Tensor:
    """The gradient of the mean cross-entropy over all `batches`, [n], in the present mode."""
    parameters = list(trainable(network).values())
    total = torch.zeros_like(in_a_row(parameters))
    for images, labels in batches:
        loss = cross_entropy(logits_of(network, images), labels, reduction="sum")
        total += in_a_row(gradients_of(loss, parameters))
    return total / sum(len(labels) for _, labels in batches)


def gradients_of(
    output: Tensor,
    parameters: Sequence[nn.Parameter],
    along: Tensor | None = None,
    create_graph: bool = False,
) -> tuple[Tensor, ...]:
    """Those of a number, or of an `output` as a sum weighted by `along`, of its shape.

    What a parameter has in its ``grad`` stays. Zeros for one that is not used. With `create_graph`
    they can be differentiated again, and so can the `output`.
    """
    return torch.autograd.grad(
        output, parameters, along,
        create_graph=create_graph, allow_unused=True, materialize_grads=True,
    )  # fmt: skip


@torch.no_grad()
def loss_and_accuracy(network: nn.Module, batches: Sequence[Examples]) -> tuple[float, float]:
    """Mean cross-entropy in nats and the fraction classified right, in the present mode."""
    sums = torch.zeros(3, dtype=torch.float64)
    for images, labels in batches:
        logits = logits_of(network, images)
        loss = cross_entropy(logits, labels, reduction="sum")
        right = (logits.argmax(dim=1) == labels).sum()
        sums += torch.stack([loss.double(), right.double(), loss.new_tensor(len(labels))]).cpu()
    loss_sum, correct, count = sums.tolist()
    return loss_sum / count, correct / count
