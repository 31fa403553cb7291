"""Another order of the examples."""

from __future__ import annotations

from plasticity.runs import Integer, TransformFacts, transforms


@transforms.member("order{number}", facts=TransformFacts("order"), number=Integer(at_least=1))
def order(*, number: int) -> None:
    """The same examples in another order, the one of this number: nothing else changes."""
