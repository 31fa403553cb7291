"""Direction-aware shrinking."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from plasticity.runs import Number, StartFacts, Word, starts

if TYPE_CHECKING:
    import torch

    from plasticity.models.network import Network


@starts.member(
    "dash{floor}[-alpha{alpha}][-{mode}]",
    facts=StartFacts(batches="epoch"),
    floor=Number(at_least=0, at_most=1),
    alpha=Number(above=0, at_most=1, default=0.3),
    mode=Word(("train", "eval"), default="train", alone=True),
)
def dash(
    network: Network,
    generator: torch.Generator,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    *,
    floor: float,
    alpha: float,
    mode: str,
) -> None:
    """DASH: each vector of weights times its cosine to minus the gradient, at least `floor`.

    Shin et al. 2024, algorithm 1, with 0.3 for both options; FIRE's comparison has a floor of 0.05.
    Vectors are the kernels of convolutions, one for each pair of channels, rows of linear layers
    and attention, and, as in the public code, biases as a whole. The gradient is the exponential
    average of those of batches, each with the weight `alpha`, over one pass through the stage's
    data. Neither normalisation nor frozen layers are touched, nor running statistics.

    The network is in training mode, in float32, and batches are those of an epoch of the stage:
    its size, shuffled and augmented. In the public code the network is in evaluation mode, which is
    `-eval` here, and a batch is a whole chunk of the data, the oldest first, not augmented. It also
    takes norms below 1e-8 for this number; here cosines are exact.
    """
    from plasticity.interventions import directions
    from plasticity.interventions.layers import layers

    trained = [one for layer in layers(network) for one in layer.parameters if one.requires_grad]
    if not trained:
        return
    training = network.training
    network.train(mode == "train")
    gradients = directions.average_gradients(network, trained, batches, alpha)
    network.train(training)
    for parameter, gradient in zip(trained, gradients, strict=True):
        directions.shrink(parameter, gradient, floor)
