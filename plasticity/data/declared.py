"""Data sets that a configuration declares, as words of paths: scanned once, read when prepared.

What planning must know of one, its `Scan`, is kept beside its prepared data by the process that
plans, and renewed where the files of its source changed. Jobs read it there and look at no source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from plasticity.core import files
from plasticity.core.errors import PlaceError, UserError, shown
from plasticity.data import origin
from plasticity.data.origin import Checksums, Files
from plasticity.data.raw import RawData
from plasticity.data.scan import Scan
from plasticity.runs import DatasetFacts, Run, datasets, layout
from plasticity.runs.own_data import OwnData

READERS = {"images": "folders", "parquet": "hub", "arrays": "arrays"}
"""The modules beside this one that read data sets: each is loaded where one is declared."""


class Reader(Protocol):
    """What such a module does, each of which raises `UserError`."""

    __name__: str

    def read(self, wanted: OwnData, /) -> RawData:
        """The data set that is `wanted`."""
        ...

    def scan(self, wanted: OwnData, /) -> Scan:
        """What is `wanted` in numbers."""
        ...

    def listed(self, wanted: OwnData, /) -> dict[str, list[str]]:
        """The files that are read of what is `wanted`, in groups that are remembered together."""
        ...


def reader_of(declared: OwnData) -> Reader:
    """The module that reads what is `declared`."""
    found: Any = import_module(f"{__package__}.{READERS[declared.reader]}")
    reader: Reader = found
    return reader


def use(declared: Iterable[OwnData], *, renew: bool) -> None:
    """Make what is `declared` words of the registry of data sets, and nothing else that was.

    Only where `renew` is true are sources looked at. Raises `UserError` for a name that cannot be
    one, a source that cannot be read, and a scan that is not there.
    """
    own = {name: member.facts for name, member in datasets.members.items() if member.facts.own}
    wanted = {one.name: facts_of(_spellable(one), renew=renew) for one in declared}
    for name in [name for name, facts in own.items() if wanted.get(name) != facts]:
        datasets.remove(name)
        Run.parse.cache_clear()  # runs on what was called so
    for name, facts in wanted.items():
        if own.get(name) != facts:
            _declare(name, facts)


def use_recorded(run: str, results: Path) -> None:
    """Make the data set of `run` a word, by its scan below the folder `results`.

    One of the same name that other data had takes its place. Raises `UserError` where the library
    has none of its name, and there is no scan.
    """
    name = re.sub(f"{layout.VARIANT}$", "", run.partition("/")[0])
    record, known = Record.read(name, results), datasets.members.get(name)
    if _is_built_in(name) or (known and not record):
        return
    if not record:
        raise UserError(
            f"{place_of(name, results)}: records what the data set {shown(name)} is, and cannot be "
            "read; put the folder results/data beside the results of the run"
        )
    facts = _as_facts(OwnData.recorded(record.declared), Scan(**record.scan))
    if known and known.facts != facts:
        datasets.remove(name)
        Run.parse.cache_clear()
    if not known or known.facts != facts:
        _declare(name, facts)


def _declare(name: str, facts: DatasetFacts) -> None:
    assert facts.own
    own, reader = facts.own, reader_of(facts.own)

    def read(source: Path | None, downloads: Path) -> RawData:
        return reader.read(own)

    # As what a member of the registry is: digests know it by the module that reads it.
    read.__name__, read.__module__ = name, reader.__name__
    read.__doc__ = f"{own.key} of the configuration: {own.reader} in {own.place}."
    datasets.member(name, facts=facts)(read)


def _spellable(declared: OwnData) -> OwnData:
    """What is `declared`; raises `UserError` where its name cannot be a word of a path."""
    name = declared.name
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise UserError(
            f"{declared.key}: {shown(name)} cannot stand in a path; expected a lower-case letter, "
            "then letters, digits or '-'"
        )
    if re.search(r"-[nrv]\d+$", name):
        raise UserError(
            f"{declared.key}: the end of this name is that of a smaller variant of a data set; "
            "choose another name"
        )
    if _is_built_in(name):
        raise UserError(
            f"{declared.key}: the library has a data set of this name; choose another, or "
            f"name a local copy of that one: sources: {{{name}: {declared.place}}}"
        )
    return declared


def _is_built_in(name: str) -> bool:
    """Whether the library, or an extension, has a data set called `name`."""
    members = [member for member in datasets.members.values() if not member.facts.own]
    return any(member.template.match(name) is not None for member in members)


# Scans


@dataclass(frozen=True)
class Record:
    """What is kept of a scan: of what, the state of its files by group, and what was found."""

    declared: dict[str, Any]
    states: dict[str, str]
    scan: dict[str, int]

    @classmethod
    def read(cls, name: str, results: Path = Path(layout.RESULTS)) -> Record | None:
        """That of the data set `name`; None where there is none that can be used."""
        with suppress(OSError, ValueError, TypeError):
            return cls(**json.loads(place_of(name, results).read_text(encoding="utf-8")))
        return None


def place_of(name: str, results: Path = Path(layout.RESULTS)) -> Path:
    """Where the scan of the data set `name` is kept, below the folder `results`."""
    return results / "data" / f"{name}.scan.json"


def facts_of(declared: OwnData, *, renew: bool) -> DatasetFacts:
    """The facts of what is `declared`; scanned anew where `renew` allows and its files changed.

    Raises `UserError` for a source that cannot be used, and for a scan that is not there.
    """
    known = Record.read(declared.name)
    if known and known.declared != _plain(declared):
        known = None
    if not renew and not known:
        raise UserError(
            f"{place_of(declared.name)}: what {declared.key} holds is not recorded here, or "
            "something else of this name; plan this study again, in this folder, and let no other "
            "study in it use the name for other data"
        )
    if renew and (declared.source.exists() or not known):
        known = _renewed(declared, known)
    assert known
    return _as_facts(declared, Scan(**known.scan))


def _renewed(declared: OwnData, known: Record | None) -> Record:
    files.require_readable(declared.source, declared.key)
    reader = reader_of(declared)
    states = {name: origin.state_of(paths) for name, paths in reader.listed(declared).items()}
    if known and known.states == states:
        return known
    record = Record(_plain(declared), states, asdict(reader.scan(declared)))
    # Where nothing can be written, jobs will say so.
    with suppress(PlaceError), files.whole(place_of(declared.name)) as partial:
        partial.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    return record


def _plain(declared: OwnData) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(asdict(declared)))
    return found


def _as_facts(declared: OwnData, scan: Scan) -> DatasetFacts:
    return DatasetFacts(
        train=scan.train,
        test=scan.test,
        classes=scan.classes,
        channels=scan.channels,
        pixels=scan.height,
        width=scan.width if scan.width != scan.height else None,
        own=declared,
    )


# What a source holds


def files_of(source: Path | None, facts: DatasetFacts, checksums: Checksums | None = None) -> Files:
    """What a data set with `facts` is prepared from, to be compared; raises `UserError`.

    As `origin.files_of`; of one that is declared the files by group, and how they are read. Where
    checksums are remembered, files are taken to be in the state that they were scanned in.
    """
    own = facts.own
    if own is None:
        return origin.files_of(source, facts, checksums)
    groups = cache(lambda: reader_of(own).listed(own))
    known = Record.read(own.name) if checksums else None
    if known and known.declared == _plain(own):
        states = known.states
    else:
        states = {name: origin.state_of(paths) for name, paths in groups().items()}
    checksums = checksums or Checksums()
    there = str(own.source.resolve())
    found = {
        name: checksums.of_all(f"{there}: {name}", state, lambda: groups().get(name, ()))  # noqa: B023
        for name, state in states.items()
    }
    checksums.remember()
    return {**found, **{f"{origin.OPTION}{key}": str(value) for key, value in own.options.items()}}


def of_configuration(config: Mapping[str, Any]) -> list[OwnData]:
    """What is declared in `config`, which was found to be right when the study was planned."""
    entries: Mapping[str, Any] = config.get("datasets") or {}
    return [OwnData.of(name, entry) for name, entry in entries.items()]
