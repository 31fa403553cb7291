"""Digests of the code that results depend on: what decides whether a job runs again, by component.

    python -m plasticity.pipeline.digests          the digest of each file of the library, as JSON
    python -m plasticity.pipeline.digests FILE     why the result in FILE is made again

A component is a file, by its place in the library, or one of three facts. Snakemake does not see
changes in imported modules: the files are found by following imports from what a job calls. A
member of a registry counts where the run, or a run that it is made from, uses it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from plasticity.core.errors import UserError
from plasticity.pipeline import closure
from plasticity.runs import Run, Term, ancestors, extensions
from plasticity.runs.combination import applied
from plasticity.runs.declarations import QUANTITY
from plasticity.runs.kinds import Job
from plasticity.runs.provenance import FACTS, LINEAGE, Code, Equivalences
from plasticity.runs.values import decimal
from plasticity.runs.workload import Workload, examples, step_range

EQUIVALENCES = Path(__file__).with_name("equivalences.csv")
"""Steps between two states of the code that moved no number: of each component that changed the
digest before and after, empty where there is no such file."""

WORDS = ("plasticity.runs.facts", "plasticity.runs.registry")
"""How the words of a path are called, and what they tell of themselves by default."""

FROM_THE_START = ("examples", "pixels")
"""Options of data sets that count also where they are None, as they always did."""

PLANNED = "PLASTICITY_PLANNED"
"""The variable that tells a job of the code that it was planned with."""

Settings = Mapping[str, object]
"""What an observation is made with, such as its points; nothing for other kinds of job."""


# What makes a run


def components(job: Job, settings: Settings | None = None) -> dict[str, str]:
    """The digest of each component of the result of `job`, given its data.

    They are the same for every seed.
    """
    lineage, sources = _descent(job)
    meant = [_meant(term) for term in _terms(job.run)]
    facts = {LINEAGE: lineage, "options": _hash(_canonical(meant))}
    if settings:
        facts["settings"] = _hash(_canonical(dict(settings)))
    return {**closure.files(sources), **facts}


def code_of(job: Job, settings: Settings | None = None) -> Code:
    """The components of the result of `job`, with the equivalences that hold."""
    key = (*_key(job), _canonical(dict(settings or {})))
    if key not in _codes:
        _codes[key] = Code(components(job, settings), equivalences())
    return _codes[key]


_codes: dict[tuple[str, str, str], Code] = {}


@cache
def equivalences() -> Equivalences:
    """Those in the table of the library."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    with EQUIVALENCES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            pair = (row["earlier digest"], row["digest"])
            found.setdefault(row["step"], {})[row["component"]] = pair
    return tuple(found.values())


def plan() -> None:
    """Tell all processes that this one starts, jobs among them, of the code that it has found."""
    os.environ[PLANNED] = json.dumps(closure.every_file())


def require_unchanged(code: Code) -> Code:
    """The `code` that a job finds when it starts.

    Raises `UserError` where a file of it is not as it was planned with, if that is told.
    """
    planned = json.loads(os.environ.get(PLANNED, "null"))
    files = {name: digest for name, digest in code.components.items() if name not in FACTS}
    changed = [name for name, digest in files.items() if planned and planned.get(name) != digest]
    if changed:
        raise UserError(
            f"the code changed since this job was planned: {', '.join(changed)}; "
            "run the same command again"
        )
    return code


Known = tuple[str, frozenset[str]]
"""The lineage of a job, and the sources of the code that it and all jobs before it run."""

_known: dict[tuple[str, str], Known] = {}


def _descent(job: Job) -> Known:
    """Without recursion: a chain may be long."""
    waiting, begun = [job], set()
    while waiting:
        one = waiting[-1]
        key, earlier = _key(one), one.inputs
        missing = [e for e in earlier.values() if _key(e) not in _known and _key(e) not in begun]
        if missing and key not in _known:
            begun.add(key)
            waiting += missing
            continue
        waiting.pop()
        if key not in _known:
            nothing: Known = ("", frozenset())  # of a job that leads to itself
            before = {name: _known.get(_key(e), nothing) for name, e in earlier.items()}
            # Of which seed the earlier job is, compared to this one's.
            seeds = {name: e.run.seed - one.run.seed for name, e in earlier.items()}
            lineage = [key, {name: [before[name][0], seeds[name]] for name in earlier}]
            own = frozenset({*one.kind.roots, *_declaring(one), *WORDS})
            sources = own.union(*(found[1] for found in before.values()))
            _known[key] = (_hash(_canonical(lineage)), sources)
    return _known[_key(job)]


def _key(job: Job) -> tuple[str, str]:
    """`job` without its seed."""
    return (str(job.kind), job.run.path.replace(f"/seed{job.run.seed}/", "/", 1))


def _terms(run: Run) -> list[Term[Any]]:
    """All that the path of `run` says but its seed and lengths; transforms as they are applied."""
    terms: list[Term[Any]] = [run.dataset, run.model]
    for stage in run.stages:
        terms += (stage.data, *applied(stage.transforms))
        terms += (stage.optimiser, *stage.methods, stage.start)
    return terms


def _declaring(job: Job) -> set[str]:
    """What declares the words of the run of `job`, and the quantities that it measures.

    But not its data set: data have a job and a digest of their own.
    """
    terms = [term for term in _terms(job.run) if term is not job.run.dataset]
    measured = [
        declared.function
        for extension in (extensions.in_use() if job.kind.measures else ())
        for declared in extension.declared
        if declared.kind == QUANTITY
    ]
    functions = [*(term.member.function for term in terms), *measured]
    return {source for function in functions for source in closure.sources_of(function)}


def _meant(term: Term[Any]) -> list[Any]:
    """`term` with all of its options, those that it does not spell included.

    But for what is None, which stands for nothing: so a new option outdates no earlier result.
    """
    options = {
        k: decimal(v) if isinstance(v, float) else v
        for k, v in term.options.items()
        if v is not None or k in FROM_THE_START
    }
    return [term.member.kind, term.member.name, options]


# What makes other results


def split(selection: Term[Any]) -> Code:
    """All that draws `selection`."""
    return _of_data("split.py", "plasticity.data.splits", selection)


def dataset(name: Term[Any]) -> Code:
    """All that prepares the data set `name`."""
    return _of_data("dataset.py", "plasticity.data.storage", name)


def variant(name: Term[Any]) -> Code:
    """All that makes the data set `name` smaller, given the whole one."""
    return _of_data("dataset_variant.py", "plasticity.data.storage", name)


def _of_data(script: str, module: str, term: Term[Any]) -> Code:
    sources = closure.sources_of(term.member.function) | {script, module}
    options = {"options": _hash(_canonical(_meant(term)))}
    return Code({**closure.files(sources), **options}, equivalences())


def summary() -> str:
    """The digest of all that turns metrics into tables."""
    parts = ("runs", "curves", "gaps", "observations", "page")
    summaries = (f"plasticity.analysis.summary.{part}" for part in parts)
    return digest("plasticity.analysis.storage", *summaries)


def remedies() -> str:
    """The digest of all that compares the arms of a figure."""
    parts = ("remedies", "remedies_page")
    return digest(
        "plasticity.analysis.storage", *(f"plasticity.analysis.summary.{part}" for part in parts)
    )


def claims() -> str:
    """The digest of all that judges the papers' claims from tables."""
    parts = ("evidence", "ledger", "verdict", "page")
    return digest(
        "plasticity.analysis.storage", *(f"plasticity.analysis.claims.{part}" for part in parts)
    )


def calibration(workloads: Iterable[Workload]) -> str:
    """The digest of all that measures how fast `workloads` are."""
    terms: list[Term[Any]] = []
    for workload in workloads:
        terms += (workload.model, workload.optimiser, *workload.methods)
    return digest("plasticity.observe.calibration", terms=terms)


def drawing(name: str) -> str:
    """The digest of all that draws figures with `name`: see `FigureSettings.draw`."""
    return digest(*_drawing(name))


def preview(name: str, runs: Iterable[Run]) -> str:
    """The digest of all that makes numbers up for `runs` and draws them with `name`."""
    code = digest("plasticity.analysis.preview", *_drawing(name))
    return _hash(f"{code} {lengths(runs)}")


def _drawing(name: str) -> list[str]:
    """The sources that draw with `name`, a module of `analysis.figures` or of an extension."""
    figures = "plasticity.analysis.figures"
    return [figures, *sorted(extensions.sources_of(name))] if "." in name else [f"{figures}.{name}"]


def script(name: str) -> str:
    """The digest of a script of the workflow, without the library that it calls."""
    return Code(closure.files(frozenset({name}))).digest


def listing(runs: Iterable[Run]) -> str:
    """The digest of a choice of runs: tables are made anew where it changes."""
    return _hash("\n".join(sorted(map(str, runs))))


def lengths(runs: Iterable[Run]) -> str:
    """The digest of how long `runs` and what comes before them last, which data sets tell."""
    found = []
    for run in (*ancestors(runs := list(runs)), *runs):
        try:
            found.append(f"{run} {step_range(run)} {examples(run)}")
        except UserError as error:  # the preview itself will say so
            found.append(f"{run} {error}")
    return _hash("\n".join(found))


def digest(*roots: str, terms: Iterable[Term[Any]] = ()) -> str:
    """A digest of the modules `roots`, of those below them, and of `terms` with all options."""
    terms = list(terms)
    sources = frozenset(roots).union(*(closure.sources_of(t.member.function) for t in terms))
    meant = _canonical([_meant(term) for term in terms])
    return _hash(f"{Code(closure.files(sources)).digest} {meant}")


def forget() -> None:
    """Read all code anew at the next digest: it is otherwise read once a process."""
    closure.forget()
    equivalences.cache_clear()
    _known.clear()
    _codes.clear()


extensions.forget_with(forget)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


if __name__ == "__main__":
    from plasticity.pipeline.why import main

    main()
