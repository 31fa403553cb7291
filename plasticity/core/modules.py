"""Python files of a user's own, imported under names of their own with what stands beside them.

Two of them may have helpers of one name: `from helpers import blocks` and `from .helpers import
blocks` mean the file beside the one that says so, at its top and within its functions, and no
other module of that name.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

ROOT = "plasticity_extensions"
"""The package that all of them are imported below: ``plasticity_extensions.<name>.<file>``."""

LIBRARY = __name__.partition(".")[0]
"""This library: there is one of it, also where a file stands beside a copy."""

_read: dict[str, dict[Path, tuple[int, int]]] = {}
"""When the files below each name were changed, and how long they were, as they were imported."""


def load(name: str, file: Path) -> ModuleType:
    """Import `file` anew under `name`, with an error of whatever kind where it fails."""
    forget(name)
    package = f"{ROOT}.{name}"
    for made, places in ((ROOT, []), (package, [str(file.parent)])):
        if made not in sys.modules:
            sys.modules[made] = ModuleType(made)
            sys.modules[made].__path__ = places
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    _read[name] = {}
    full = f"{package}.{file.stem.replace('.', '_')}"
    spec = spec_from_file_location(full, file, loader=_Loader(full, str(file)))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[full] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        forget(name)
        raise
    return module


def forget(name: str) -> None:
    """Let all that was imported under `name` be imported anew."""
    package = f"{ROOT}.{name}"
    for known in [one for one in sys.modules if one == package or one.startswith(f"{package}.")]:
        del sys.modules[known]
    _importing.cache_clear()


def files_of(name: str) -> frozenset[Path]:
    """The files that were imported under `name`, also where that failed."""
    return frozenset(_read.get(name, {}))


def is_unchanged(name: str) -> bool:
    """Whether all files that were imported under `name` are as they were then."""
    return all(_stamp(path) == stamp for path, stamp in _read.get(name, {}).items())


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


class _Finder(MetaPathFinder):
    """Finds what stands beside such a file."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{ROOT}."):
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec and spec.origin and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    """Imports a file as it is now, and what it imports in turn as `_importing` does."""

    def get_code(self, fullname: str) -> CodeType:
        # Not by way of __pycache__, which holds what a file of the same second and length was.
        path = Path(self.get_filename(fullname))
        _read[_name_of(fullname)][path] = _stamp(path)
        code: CodeType = self.source_to_code(path.read_bytes(), str(path))
        return code

    def exec_module(self, module: ModuleType) -> None:
        own = {"__import__": _importing(_name_of(module.__name__))}
        module.__dict__["__builtins__"] = {**vars(builtins), **own}
        super().exec_module(module)


def _name_of(module: str) -> str:
    return module.split(".")[1]


@cache
def _importing(name: str) -> Callable[..., Any]:
    """Python's ``__import__``, which looks beside the file first: for modules below `name`."""
    package = f"{ROOT}.{name}"
    folder = Path(sys.modules[package].__path__[0])
    beside = cache(lambda top: _stands_in(folder, top))

    def own_import(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 (called by Python)
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or not beside(top):
            return __import__(name, globals, locals, fromlist or (), level)
        found = __import__(f"{package}.{name}", globals, locals, fromlist or ())
        return found if fromlist else sys.modules[f"{package}.{top}"]

    return own_import


def _stands_in(folder: Path, top: str) -> bool:
    if top == LIBRARY:
        return False
    if (folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file():
        return True
    return (folder / top).is_dir() and top not in sys.modules and find_spec(top) is None
