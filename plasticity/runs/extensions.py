"""Extensions: files and modules of a user's own, whose words stand beside the library's.

`use` imports those that a configuration names, and takes back what others declared before: a study
knows the words of its own extensions alone.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from plasticity.core import modules, torchvision_import
from plasticity.core.errors import UserError, shown
from plasticity.runs import declarations, vocabulary
from plasticity.runs.declarations import Declaration
from plasticity.runs.own_data import expanded
from plasticity.runs.run import Run
from plasticity.runs.stage import Stage

FOLDER = "extensions"
"""What the names of their files begin with, among the components of a result."""


@dataclass(frozen=True, eq=False)
class Extension:
    """A `module` of a user's own, under the `name` and from the `place` that a configuration gives.

    `file` is where it is written. Of what it imports `root` holds what belongs to it: the folder of
    a file, or the package that a module is in, by the name of `package`, which is empty for a file.
    """

    name: str
    place: str
    module: ModuleType
    file: Path
    root: Path
    package: str
    declared: tuple[Declaration, ...] = field(repr=False)

    def component(self, path: Path) -> str:
        """The name of its file `path` among the components of a result."""
        return f"{self.prefix}{path.relative_to(self.root).as_posix()}"

    @property
    def prefix(self) -> str:
        """What the names of its components begin with."""
        return f"{FOLDER}/{self.name}/"

    @property
    def main(self) -> str:
        """The component that it is itself."""
        return self.component(self.file)

    def sources_of(self, function: Callable[..., Any], file: str) -> frozenset[str]:
        """The components that write `function`, what wraps it, and its declaration in `file`."""
        codes = [getattr(one, "__code__", None) for one in (function, inspect.unwrap(function))]
        paths = [Path(code.co_filename) for code in codes if code] + [Path(file)]
        there = [path if self.has(path) else path.resolve() for path in paths]
        found = {self.component(path) for path in there if self.has(path)}
        return frozenset(found or {self.main})

    def has(self, path: Path) -> bool:
        """Whether `path` is a file of it, which was imported."""
        if not self.package:
            return path in modules.files_of(self.name)
        return path == self.file if self._is_alone else path.is_relative_to(self.root)

    def files(self, module: str, *, begin: Path | None = None) -> list[Path]:
        """Its files that run where ``import module`` does: packages on the way, and the module.

        Counted from the folder `begin` where that is given, as in relative imports.
        """
        first, *parts = module.split(".")
        if first == modules.LIBRARY and not begin:
            return []
        if not self.package or begin:
            parts = [first, *parts]
        elif first != self.package or self._is_alone:
            return []
        place, found = begin or self.root, []
        for part in parts:
            place /= part
            ends = (place / "__init__.py", place.with_name(f"{part}.py"))
            found += [path for path in ends if path.is_file()][:1]
        return [path for path in found if path.is_relative_to(self.root)]

    @property
    def _is_alone(self) -> bool:
        """Whether it is a module that is in no package."""
        return self.file == self.root / f"{self.package}.py"

    def packages(self, path: Path) -> list[Path]:
        """The files of the packages that its file `path` is in: they run where that is imported."""
        folders = [one for one in path.parents if one.is_relative_to(self.root)]
        inner = folders if self.package and not self._is_alone else folders[:-1]
        return [one for one in (folder / "__init__.py" for folder in inner) if one.is_file()]


_used: dict[str, Extension] = {}
_known: dict[tuple[str, str], Extension] = {}
"""Those imported before, by their name and file, or by their module alone."""
_forget: list[Callable[[], None]] = [
    cached.cache_clear
    for cached in (Run.parse.__func__, Run.of.__func__, Stage.of.__func__)  # type: ignore[attr-defined]
]


def in_use() -> tuple[Extension, ...]:
    """Those that are used now."""
    return tuple(_used.values())


def named() -> dict[str, str]:
    """The places of those that are used now, by name: of files the whole paths."""
    return {one.name: one.place if one.package else str(one.file) for one in in_use()}


def forget_with(forget: Callable[[], None]) -> None:
    """Call `forget` whenever others are used: what else is known of words is outdated then."""
    _forget.append(forget)


def given(config: Mapping[str, Any]) -> dict[str, str]:
    """The extensions that `config` names.

    As far as they have names and places: the rest is refused with all other settings.
    """
    found = config.get("extensions")
    return {
        name: place
        for name, place in (found.items() if isinstance(found, Mapping) else ())
        if isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_-]*", name)
        if isinstance(place, str)
    }


def use(places: Mapping[str, str], base: Path | None = None) -> None:
    """Let the words of the extensions in `places`, by name, be known, and those of no others.

    A place that ends in .py or has a slash is that of a file, of the folder `base` (the present
    one) unless it is absolute; another one is a module. Raises `UserError` where one is missing or
    fails, or declares what is declared already; none is used then.
    """
    files = {name: _file(name, place, base) for name, place in places.items()}
    wanted = {name: str(files[name] or place) for name, place in places.items()}
    if list(wanted.items()) == list(named().items()) and all(map(_is_current, in_use())):
        return
    _take_back()
    for registry in vocabulary.REGISTRIES:
        _ = registry.members  # those of the library are declared first
    try:
        for name, place in places.items():
            _used[name] = _made_known(name, place, files[name])
    except BaseException:
        _take_back()
        raise


def recorded(components: Mapping[str, str]) -> dict[str, Any]:
    """What a result of `components` says of the extensions in them: name, place and digest.

    Nothing where there are none.
    """
    found = {}
    for one in in_use():
        own = {name: digest for name, digest in components.items() if name.startswith(one.prefix)}
        if own:
            text = "\n".join(f"{name} {digest}" for name, digest in sorted(own.items()))
            digest = hashlib.sha256(text.encode()).hexdigest()[:16]
            found[one.name] = {"place": one.place, "digest": digest}
    return {FOLDER: found} if found else {}


def use_recorded(about: Mapping[str, Any], path: str | Path) -> None:
    """Use, besides the present ones, those that the result in `path` says of itself, in `about`.

    Files are those of the folder that the workflow worked in, above ``results``.
    """
    places = {name: one["place"] for name, one in about.get(FOLDER, {}).items()}
    above = [p.parent for p in Path(path).absolute().parents if p.name == "results"]
    use({**named(), **places}, above[0] if above else None)


@contextmanager
def explained(log: Callable[[str], None] = lambda line: None) -> Iterator[None]:
    """Raise `UserError` for an error in code of an extension, which names its place.

    The lines that led there are left in the `log`. Any other error is left as it is, and so is one
    of the device, wherever it comes to light.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        for one in in_use():
            if (frames := _frames(error, one.has)) and not re.search("CUDA|cuDNN", str(error)):
                log("".join(traceback.format_list(frames)).rstrip())
                where = _place_of(error, one.has)
                raise UserError(
                    f"extensions.{one.name}: {where}: failed ({_said(error)}); correct that file"
                ) from error
        raise


def function(text: str) -> Callable[..., Any]:
    """The function that `text` names, such as ``ours.picture``; raises `ValueError`."""
    name, _, word = text.partition(".")
    if name not in _used:
        known = ", ".join(_used) or "none is used"
        raise ValueError(f"unknown extension {shown(name)}; expected one of extensions: {known}")
    found: Callable[..., Any] | None = getattr(_used[name].module, word, None)
    if found is None or not callable(found):
        raise ValueError(f"{_used[name].file} has no function {shown(word)}")
    return found


def sources_of(text: str) -> frozenset[str]:
    """The components that write the function that `text` names."""
    extension = _used[text.partition(".")[0]]
    return extension.sources_of(function(text), str(extension.file))


def _is_current(extension: Extension) -> bool:
    """Whether it is still what is imported. A module stays as it is, once it was imported."""
    if sys.modules.get(extension.module.__name__) is not extension.module:
        return False
    return bool(extension.package) or modules.is_unchanged(extension.name)


def _take_back() -> None:
    for extension in reversed(in_use()):
        _remove(extension.declared)
    _used.clear()
    for forget in _forget:
        forget()


def _remove(declared: Sequence[Declaration]) -> None:
    for declaration in reversed(declared):
        declaration.remove()


def _file(name: str, place: str, base: Path | None) -> Path | None:
    """The file in `place`, or None where that is a module; raises `UserError`."""
    path = expanded(place)
    if not path.endswith(".py") and all(part.isidentifier() for part in path.split(".")):
        return None
    found = Path(base or "", path)
    if not path.endswith(".py") or not os.path.isfile(found):  # noqa: PTH113 (of any text)
        raise UserError(
            f"extensions.{name}: {shown(place)}: no such file (looked for "
            f"{shown(str(found.absolute()))}); name a Python file that ends in .py, by a path from "
            "the folder that the workflow works in, or a module that can be imported"
        )
    return found.resolve()


def _made_known(name: str, place: str, file: Path | None) -> Extension:
    """The extension `name` with all that it declares made known; raises `UserError`."""
    key = (name if file else "", str(file or place))
    known = _known.get(key)
    if known and _is_current(known):
        done: list[Declaration] = []
        try:
            for declaration in known.declared:
                declaration.add()
                done.append(declaration)
        except ValueError as error:
            _remove(done)
            raise UserError(f"extensions.{name}: {error}") from None
        return replace(known, name=name, place=place)
    first = len(declarations.made)
    torchvision_import.mend()  # now, or when a function of it imports torchvision or timm
    imported_before = not file and place in sys.modules
    try:
        module = modules.load(name, file) if file else importlib.import_module(place)
    except (Exception, SystemExit) as error:
        _remove(_own(declarations.made[first:]))
        raise _failed(name, place, file, error) from error
    package = "" if file else place.partition(".")[0]
    path = file or Path(module.__file__ or "").resolve()
    # Of a package the folder that has its name.
    ups = place.count(".") + (path.name == "__init__.py") if package else 0
    root = path.parents[max(ups - 1, 0)]
    if imported_before:
        made = [(d, f"{d.function.__module__}.") for d in declarations.made]
        latest = {(d.kind, d.name): d for d, inside in made if inside.startswith(f"{package}.")}
        declared = [*latest.values()]
    else:
        declared = _own(declarations.made[first:])
    _known[key] = Extension(name, place, module, path, root, package, tuple(declared))
    return _known[key]


def _own(made: Iterable[Declaration]) -> list[Declaration]:
    """Those that are not the library's."""
    library = f"{modules.LIBRARY}."
    return [one for one in made if not one.function.__module__.startswith(library)]


def _failed(name: str, place: str, file: Path | None, error: BaseException) -> UserError:
    """What to say of an `error` while the extension `name` was imported."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and not file and f"{place}.".startswith(f"{missing}."):
        return UserError(
            f"extensions.{name}: {shown(place)}: no module {shown(missing)} can be imported here; "
            "install it or add its folder to PYTHONPATH, or name the path of a file that ends in "
            ".py"
        )

    def is_own(path: Path) -> bool:
        if file:
            return path in modules.files_of(name)
        inside = {modules.LIBRARY, "importlib"} & {*path.parts}
        return not inside and not path.name.startswith("<")

    where = _place_of(error, is_own) or str(file or place)
    said = _said(error)
    advice = f"install {missing}, or correct that file" if missing else "correct that file"
    return UserError(f"extensions.{name}: {where}: cannot be imported ({said}); {advice}")


def _place_of(error: BaseException, is_own: Callable[[Path], bool]) -> str | None:
    """The file and line of an `error` in the last file that `is_own`, if there is one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    own = _frames(error, is_own)
    return f"{own[-1].filename}, line {own[-1].lineno}" if own else None


def _frames(error: BaseException, is_own: Callable[[Path], bool]) -> list[traceback.FrameSummary]:
    """Where an `error` came from, in files that are one's own."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if is_own(Path(frame.filename))]


def _said(error: BaseException) -> str:
    """The first line of what an `error` says, with its type where that tells something."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg}"
    first = (str(error).strip() or "no message").splitlines()[0]
    return (
        first if isinstance(error, UserError | ValueError) else f"{type(error).__name__}: {first}"
    )
