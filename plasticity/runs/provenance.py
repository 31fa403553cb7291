"""Which code made a result, component by component, and whether it still counts as the present one.

A component is a file of the library or one fact that is named, such as ``lineage``; the digest of
each is recorded in the header of a result. Digests are taken by `plasticity.pipeline.digests`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

LINEAGE = "lineage"
"""The component that stands for the jobs that lead to a result."""

ABSENT = ""
"""Stands for the digest of a component that a result does not have."""

Equivalences = Mapping[str, frozenset[tuple[str, str]]]
"""Pairs of digests of a component between which no number moved, by the name of the component."""


@dataclass(frozen=True)
class Code:
    """The code that makes a result: the digest of each component, by its name."""

    components: Mapping[str, str]
    equivalences: Equivalences = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def digest(self) -> str:
        """One digest of all components."""
        text = "\n".join(f"{name} {digest}" for name, digest in sorted(self.components.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def changed_since(self, recorded: Mapping[str, str]) -> list[str]:
        """The components for which a result with those `recorded` is outdated, by name."""
        return outdated(recorded, self.components, self.equivalences)


def outdated(
    recorded: Mapping[str, str], present: Mapping[str, str], equivalences: Equivalences
) -> list[str]:
    """The names of the components that differ, sorted; one that only one side has differs.

    Unless their digests are equivalent.
    """
    return [
        name
        for name in sorted({*recorded, *present})
        if not _equal(
            recorded.get(name, ABSENT),
            present.get(name, ABSENT),
            equivalences.get(name, frozenset()),
        )
    ]


def _equal(one: str, other: str, pairs: frozenset[tuple[str, str]]) -> bool:
    """Whether `pairs` lead from the digest `one` to the `other`.

    Not by way of its absence: a file may have been added, changed and removed again.
    """
    reached, waiting = {one}, [one]
    while waiting and other not in reached:
        digest = waiting.pop()
        near = {b if a == digest else a for a, b in pairs if digest in (a, b)} - reached
        reached |= near
        waiting += near - {ABSENT}
    return other in reached
