"""Which code made a result, component by component, and whether it still counts as the present one.

A component is a file of the library or one fact that is named, such as ``lineage``; the digest of
each is recorded in the header of a result. Digests are taken by `plasticity.pipeline.digests`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from plasticity.core.errors import UserError

LINEAGE = "lineage"
"""The component that stands for the jobs that lead to a result."""

FACTS = (LINEAGE, "options", "settings")
"""Components that are no files: which jobs a run is made by, what the words of its path mean with
all defaults, and with which settings it is observed."""

ABSENT = ""
"""Stands for the digest of a component that a result does not have."""

Step = Mapping[str, tuple[str, str]]
"""A change of the code that moved no number: the digests of components before and after it."""

Equivalences = tuple[Step, ...]
"""All such changes, the earliest first."""


@dataclass(frozen=True)
class Code:
    """The code that makes a result: the digest of each component, by its name."""

    components: Mapping[str, str]
    equivalences: Equivalences = field(default=(), compare=False, repr=False)

    @cached_property
    def digest(self) -> str:
        """One digest of all components."""
        text = "\n".join(f"{name} {digest}" for name, digest in sorted(self.components.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def changed_since(self, recorded: Mapping[str, str]) -> list[str]:
        """The components for which a result with those `recorded` is outdated, by name."""
        return outdated(recorded, self.components, self.equivalences)

    def require_before(self, path: str | Path, recorded: Mapping[str, str]) -> None:
        """Raise `UserError` where what is in `path`, of an earlier job, is not of this code.

        The code of a job includes that of the jobs before it; `recorded` are the components of one
        of these. What its run descends from and means differs, and is known by its name.
        """
        files = {name: digest for name, digest in recorded.items() if name not in FACTS}
        present = {name: self.components[name] for name in files if name in self.components}
        if changed := outdated(files, present, self.equivalences):
            raise UserError(
                f"{path}: made by code that changed since then ({', '.join(changed)}); run the "
                "same command again, which makes it anew first"
            )


def outdated(
    recorded: Mapping[str, str], present: Mapping[str, str], equivalences: Equivalences
) -> list[str]:
    """The names of the components that differ, sorted; one that only one side has differs.

    A result counts as one of the code after a step of `equivalences` where it has all that the
    step changed as it was before: what was compared is the step as a whole.
    """
    state = dict(recorded)
    for step in equivalences:
        if _is_before(state, step):
            after = {name: digest for name, (_, digest) in step.items()}
            # What the present code does not use any more, or not yet, is left out.
            state = {n: d for n, d in {**state, **after}.items() if n in present and d != ABSENT}
    names = sorted({*state, *present})
    return [name for name in names if state.get(name, ABSENT) != present.get(name, ABSENT)]


def _is_before(state: Mapping[str, str], step: Step) -> bool:
    """Whether a result of `state` was made by the code before `step`, as far as it used that."""
    used = {name: earlier for name, (earlier, _) in step.items() if name in state}
    return bool(used) and all(state[name] == earlier for name, earlier in used.items())
