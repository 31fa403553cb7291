"""What the result of a job says of the code that made it, and whether it is still the present one.

The one place in which the workflow asks for the digests of jobs on runs.
"""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

from plasticity.pipeline import digests
from plasticity.runs import layout
from plasticity.runs.kinds import Job
from plasticity.study.settings import Settings


def settings_of(job: Job, settings: Settings) -> dict[str, Any]:
    """The settings that a `job` observes with; none where it does not observe."""
    key = job.kind.settings
    return dict(getattr(settings, key)) if key else {}


def code_of(job: Job, settings: Settings) -> str:
    """The digest of all that makes the result of a `job`."""
    if job.kind.settings:
        return digests.observation(job.kind, job.run, settings_of(job, settings))
    return digests.training(job.run)


def is_current(job: Job, settings: Settings) -> bool:
    """Whether a finished `job` was made by the present code, in the present precision.

    Raises `UserError` where its file cannot be read.
    """
    header: Callable[[str], dict[str, Any]] = resolve_name(job.kind.header)
    about = header(layout.done(job))
    now = ({"library": code_of(job, settings)}, settings.precision)
    return (about["components"], about["precision"]) == now
