"""What the result of a job says of the code that made it, and whether it is still the present one.

The one place in which the workflow asks for the digests of jobs on runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from plasticity.data import splits, storage
from plasticity.pipeline import digests
from plasticity.runs import data_selections, datasets, layout
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


def told_of_code(code: Code, changed: Sequence[str] | None, on_record: str | None) -> str:
    """What Snakemake is told of the `code` of a job, to be compared with what is `on_record`.

    `changed` are the components for which the result that is there is outdated, None where there
    is none. What counts is the header of the result: where it is outdated the two have to differ,
    and else not, whatever is on record.
    """
    if changed == [] and on_record:
        return on_record
    names = f", changed: {', '.join(changed)}" if changed else ""
    text = f"code {code.digest}{names}"
    return other_than(on_record, text) if changed else text


def other_than(on_record: str | None, text: str) -> str:
    """`text`, changed where it is what Snakemake has `on_record`, so that it sees a difference."""
    return f"{text}, again" if text == on_record else text


@dataclass(frozen=True)
class Data:
    """A file of data or choices of them: the `code` that makes it, and how its header is read."""

    path: str
    code: Code
    header: Callable[[str], Mapping[str, str]]

    @property
    def changed(self) -> list[str]:
        """The components that changed since it was made; raises `UserError` for a damaged file."""
        return self.code.changed_since(self.header(self.path))


def dataset(name: str) -> Data:
    """The training part of the data set `name`; raises `UserError`."""
    code = digests.dataset(datasets.parse(name))
    return Data(layout.dataset(name)["train"], code, storage.made_by)


def variant(name: str) -> Data:
    """The training part of the data set `name`, which a whole one was made smaller for."""
    code = digests.variant(datasets.parse(name))
    return Data(layout.dataset(name)["train"], code, storage.made_by)


def split(path: str) -> Data:
    """The split in `path`; raises `UserError`."""
    selection = Path(path).name.removesuffix(".parquet")
    return Data(path, digests.split(data_selections.parse(selection)), splits.made_by)
