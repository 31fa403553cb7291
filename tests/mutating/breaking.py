"""A function is broken by one line above it: a decorator that changes what it returns or yields."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

MARK = '@__import__("mutating.breaking", fromlist=["altered"]).{how}\n'


@dataclass(frozen=True)
class Function:
    """A function of the library: its file below the package, its line from 1, its whole name."""

    file: str
    line: int
    name: str
    returns: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.name}"

    def break_in(self, package: Path) -> None:
        """Break it in the copy of the library in `package`."""
        path = package / self.file
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        definition = lines[self.line - 1]
        indent = definition[: len(definition) - len(definition.lstrip())]
        how = "broken" if self.returns else "idle"
        lines.insert(self.line - 1, indent + MARK.format(how=how))
        path.write_text("".join(lines), encoding="utf-8")


def functions_in(package: Path, *places: str) -> list[Function]:
    """Every function in the files in `places`, folders or files below `package`, inner ones too."""
    found = []
    for place in places:
        for path in sorted((package / place).rglob("*.py")):
            file = path.relative_to(package).as_posix()
            for name, node in _named(ast.parse(path.read_text(encoding="utf-8"))):
                returns = not (node.returns and ast.unparse(node.returns) == "None")
                found.append(Function(file, node.lineno, name, returns))
    return found


def _named(node: ast.AST, above: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    for child in ast.iter_child_nodes(node):
        name = f"{above}{getattr(child, 'name', '')}"
        if isinstance(child, ast.FunctionDef):
            yield name, child
        inner = f"{name}." if isinstance(child, ast.FunctionDef | ast.ClassDef) else above
        yield from _named(child, inner)


def broken(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, but that it returns or yields something else; where that is nothing, it does
    nothing.
    """
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def yields(*arguments: Any, **options: Any) -> Iterator[Any]:
            for value in function(*arguments, **options):
                yield altered(value)

        return yields

    @functools.wraps(function)
    def returns(*arguments: Any, **options: Any) -> Any:
        return altered(function(*arguments, **options))

    return returns


def idle(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which returns nothing, but that it does nothing."""
    return functools.wraps(function)(lambda *arguments, **options: None)


def altered(value: Any) -> Any:
    """Something else of the same kind, if there is; a part of it is altered where it has parts."""
    import numpy as np
    import torch

    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value * 1.25 + 0.125
        case str():
            return f"{value}x"
        case torch.Tensor() if value.dtype is torch.bool:
            return ~value
        case torch.Tensor() if value.is_floating_point():
            return value * 1.25
        case torch.Tensor():
            return value.flip(0) if value.ndim else value + 1
        case np.ndarray():
            return value[::-1].copy() if value.ndim else value + 1
        case torch.nn.Module():
            with torch.no_grad():
                for parameter in value.parameters():
                    parameter.mul_(1.25)
            return value
        case torch.Generator():
            return torch.Generator().manual_seed(value.initial_seed() // 2 + 1)
        case np.random.Generator():
            return np.random.default_rng(int(value.integers(2**31)))
        case torch.optim.Optimizer():
            for group in value.param_groups:
                group["lr"] *= 1.25
            return value
        case tuple() if hasattr(value, "_fields"):
            return value
        case tuple() | list() if value:
            return type(value)([*map(altered, value[:1]), *value[1:]])
        case dict() | Mapping() if value:
            first = next(iter(value))
            return {**value, first: altered(value[first])}
        case set() | frozenset():
            return type(value)(list(value)[1:])
        case None | type() | tuple() | list() | dict():
            return value
    return _altered_object(value)


def _altered_object(value: Any) -> Any:
    if is_dataclass(value):
        for field in fields(value):
            one = getattr(value, field.name)
            other = one if callable(one) else altered(one)
            if other is not one and field.init:
                return replace(value, **{field.name: other})  # type: ignore[type-var]
        return value
    if inspect.isgenerator(value) or isinstance(value, map | zip):
        return map(altered, value)
    if callable(value):
        return functools.wraps(value)(lambda *a, **k: altered(value(*a, **k)))
    return value
