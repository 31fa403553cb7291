"""What the runs of a figure with arms are called: by where they begin, and by their arm."""

from __future__ import annotations

from collections.abc import Container

COLD, WARM = "cold", "warm"
"""From scratch, and from pretraining: the roles that every figure with arms has."""

LONG = "long"
"""The arm that trains from scratch for as many steps as pretraining and tuning together."""

COLD_LONG = f"{COLD}-{LONG}"
BOTH = "-both"
"""What ends the name of an arm that acts in pretraining too."""


def arm_of(role: str) -> str:
    """The arm of a `role`: empty for plain cold and warm."""
    return role.partition("-")[2]


def counterpart(role: str, roles: Container[str]) -> str:
    """Of `roles` the one from scratch with the methods and the rule of `role`: cold where none."""
    same = f"{COLD}-{arm_of(role)}"
    return same if same in roles else COLD
