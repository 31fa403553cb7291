"""Which files of the library the code of a job consists of, found by following imports."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from plasticity.pipeline import tokens
from plasticity.runs import extensions
from plasticity.runs.extensions import Extension
from plasticity.runs.vocabulary import REGISTRIES

PACKAGE = Path(__file__).parents[1]
SCRIPTS = "workflow/scripts"

MOVE_NO_NUMBER = (
    *("core.errors", "core.files", "core.gpus", "core.logs", "core.shutdown"),
    *("pipeline", "runs", "study"),
)
"""Packages and modules that results do not depend on, or by value alone: which jobs lead to a run
and what the words of its path mean are components of their own. `tests/mutations.py` breaks each of
their functions and looks for numbers that move."""

BUT = ("runs.cadence", "runs.costs", "runs.facts", "runs.metrics", "runs.registry", "runs.variants")
"""Modules among these that do move numbers."""

NOTHING = tokens.digest_of("")
"""The digest of a file without any code."""


@cache
def files(sources: frozenset[str]) -> dict[str, str]:
    """The digest of each file that `sources` consist of, by its name.

    A source is a module, such as ``plasticity.data.splits``, a script of the workflow, such as
    ``train.py``, a file of an extension, such as ``extensions/ours/ours.py``, or the path of a file
    elsewhere. Files without any code are left out.
    """
    found: dict[str, Path] = {}
    waiting = list(sources)
    while waiting:
        source = waiting.pop()
        path = path_of(source)
        if path is None or _name(source, path) in found or not _counts(source):
            continue
        found[_name(source, path)] = path
        if "/" in source or not source.endswith(".py"):
            waiting += _imports(path, _extension_of(source))
        else:  # a script has a module of its name, and besides it roots of its own
            roots = [PACKAGE / "scripts" / name for name in (source, "call.py")]
            found |= {name_of(path): path for path in roots}
        waiting += _packages(source)
    return _digests(found)


def every_file() -> dict[str, str]:
    """The digest of each file of the library, of the workflow's scripts, and of what is declared
    elsewhere.
    """
    declared = frozenset(source for function in _declared() for source in sources_of(function))
    own = frozenset(source for source in declared if "/" in source)
    paths = [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / SCRIPTS).glob("*.py")]
    return _digests({name_of(path): path for path in paths}) | files(own)


@cache
def sources_of(function: Callable[..., Any]) -> frozenset[str]:
    """The sources that declare `function`, a member of a registry or a quantity."""
    for extension in extensions.in_use():
        for one in extension.declared:
            if function is one.function:
                return extension.sources_of(function, one.file)
    module = function.__module__
    return frozenset({module if module.startswith("plasticity.") else inspect.getfile(function)})


def path_of(source: str) -> Path | None:
    """The file of a `source`, or None where it is no module of the library but a name in one."""
    if extension := _extension_of(source):
        return extension.root / source.removeprefix(extension.prefix)
    if source.endswith(".py"):
        return PACKAGE.parent / SCRIPTS / source  # which leaves a whole path as it is
    package, *parts = source.split(".")
    if package != "plasticity":
        return None
    place = PACKAGE.joinpath(*parts)
    return next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()), None)


def name_of(path: Path) -> str:
    """The component that the file in `path` is: its place, or its own name if it is elsewhere."""
    for place in (PACKAGE, PACKAGE.parent / "workflow"):
        if path.is_relative_to(place):
            return path.relative_to(PACKAGE if place == PACKAGE else PACKAGE.parent).as_posix()
    return path.name


def forget() -> None:
    """Read all files anew: each is otherwise read once a process."""
    for cached in (files, sources_of, _digest, _imports):
        cached.cache_clear()


def _name(source: str, path: Path) -> str:
    """The component that the file in `path` is, of this `source`."""
    return source if _extension_of(source) else name_of(path)


def _extension_of(source: str) -> Extension | None:
    """The extension that a `source` is a file of, if it is."""
    used = extensions.in_use() if source.startswith(f"{extensions.FOLDER}/") else ()
    return next((one for one in used if source.startswith(one.prefix)), None)


def _digests(paths: Mapping[str, Path]) -> dict[str, str]:
    """The digest of each of `paths` that has code, by its name."""
    digests = {name: _digest(path) for name, path in paths.items()}
    return {name: digests[name] for name in sorted(digests) if digests[name] != NOTHING}


@cache
def _digest(path: Path) -> str:
    return tokens.digest_of(tokens.read(path))


@cache
def _imports(path: Path, extension: Extension | None) -> tuple[str, ...]:
    """The sources that the file in `path` imports when it runs, within functions too.

    Modules of the library, and the files that belong to the `extension` that it is of.
    """
    found = [*map(extension.component, extension.packages(path))] if extension else []
    waiting: list[ast.AST] = [ast.parse(tokens.read(path))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if extension and isinstance(node, ast.Import | ast.ImportFrom):
            found += map(extension.component, _beside(path, extension, node))
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from package import module` needs the module.
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name if path_of(name) else node.module for name in inner]
    return tuple(found)


def _beside(path: Path, extension: Extension, node: ast.Import | ast.ImportFrom) -> Iterator[Path]:
    """The files of `extension` that an import in its file `path` runs."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from extension.files(alias.name)
        return
    begin = path.parents[node.level - 1] if node.level else None
    for alias in node.names:
        parts = [part for part in (node.module, alias.name) if part]
        yield from extension.files(".".join(parts), begin=begin)


def _packages(source: str) -> Iterator[str]:
    """The packages that the module `source` is in, which are imported with it."""
    while not source.endswith(".py") and "." in source:
        source = source.rpartition(".")[0]
        yield source


def _counts(source: str) -> bool:
    def within(names: tuple[str, ...]) -> bool:
        return any(f"{source}.".startswith(f"plasticity.{name}.") for name in names)

    if source == "plasticity":  # it offers `load` to notebooks, and nothing to jobs
        return False
    return source.endswith(".py") or within(BUT) or not within(MOVE_NO_NUMBER)


def _declared() -> Iterator[Callable[..., Any]]:
    for registry in REGISTRIES:
        yield from (member.function for member in registry.members.values())
    for extension in extensions.in_use():
        yield from (one.function for one in extension.declared)
