"""Print every word that a path, a configuration or a figure may hold, with its options."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from plasticity.measures.quantities import QUANTITIES
from plasticity.runs import extensions
from plasticity.runs.registry import Member
from plasticity.runs.values import REQUIRED, Value
from plasticity.runs.vocabulary import REGISTRIES
from plasticity.scripts.call import Given, Log
from plasticity.study.fields import FIGURES, drawings

WIDTH = 100


def main(given: Given, log: Log) -> None:
    """Print every word that a path, a configuration or a figure may hold, with its options."""
    text = "\n".join(listed())
    log(text)
    print(f"\n{text}\n", flush=True)


def listed() -> Iterator[str]:
    """The lines: the words of each registry, then quantities of telemetry and kinds of picture."""
    for registry in REGISTRIES:
        yield f"{registry.kind}s"
        for member in registry.members.values():
            yield from _entry(member.template.text, member.function.__doc__, member.function)
            if options := list(_options(member)):
                yield from textwrap.wrap(
                    f"{member.name}: {'; '.join(options)}", WIDTH, **_indented(6, 10)
                )
        yield ""
    yield "quantities of telemetry"
    for name, quantity in QUANTITIES.items():
        yield from _entry(f"{name} ({quantity.unit})", quantity.description, quantity.measure)
    yield ""
    yield "pictures (draw), besides functions of extensions, such as ours.picture"
    for name in drawings():
        tree = ast.parse((FIGURES / f"{name}.py").read_text(encoding="utf-8"))
        yield from _entry(name, ast.get_docstring(tree), None)


def _entry(word: str, described: str | None, declared: Callable[..., Any] | None) -> Iterator[str]:
    """A `word`, who `declared` it if that is an extension, and its description's first line."""
    own = [
        extension.name
        for extension in extensions.in_use()
        if any(one.function is declared for one in extension.declared)
    ]
    yield f"  {word}{f'    (extension {own[0]})' if own else ''}"
    first = (described or "").strip().split("\n\n")[0]
    yield from textwrap.wrap(" ".join(first.split()), WIDTH, **_indented(6, 6))


def _options(member: Member[Any]) -> Iterator[str]:
    """Each option of `member`, with its kind and default."""
    for name, kind in member.template.kinds.items():
        default: object = kind.default
        if default is REQUIRED:
            yield f"{name}, {kind}"
        else:
            yield f"{name}, {kind}, by default {_written(default)}"


def _written(value: Value | object) -> str:
    return "none" if value in (None, ()) else str(value)


def _indented(first: int, others: int) -> dict[str, Any]:
    return {"initial_indent": " " * first, "subsequent_indent": " " * others}
