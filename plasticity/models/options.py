"""Options and names that several networks share, for paths: read without torch."""

from __future__ import annotations

from plasticity.runs import Word

STYLE = "[-{normalisation}][-{activation}]"
"""How they end the spelling of a residual network: `plasticity.models.resnet.Style` has them."""

NORMALISATION = Word(("batch", "group", "layer", "nonorm"), default="batch", alone=True)
ACTIVATION = Word(("relu", "leaky", "crelu"), default="relu", alone=True)


def residual_names(modules: int) -> tuple[str, ...]:
    """What the modules of a residual network are called that has so many with blocks."""
    return ("stem", *(f"blocks{number}" for number in range(1, modules + 1)), "output")
