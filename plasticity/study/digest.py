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
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from plasticity.spec import Run, Term
from plasticity.spec.vocabulary import data_selections, datasets, models, optimisers, starts

PACKAGE = Path(__file__).parents[1]
HOMES = {
    registry.kind: registry.home
    for registry in (data_selections, datasets, models, optimisers, starts)
}
MOVE_NO_NUMBER = ("spec", "study", "errors", "files", "layout", "devices")


def training(run: Run) -> str:
    """The digest of all that trains the last stage of `run`, given its data and its parent."""
    stage = run.stage
    return digest("plasticity.training", (run.model, stage.optimiser, stage.start))


def split(selection: Term) -> str:
    """The digest of all that draws `selection`."""
    return digest("plasticity.splits", (selection,))


def dataset(name: Term) -> str:
    """The digest of all that prepares the data set `name`."""
    return digest("plasticity.datasets.storage", (name,), "plasticity.datasets")


def summary() -> str:
    """The digest of all that turns metrics into tables."""
    return digest("plasticity.summary", ())


def drawing(name: str) -> str:
    """The digest of all that draws figures with the module `name` of `plasticity.figures`."""
    return digest(f"plasticity.figures.{name}", (), "plasticity.figures")


def script(name: str) -> str:
    """The digest of a script of the workflow, without the library that it calls."""
    path = PACKAGE.parent / "workflow" / "scripts" / name
    return hashlib.sha256(ast.unparse(_significant(path, None)).encode()).hexdigest()[:16]


def digest(root: str, terms: Iterable[Term], *more: str) -> str:
    """A digest of the modules `root` and `more`, and of those below them, as `terms` use them.

    The options of `terms` count with their defaults: a default that changes moves results without
    moving their path.
    """
    terms = list(terms)
    words = frozenset((HOMES[term.member.kind], term.member.name) for term in terms)
    options = json.dumps([(term.member.name, term.options) for term in terms])
    text = f"{_digest((root, *more), words)} {options}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _digest(roots: tuple[str, ...], words: frozenset[tuple[str, str]]) -> str:
    used: dict[str, set[str]] = {home: set() for home in HOMES.values()}
    for home, word in words:
        used[home].add(word)
    waiting, codes = [*roots, *(home for home, names in used.items() if names)], {}
    while waiting:
        module = waiting.pop()
        path = _path(module)
        if module in codes or path is None:
            continue
        tree = _significant(path, used.get(module))
        codes[module] = ast.unparse(tree)
        waiting += [name for name in _imports(tree) if _counts(name)]
    text = "\n".join(f"# {module}\n{codes[module]}" for module in sorted(codes))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _counts(module: str) -> bool:
    parts = module.split(".")
    return parts[0] == "plasticity" and len(parts) > 1 and parts[1] not in MOVE_NO_NUMBER


def _path(module: str) -> Path | None:
    """The file of a module of this package, or None where `module` is a name within one."""
    place = PACKAGE.joinpath(*module.split(".")[1:])
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def _significant(path: Path, words: set[str] | None) -> ast.Module:
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
        tree.body = [
            node
            for node in tree.body
            if not isinstance(node, ast.FunctionDef) or not _is_member(node) or node.name in words
        ]
        _drop_unused(tree)
    return tree


def _is_silent(node: ast.stmt) -> bool:
    """Whether `node` is a lone string or what only a type checker reads."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _drop_unused(tree: ast.Module) -> None:
    """Drop top-level imports, constants and private helpers that nothing else in `tree` names.

    What is imported comes first, each name once and in one order. A constant that only another
    module reads is dropped too: the homes of registries have none.
    """
    body = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    while True:
        used = {
            node.id for part in body for node in ast.walk(part)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }  # fmt: skip
        kept = [node for node in body if not _is_private(node) or _bound(node) & used]
        if kept == body:
            break
        body = kept
    imports: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                single: ast.stmt = ast.Import([alias])
                if isinstance(node, ast.ImportFrom):
                    single = ast.ImportFrom(node.module, [alias], node.level)
                if (alias.asname or alias.name).split(".")[0] in used:
                    imports[ast.unparse(single)] = single
    tree.body = [imports[text] for text in sorted(imports)] + body


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


def _is_member(node: ast.FunctionDef) -> bool:
    return any(
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
