"""Dormant units recycled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from plasticity.interventions.method import Method, Step
from plasticity.interventions.units import drawn_anew, renew
from plasticity.runs import Integer, MethodFacts, Number, Word, methods

if TYPE_CHECKING:
    from torch import Tensor

    from plasticity.models.network import Network
    from plasticity.models.units import UnitLayer


class ReDo(Method):
    """See `redo`."""

    def __init__(self, layers: Sequence[UnitLayer], tau: float) -> None:
        # A function is no part of what is remembered: it comes of the network each time.
        self.layers: Callable[[], Sequence[UnitLayer]] = lambda: layers
        self.tau = tau

    def event(self, at: Step) -> None:
        """Draw the dormant units anew."""
        from plasticity.models.units import activity

        layers = self.layers()
        magnitudes = activity(at.network, layers, at.images)
        chosen = [dormant(one.mean((1, 2)), self.tau) for one in magnitudes]
        renew(at, layers, chosen, drawn_anew(at.network, layers))


def dormant(activity: Tensor, tau: float) -> Tensor:
    """Which units of a layer have at most `tau` times its mean `activity`, [units]: bool [units].

    Of a silent layer all.
    """
    return activity <= tau * activity.mean()


@methods.member(
    "redo{tau}every{number}{unit}",
    facts=MethodFacts(acts="units", every=lambda *, tau, number, unit: (number, unit)),
    tau=Number(at_least=0, below=1),
    number=Integer(at_least=1),
    unit=Word(("steps", "epochs")),
)
def redo(network: Network, initial: Network, *, tau: float, number: int, unit: str) -> Method:
    """Every so many steps or epochs, dormant units are drawn anew: `redo0.1every1000steps`.

    Sokar et al. 2023 (ReDo), section 4 and algorithm 1. A unit is dormant where the mean of |a|, of
    what the layer behind it reads, over a batch and positions is at most `tau` times the mean over
    its layer. That is of the batch to come, in training mode and float32, running statistics put
    back. Its incoming weights and bias are drawn from the initial distribution, its normalisation
    begins anew, its outgoing weights are zero, and so is what the optimiser remembers of all these,
    but for counts of steps. Which units a network has: `plasticity.models.units`.

    Published settings: 0.1 every 1,000 steps (in the paper's reinforcement learning), 0.5 every
    epoch (FIRE). The public code of the paper sets biases to zero, leaves their moments as they
    are, and draws weights from Glorot's distribution whatever the initial one was. Other public
    code leaves all moments stale, so that they take new weights where the old ones went, or finds
    them by the number of a parameter, which is another one's where layers have no bias or are
    normalised. Behind batch normalisation units are rarely below 0.5 of the mean: nothing happens.
    """
    from plasticity.models.units import unit_layers

    return ReDo(unit_layers(network), tau)
