"""Templates: one line that says how a term of a path is read and written.

``sgd-lr{lr}[-m{momentum}][-wd{weight_decay}]`` is a fixed head, in which every field is spelt, and
then optional parts, each a literal key and one field, which are left out where the field has its
default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from plasticity.core.errors import UserError, named
from plasticity.runs.values import REQUIRED, Value, ValueKind


class SpellingError(UserError):
    """A path, or a term of one, that is not spelt as it must be."""


class UnsuitableError(SpellingError):
    """A path that is spelt rightly, but is none of this data set or this network.

    Such as one that deals out more classes than there are.
    """


@dataclass(frozen=True)
class OptionalPart:
    """An optional part of a template: the literal `key` and the name of the field behind it."""

    key: str
    field: str


class Template:
    """A parsed template with the kind of each of its fields."""

    def __init__(self, text: str, kinds: Mapping[str, ValueKind]) -> None:
        """Read `text`; raises `ValueError` where its fields and `kinds` do not agree."""
        self.text = text
        self.kinds = dict(kinds)
        head, bracket, rest = text.partition("[")
        self._head = re.split(r"\{(\w+)\}", head)  # literal, field, literal, field, ..., literal
        self.parts = tuple(
            OptionalPart(*found) for found in re.findall(r"\[([^{\]]+)\{(\w+)\}\]", text)
        )
        if "".join(f"[{part.key}{{{part.field}}}]" for part in self.parts) != bracket + rest:
            raise ValueError(f"template {text!r}: optional parts are written [key{{field}}]")
        fields = [*self._head[1::2], *(part.field for part in self.parts)]
        if sorted(fields) != sorted(kinds):
            raise ValueError(f"template {text!r} has the fields {fields}, given are {list(kinds)}")
        for part in self.parts:
            if kinds[part.field].default is REQUIRED:
                raise ValueError(f"template {text!r}: optional {part.field} needs a default")
        pattern = "".join(
            f"({kinds[piece].pattern})" if position % 2 else re.escape(piece)
            for position, piece in enumerate(self._head)
        )
        self._head_pattern = re.compile(pattern)
        self._part_patterns = {
            part.field: re.compile(re.escape(part.key) + f"({kinds[part.field].pattern})")
            for part in self.parts
        }

    @property
    def name(self) -> str:
        """The literal that the template begins with."""
        return self._head[0]

    @property
    def begins(self) -> str:
        """The head, without the names of its fields: two that share it would be spelt alike."""
        return "{}".join(self._head[::2])

    @property
    def pattern(self) -> str:
        """A regular expression without groups for all that it spells."""
        head = "".join(
            f"(?:{self.kinds[piece].pattern})" if position % 2 else re.escape(piece)
            for position, piece in enumerate(self._head)
        )
        parts = "|".join(
            f"{re.escape(part.key)}(?:{self.kinds[part.field].pattern})" for part in self.parts
        )
        return f"{head}(?:{parts})*"

    def match(self, text: str) -> dict[str, Value] | None:
        """The options spelt in `text`, unchecked, or None where it has another form.

        Optional parts are accepted in any order and with any value, a default included: the caller
        compares `text` with `write` of the result to refuse what is not canonical.
        """
        found = self._head_pattern.match(text)
        if not found:
            return None
        options = {
            field: self.kinds[field].read(value)
            for field, value in zip(self._head[1::2], found.groups(), strict=True)
        }
        position = found.end()
        waiting = dict(self._part_patterns)
        while position < len(text):
            for field, pattern in waiting.items():
                if part := pattern.match(text, position):
                    options[field] = self.kinds[field].read(part.group(1))
                    position = part.end()
                    del waiting[field]
                    break
            else:
                return None
        return options

    def complete(self, options: Mapping[str, object]) -> dict[str, Value | None]:
        """`options` checked and completed with defaults, in the order of the template.

        Raises `ValueError` with the name of the option where one is unknown, missing or out of
        bounds.
        """
        unknown = [name for name in options if name not in self.kinds]
        if unknown:
            known = ", ".join(self.kinds) or "none"
            raise ValueError(
                f"{named(unknown[0])}: no such option of {self.text} (its options: {known})"
            )
        complete: dict[str, Value | None] = {}
        for name in [*self._head[1::2], *(part.field for part in self.parts)]:
            kind = self.kinds[name]
            if name not in options:
                if kind.default is REQUIRED:
                    raise ValueError(f"{name}: missing, expected {kind}")
                complete[name] = kind.default  # type: ignore[assignment]
            elif options[name] is None and kind.default is None:
                complete[name] = None
            else:
                try:
                    complete[name] = kind.check(options[name])
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        return complete

    def write(self, options: Mapping[str, Value | None]) -> str:
        """The one spelling of complete `options`."""
        text = self.head(options)
        for part in self.parts:
            if options[part.field] != self.kinds[part.field].default:
                text += part.key + self._spell(part.field, options)
        return text

    def head(self, options: Mapping[str, Value | None]) -> str:
        """The spelling of the head alone, without optional parts."""
        return "".join(
            self._spell(piece, options) if position % 2 else piece
            for position, piece in enumerate(self._head)
        )

    def _spell(self, field: str, options: Mapping[str, Value | None]) -> str:
        value = options[field]
        assert value is not None
        return self.kinds[field].write(value)
