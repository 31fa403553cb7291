"""The paths of rungs as a regular expression, by which Snakemake tells rules apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plasticity.runs.registry import Member
from plasticity.runs.run import RUNGS
from plasticity.runs.vocabulary import SCHEDULES, data_selections, starts


def pattern() -> str:
    """What the paths of those runs match that `Run.is_rung` holds for, and no others.

    It follows the words that are declared, hence those of extensions too.
    """
    drifting = _any(one for one in data_selections.members.values() if one.facts.fraction_of_all)
    pruning = _any(one for one in starts.members.values() if one.facts.prunes)
    stage = (
        rf"(?!{drifting}[_+])[^/_]+",
        rf"(?![^/_]+-(?:{'|'.join(SCHEDULES)})[_+])[^/_]+",
        rf"e(?:{'|'.join(map(str, RUNGS))})",
        rf"(?!{pruning}(?:/|$))[^/_]+",
    )
    return r"(?:[^/]+/)+" + "_".join(stage)


def _any(members: Iterable[Member[Any]]) -> str:
    return rf"(?:{'|'.join(member.template.pattern for member in members)})"
