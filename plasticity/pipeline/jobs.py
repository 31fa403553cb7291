"""What the result of a job says of the code that made it, and whether it is still the present one.

The one place in which the workflow asks for the digests of jobs on runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from plasticity.pipeline import digests
from plasticity.runs import layout
from plasticity.runs.kinds import Job, Kind
from plasticity.runs.provenance import Code
from plasticity.study.settings import Settings


def settings_of(kind: Kind, settings: Settings) -> dict[str, Any]:
    """The settings that a `kind` of job observes with; none where it does not observe."""
    return dict(getattr(settings, kind.settings)) if kind.settings else {}


def code_of(job: Job, settings: Settings) -> Code:
    """All that makes the result of a `job`."""
    return digests.code_of(job, settings_of(job.kind, settings))


@dataclass(frozen=True)
class Made:
    """How a finished job was made: in which `precision`, and with which components that `changed`
    since then.
    """

    changed: list[str]
    precision: str


def made(job: Job, settings: Settings) -> Made:
    """How a finished `job` was made; raises `UserError` where its file cannot be read."""
    header: Callable[[str], dict[str, Any]] = resolve_name(job.kind.header)
    about = header(layout.done(job))
    changed = code_of(job, settings).changed_since(about.get("components", {}))
    return Made(changed, about["precision"])


def told_of_code(code: Code, made: Made | None, on_record: Iterable[str]) -> str:
    """What Snakemake is told of the `code` of a job, to be compared with what is `on_record`.

    `made` is how the result that is there was made, None where there is none; `on_record` are
    Snakemake's written parameters of that result. What counts is the header of the result: where it
    is outdated the two have to differ, and else not, whatever is on record.
    """
    known = [text[1:-1] for text in on_record if text.startswith("'code ")]
    if made and not made.changed and known:
        return known[0]
    changed = f", changed: {', '.join(made.changed)}" if made and made.changed else ""
    text = f"code {code.digest}{changed}"
    return f"{text}, again" if changed and text in known else text
