"""Signs of lost plasticity at a state: idle units, ranks, norms, and how fast it can be refitted.

Definitions of an idle unit differ, and each has the name of its own. Units are the columns of
activations [n, units], or the channels of [n, channels, h, w], whose positions count as examples.
All take a forward pass at most, but for the probes that train.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from plasticity.measures.rows import Examples, norm
from plasticity.models import masks

# Activations


@torch.no_grad()
def activations(
    network: nn.Module, names: Sequence[str], batches: Sequence[Examples]
) -> dict[str, Tensor]:
    """What the modules with these `names` give for all `batches`, [n, ...] each, on the device.

    In the present mode of `network`. Raises `ValueError` for a module that is not there, or that a
    pass calls other than once.
    """
    return _recorded(network, names, batches, lambda inputs, output: output)


@torch.no_grad()
def features(network: nn.Module, batches: Sequence[Examples]) -> Tensor:
    """The inputs of the last linear layer for all `batches`, [n, features], otherwise the same."""
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ValueError(
            f"network {type(network).__name__} has no linear layer to read features of"
        )
    found = _recorded(network, linear[-1:], batches, lambda inputs, output: inputs[0])
    return found[linear[-1]]


def _recorded(
    network: nn.Module,
    names: Sequence[str],
    batches: Sequence[Examples],
    taken: Callable[[tuple[Tensor, ...], Tensor], Tensor],
) -> dict[str, Tensor]:
    seen: dict[str, list[Tensor]] = {name: [] for name in names}
    with _hooked(network, seen, taken):
        for images, _ in batches:
            network(images)
    for name, pieces in seen.items():
        if len(pieces) != len(batches):
            raise ValueError(
                f"module {name}: called {len(pieces)} times in {len(batches)} passes, expected "
                "once in each"
            )
    return {name: torch.cat(pieces) for name, pieces in seen.items()}


@contextmanager
def _hooked(
    network: nn.Module,
    seen: Mapping[str, list[Tensor]],
    taken: Callable[[tuple[Tensor, ...], Tensor], Tensor],
) -> Iterator[None]:
    modules = dict(network.named_modules())
    if unknown := [name for name in seen if name not in modules]:
        raise ValueError(f"no module {unknown[0]!r} in network {type(network).__name__}")

    def hook(pieces: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda module, inputs, output: pieces.append(taken(inputs, output).clone())

    handles = [modules[name].register_forward_hook(hook(pieces)) for name, pieces in seen.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# Idle units


def redo_scores(activation: Tensor) -> Tensor:
    """The score of each unit, float64 [units]: its mean magnitude over the mean of its layer.

    Sokar et al. 2023, definition 3.1. All are zero where the whole layer is.
    """
    magnitudes = _units(activation).double().abs().mean(dim=0)
    average = magnitudes.mean()
    return magnitudes / average if average > 0 else magnitudes


def redo_dormant_share(activation: Tensor, tau: float) -> float:
    """The share of units whose score is at most `tau`, tau-dormant ones, as `redo_scores`."""
    return _share(redo_scores(activation) <= tau)


def never_active_share(activation: Tensor) -> float:
    """The share of units that are zero for every example: dead behind ReLU.

    It falls with the number of examples.
    """
    return _share((_units(activation) == 0).all(dim=0))


def rarely_active_share(activation: Tensor, share: float = 0.01) -> float:
    """The share of units that are other than zero for less than a `share` of the examples.

    Dormant in the sense of Dohare et al. 2024, who take 1%.
    """
    return _share((_units(activation) != 0).double().mean(dim=0) < share)


def _units(activation: Tensor) -> Tensor:
    """[n, units], or [n, channels, ...] with the positions as further examples."""
    return activation.movedim(1, -1).reshape(-1, activation.shape[1])


def _share(which: Tensor) -> float:
    return float(which.double().mean())


# Ranks


def stable_rank(matrix: Tensor) -> float:
    """|A|_F^2 / |A|_2^2 of `matrix` [n, m]: at most the rank (Rudelson and Vershynin 2007).

    Zero for a matrix of zeros, as are the other ranks.
    """
    values = _singular(matrix).square()
    return float(values.sum() / values[0]) if values[0] > 0 else 0.0


def effective_rank(matrix: Tensor) -> float:
    """The exponential of the entropy of the singular values as shares of their sum.

    Roy and Vetterli 2007, section 2.
    """
    values = _singular(matrix)
    if values[0] == 0:
        return 0.0
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())


def threshold_rank(matrix: Tensor, missing: float = 0.01) -> int:
    """How many singular values make up all but a share `missing` of their sum.

    Called effective rank, srank, by Kumar et al. 2021, section 3, who take 0.01.
    """
    values = _singular(matrix)
    if values[0] == 0:
        return 0
    reached = values.cumsum(dim=0) / values.sum() >= 1 - missing
    return int(reached.double().argmax()) + 1


def _singular(matrix: Tensor) -> Tensor:
    """The singular values of `matrix`, falling, float64; it is not centred."""
    values: Tensor = torch.linalg.svdvals(matrix.double())
    return values


# Norms


def weight_matrices(network: nn.Module) -> dict[str, Tensor]:
    """The weights of convolutions, linear layers and attention as matrices, [outputs, rest]."""
    return {
        name: weight.reshape(len(weight), -1) for name, weight in masks.prunable(network).items()
    }


def weight_norms(network: nn.Module) -> dict[str, float]:
    """The L2 norm of the same weights by layer."""
    return {name: float(norm(weight)) for name, weight in masks.prunable(network).items()}


def distances(network: nn.Module, initial: Mapping[str, Tensor]) -> dict[str, float]:
    """The L2 distance of the same weights to those of the state `initial` by layer."""
    return {
        name: float(norm(weight - initial[name].to(weight)))
        for name, weight in masks.prunable(network).items()
    }


def feature_norm(features: Tensor) -> float:
    """The mean L2 norm of `features`, [n, m], of an example."""
    return float(torch.linalg.vector_norm(features.double(), dim=1).mean())


# Probes


def steps_to_fit_random_labels(
    network: nn.Module,
    images: Tensor,
    classes: int,
    optimiser: Callable[[Iterable[nn.Parameter]], Optimizer],
    batch: int,
    target: float,
    epochs: int,
    generator: torch.Generator,
) -> int | None:
    """The steps until a copy of `network` has fitted labels that are drawn uniformly.

    `images` [n, ...] are trained on in batches of `batch`, the last short one dropped, until the
    accuracy over an epoch as it passed, in training mode, is at least `target`; None where so many
    `epochs` do not suffice. Steps are counted in whole epochs. Labels, then orders, are drawn on
    the CPU from `generator`: the same for every network, which is what they are compared on. After
    Lyle et al. 2023, who measure the loss after a given number of steps. Raises
    `ValueError` where there is less than a batch.
    """
    per_epoch = len(images) // batch
    if per_epoch < 1:
        raise ValueError(f"batches of {batch} of {len(images)} images, expected at most as many")
    network = deepcopy(network).train()
    rule = optimiser(network.parameters())
    labels = torch.randint(classes, (len(images),), generator=generator).to(images.device)
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(images), generator=generator)[: per_epoch * batch]
        correct = torch.zeros((), dtype=torch.int64, device=images.device)
        for indices in order.to(images.device).view(per_epoch, batch):
            logits = network(images[indices])
            rule.zero_grad()
            cross_entropy(logits, labels[indices]).backward()  # type: ignore[no-untyped-call]
            rule.step()
            correct += (logits.argmax(dim=1) == labels[indices]).sum()
        if int(correct) >= target * per_epoch * batch:
            return epoch * per_epoch
    return None


def linear_probe_accuracy(
    features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor
) -> float:
    """The test accuracy of logistic regression on `features` [n, m] for `labels`, int64 [n].

    Features are standardised by their training part; the penalty is that of scikit-learn, C = 1.
    Nothing is drawn. Raises `ValueError` where all labels are the same.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probe.fit(features.double().cpu().numpy(), labels.cpu().numpy())
    return float(probe.score(test_features.double().cpu().numpy(), test_labels.cpu().numpy()))
