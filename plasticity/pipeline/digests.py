"""Digests of the code that a job's result depends on: what decides whether it runs again.

Snakemake does not see changes in imported modules. Each rule therefore carries, as a parameter, a
digest of the library modules that it uses, found by following their imports. Comments, docstrings
and layout do not count, nor do modules that move no number. Of a module that declares words of a
registry, only the words in use count: a new optimiser leaves every old result as it is.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from plasticity.core.errors import UserError
from plasticity.runs import (
    DatasetFacts,
    ModelFacts,
    Run,
    SelectionFacts,
    Stage,
    Term,
    ancestors,
)
from plasticity.runs.kinds import Kind
from plasticity.runs.vocabulary import (
    starts,
)
from plasticity.runs.workload import Workload, examples, step_range

PACKAGE = Path(__file__).parents[1]
SILENT_FACTS = ("size", "classes")
"""Facts of data selections that tell what is possible and what it costs."""

MOVE_NO_NUMBER = (
    "runs",
    "study",
    "core.errors",
    "core.files",
    "core.gpus",
    "core.shutdown",
)


def training(run: Run) -> str:
    """The digest of all that trains `run`, its earlier stages included, given its data.

    The earlier ones count because a checkpoint is not tracked by its age: it may have been dropped,
    or made again.
    """
    return _training(run.model, run.stages)


@cache
def _training(model: Term[ModelFacts], stages: tuple[Stage, ...]) -> str:
    """The same for every seed, and so asked for often."""
    terms: list[Term[Any]] = []
    for stage in stages:
        terms += (stage.data, *stage.transforms, stage.optimiser, stage.start)
    if not any(stage.prunes for stage in stages):
        # What is done to masks and under them moves no whole network.
        return digest(
            "plasticity.training.train",
            (model, *terms),
            without=("plasticity.models.masks", "plasticity.interventions.perturbations"),
        )
    # Its mask comes from plain tickets and from the dense network.
    terms += [starts.parse(text) for text in ("init", "keep", "ticket1")]
    return digest("plasticity.training.train", (model, *terms), "plasticity.training.prune")


def observation(kind: Kind, run: Run, settings: Mapping[str, object]) -> str:
    """The digest of all that is observed of `run` besides its metrics, as a `kind` of job.

    With its `settings`, so that other ones make a finished job outdated as other code does.
    """
    code = _digest(kind.roots, frozenset(), ())
    text = f"{code} {training(run)} {json.dumps(dict(settings), sort_keys=True)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def split(selection: Term[SelectionFacts]) -> str:
    """The digest of all that draws `selection`."""
    return digest("plasticity.data.splits", (selection,))


def dataset(name: Term[DatasetFacts]) -> str:
    """The digest of all that prepares the data set `name`."""
    return digest("plasticity.data.storage", (name,), "plasticity.data.datasets")


def summary() -> str:
    """The digest of all that turns metrics into tables."""
    return digest("plasticity.analysis.summary", ())


def claims() -> str:
    """The digest of all that judges the papers' claims from tables."""
    parts = ("evidence", "paper", "verdict", "page")
    return digest(
        "plasticity.analysis.summary", (), *(f"plasticity.analysis.claims.{part}" for part in parts)
    )


def calibration(workloads: Iterable[Workload]) -> str:
    """The digest of all that measures how fast `workloads` are."""
    terms = [term for workload in workloads for term in (workload.model, workload.optimiser)]
    return digest("plasticity.observe.calibration", terms)


def drawing(name: str) -> str:
    """The digest of all that draws figures with the module `name` of `analysis.figures`."""
    return digest(f"plasticity.analysis.figures.{name}", (), "plasticity.analysis.figures")


def preview(name: str, runs: Iterable[Run]) -> str:
    """The digest of all that makes numbers up for `runs` and draws them with the module `name`."""
    code = digest("plasticity.analysis.preview", (), f"plasticity.analysis.figures.{name}")
    text = f"{code} {lengths(runs)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def script(name: str) -> str:
    """The digest of a script of the workflow and of its module, without what these import."""
    places = (PACKAGE.parent / "workflow" / "scripts" / name, PACKAGE / "scripts" / name)
    text = "\n".join(ast.unparse(_significant(path, None)) for path in places)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def listing(runs: Iterable[Run]) -> str:
    """The digest of a choice of runs: tables are made anew where it changes."""
    return hashlib.sha256("\n".join(sorted(map(str, runs))).encode()).hexdigest()[:16]


def lengths(runs: Iterable[Run]) -> str:
    """The digest of how long `runs` and what comes before them last, which data sets tell."""
    found = []
    for run in (*ancestors(runs := list(runs)), *runs):
        try:
            found.append(f"{run} {step_range(run)} {examples(run)}")
        except UserError as error:  # the preview itself will say so
            found.append(f"{run} {error}")
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]


def digest(root: str, terms: Iterable[Term[Any]], *more: str, without: tuple[str, ...] = ()) -> str:
    """A digest of the modules `root` and `more`, and of those below them, as `terms` use them.

    Those in `without` are left out.

    The options of `terms` count with their defaults: a default that changes moves results without
    moving their path.
    """
    terms = list(terms)
    words = frozenset((term.member.function.__module__, term.member.name) for term in terms)
    options = json.dumps([(term.member.name, term.options) for term in terms])
    text = f"{_digest((root, *more), words, without)} {options}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def forget() -> None:
    """Read all code anew at the next digest: it is otherwise read once a process."""
    for cached in (script, _training, _digest, _module):
        cached.cache_clear()


@cache
def _digest(
    roots: tuple[str, ...], words: frozenset[tuple[str, str]], without: tuple[str, ...]
) -> str:
    used: dict[str, set[str]] = {}
    for home, word in words:
        used.setdefault(home, set()).add(word)
    waiting, codes = [*roots, *used], {}
    while waiting:
        name = waiting.pop()
        if name in codes or name in without or _path(name) is None:
            continue
        codes[name], below = _module(name, frozenset(used[name]) if name in used else None)
        waiting += below
    text = "\n".join(f"# {module}\n{codes[module]}" for module in sorted(codes))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _module(name: str, words: frozenset[str] | None) -> tuple[str, tuple[str, ...]]:
    """The code of a module that counts, and the modules that it imports and that count."""
    path = _path(name)
    assert path is not None
    tree = _significant(path, words)
    return ast.unparse(tree), tuple(below for below in _imports(tree) if _counts(below))


def _counts(module: str) -> bool:
    package, _, below = module.partition(".")
    silent = any(f"{below}.".startswith(f"{name}.") for name in MOVE_NO_NUMBER)
    return package == "plasticity" and below != "" and not silent


def _path(module: str) -> Path | None:
    """The file of a module of this package, or None where `module` is a name within one."""
    place = PACKAGE.joinpath(*module.split(".")[1:])
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def _significant(path: Path, words: frozenset[str] | None) -> ast.Module:
    """The syntax tree of `path` without what moves no number.

    That is: docstrings, also those under constants, the texts of errors, and imports for type
    checkers; and in the home of a registry, the members not in `words` with what only they had
    imported or defined.
    """
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [part for part in node.body if not _is_silent(part)] or [ast.Pass()]
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args, node.exc.keywords = [], []  # what a message says
    if words is not None:
        for node in filter(_is_member, tree.body):
            _drop_facts(node)
        tree.body = [
            node for node in tree.body if not _is_member(node) or getattr(node, "name", "") in words
        ]
        _drop_unused(tree)
    _sort_imports(tree)
    return tree


def _is_silent(node: ast.stmt) -> bool:
    """Whether `node` is a lone string or what only a type checker reads."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _drop_unused(tree: ast.Module) -> None:
    """Drop top-level imports, constants and private helpers that nothing else in `tree` names.

    A constant that only another module reads is dropped too: the homes of registries have none.
    """
    while True:
        rest = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
        used = {
            node.id for part in rest for node in ast.walk(part)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }  # fmt: skip
        kept = [node for node in rest if not _is_private(node) or _bound(node) & used]
        if kept == rest:
            break
        tree.body = [node for node in tree.body if node in kept or node not in rest]
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            node.names = [a for a in node.names if (a.asname or a.name).split(".")[0] in used]
    tree.body = [node for node in tree.body if getattr(node, "names", True)]


def _sort_imports(tree: ast.Module) -> None:
    """Put what is imported at the top first, each name once and in one order."""
    imports: dict[str, ast.stmt] = {}
    rest: list[ast.stmt] = []
    for node in tree.body:
        match node:
            case ast.Import():
                single: list[ast.stmt] = [ast.Import([alias]) for alias in node.names]
            case ast.ImportFrom():
                single = [ast.ImportFrom(node.module, [a], node.level) for a in node.names]
            case _:
                rest.append(node)
                continue
        imports |= {ast.unparse(one): one for one in single}
    tree.body = [imports[text] for text in sorted(imports)] + rest


def _is_private(node: ast.stmt) -> bool:
    """Whether only this module is meant to use what `node` binds: a constant or an _underscore."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name.startswith("_")
    return isinstance(node, ast.Assign | ast.AnnAssign)


def _bound(node: ast.stmt) -> set[str]:
    """The names that `node` binds."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    names = [name for name in ast.walk(node) if isinstance(name, ast.Name)]
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


def _drop_facts(member: ast.stmt) -> None:
    """Drop what a member declares about itself and that moves no number."""
    for call in ast.walk(member):
        if not isinstance(call, ast.Call):
            continue
        call.keywords = [one for one in call.keywords if one.arg != "check"]
        for keyword in call.keywords:
            facts = keyword.value
            if keyword.arg != "facts" or not isinstance(facts, ast.Call):
                continue
            kind = ast.unparse(facts.func)
            if kind == "DatasetFacts":  # which describe the data
                keyword.value = ast.Constant(None)
            elif kind == "SelectionFacts":
                facts.keywords = [one for one in facts.keywords if one.arg not in SILENT_FACTS]


def _is_member(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr == "member"
        for decorator in node.decorator_list
    )


def _imports(tree: ast.Module) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                # `from package import module` needs the module and not what else the package holds.
                inner = f"{node.module}.{alias.name}"
                yield inner if _path(inner) else node.module
