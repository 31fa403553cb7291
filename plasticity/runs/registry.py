"""Registries: the words that paths are made of, each declared by one decorated function.

A registry lives here, on a low floor, so that paths can be read without torch. Its members live in
a package higher up, its home, one in a module; all of these are imported when the first word is
looked up. They must not import torch when they are imported; their functions do when called.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar

from plasticity.core.errors import UserError, shown
from plasticity.runs import declarations
from plasticity.runs.declarations import Declaration
from plasticity.runs.grammar import SpellingError, Template
from plasticity.runs.values import Value, ValueKind

F = TypeVar("F")
"""The facts of a registry: a dataclass of `plasticity.runs.facts`."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class Member(Generic[F]):
    """One word of a registry."""

    kind: str
    function: Callable[..., Any]
    template: Template
    common: frozenset[str]
    facts: F
    check: Callable[..., None] | None
    short_for: Mapping[str, str] = field(default_factory=dict)
    """The template by the one term of another member that is spelt so instead, if there is one."""

    @property
    def name(self) -> str:
        """The name of the function, which is also the member's name in a configuration."""
        return self.function.__name__


@dataclass(frozen=True)
class Term(Generic[F]):
    """A member with its options: one token of a path."""

    member: Member[F]
    values: tuple[tuple[str, Value | None], ...]

    @cached_property
    def options(self) -> dict[str, Any]:
        """Every option by name, defaults included."""
        return dict(self.values)

    @property
    def own(self) -> dict[str, Any]:
        """The options that are the member's alone, without those that its whole kind has."""
        return {name: v for name, v in self.options.items() if name not in self.member.common}

    @property
    def facts(self) -> F:
        """What the member declares about itself."""
        return self.member.facts

    def __hash__(self) -> int:
        # Equal terms have the same spelling, and text keeps its hash.
        return hash(self.spelling)

    def __call__(self, *arguments: Any) -> Any:
        """Call the member's function with `arguments` and its own options."""
        return self.member.function(*arguments, **self.own)

    @cached_property
    def spelling(self) -> str:
        """The token itself, in its one spelling: written once, as every path repeats it."""
        return self.member.template.write(self.options)

    def __str__(self) -> str:
        return self.spelling


class Registry(Generic[F]):
    """The words of one kind, such as optimisers.

    `kind` names one of them in messages; `facts` is the class of what they declare about
    themselves; `home` is the package that they live in. `suffix`
    and `common` are optional parts that every member takes and that the member's function is not
    given, such as the batch size of an optimiser. `given` are the names of what every function is
    given by position, where that is checked, or a function of its facts that tells.
    """

    def __init__(
        self,
        kind: str,
        facts: type[F],
        home: str,
        suffix: str = "",
        given: tuple[str, ...] | Callable[[F], tuple[str, ...]] = (),
        **common: ValueKind,
    ) -> None:
        self.kind = kind
        self._given = given
        self.facts = facts
        self.home = home
        self._suffix = suffix
        self._common = common
        self._members: dict[str, Member[F]] = {}
        self._short: dict[str, str] = {}
        self._complete = False
        self.parse = lru_cache(maxsize=None)(self._parse)
        self.read = lru_cache(maxsize=None)(self._read)

    def member(
        self,
        template: str,
        *,
        facts: F | None = None,
        short_for: str | None = None,
        check: Callable[..., None] | None = None,
        silent: Mapping[str, ValueKind] | None = None,
        **kinds: ValueKind,
    ) -> Callable[[_Function], _Function]:
        """Declare the decorated function as a word spelt by `template`.

        `kinds` gives the kind of each field, under the name of the keyword-only parameter that
        receives it; `silent` those of fields that the function is not given. `facts` is what must
        be known of the member without calling it; they may be left out where each has a default.
        `short_for` names another member's term that is no longer spelt out; `check` is called with
        all options and raises `ValueError` where they do not go together. Raises `ValueError` where
        template, kinds and parameters do not agree, facts are missing or those of another registry,
        the docstring is missing, or another member has that name or template.
        """

        def declare(function: _Function) -> _Function:
            parameters = inspect.signature(function).parameters.values()
            keywords = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
            name = function.__name__
            if keywords != set(kinds):
                raise ValueError(f"{self.kind} {name} takes {keywords}, declares {set(kinds)}")
            if not function.__doc__:
                raise ValueError(f"{self.kind} {name} has no docstring")
            common = {**(silent or {}), **self._common}
            parsed = Template(template + self._suffix, {**kinds, **common})
            if re.search("[_/]", re.sub(r"\{\w+\}", "", template)):
                raise ValueError(
                    f"{self.kind} {name}: no '_' or '/' in a template: paths split there"
                )
            known = self._facts_of(name, facts)
            self._require_given(function, known)
            short = {} if short_for is None else {short_for: parsed.text.partition("[")[0]}
            member = Member(self.kind, function, parsed, frozenset(common), known, check, short)
            declarations.declare(
                Declaration(
                    self.kind, name, function, lambda: self._add(member), lambda: self.remove(name)
                )
            )
            return function

        return declare

    def _require_given(self, function: Callable[..., Any], facts: F) -> None:
        """Raise `ValueError` where `function` cannot be given what those of its `facts` are."""
        given = self._given(facts) if callable(self._given) else self._given
        signature = inspect.signature(function)
        options = {p.name: None for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}
        try:
            if given:
                signature.bind(*given, **options)
        except TypeError:
            given = tuple(f"image_{name}" if name in options else name for name in given)
            taken = [f"*{p.name}" if p.kind is p.VAR_POSITIONAL else p.name
                     for p in signature.parameters.values() if p.name not in options]  # fmt: skip
            raise ValueError(
                f"{self.kind} {function.__name__}: its function takes ({', '.join(taken)}); "
                f"expected ({', '.join(given)}), given by position, and options after a *"
            ) from None

    def _facts_of(self, name: str, facts: F | None) -> F:
        if facts is None:
            try:
                return self.facts()
            except TypeError:
                needed = (f"{one.name}=..." for one in fields(self.facts) if one.default is MISSING)  # type: ignore[arg-type]
                raise ValueError(
                    f"{self.kind} {name}: facts are missing: "
                    f"give facts={self.facts.__name__}({', '.join(needed)})"
                ) from None
        if not isinstance(facts, self.facts):
            raise ValueError(
                f"{self.kind} {name}: expected facts={self.facts.__name__}(...), got {facts!r}"
            )
        return facts

    @property
    def members(self) -> dict[str, Member[F]]:
        """Every member by name; raises `UserError` for a file of theirs that cannot be imported."""
        if not self._complete:
            for module in pkgutil.iter_modules(importlib.import_module(self.home).__path__):
                try:
                    importlib.import_module(f"{self.home}.{module.name}")
                except UserError:
                    raise
                except Exception as error:
                    file = f"{self.home.replace('.', '/')}/{module.name}.py"
                    of = "" if type(error) in (ValueError, SyntaxError) else type(error).__name__
                    raise UserError(
                        f"{file}: cannot be read ({of}{': ' * bool(of)}{error}); correct it, or "
                        f"take the file out of the folder if it declares no {self.kind}"
                    ) from error
            # By name, whichever of them was imported on its own before.
            self._members = dict(sorted(self._members.items()))
            self._complete = True
        return self._members

    def _add(self, member: Member[F]) -> None:
        """Make `member` known; raises `ValueError` where another has its name or begins alike."""
        for other in self._members.values():
            if member.name == other.name:
                raise declarations.twice(self.kind, member.name, member.function, other.function)
            if member.template.begins == other.template.begins:
                template = f"template {member.template.text!r}"
                raise declarations.twice(self.kind, template, member.function, other.function)
        self._members[member.name] = member
        self._short |= member.short_for
        self._forget()

    def remove(self, name: str) -> None:
        """Take back the member called `name`, a word that one configuration alone declares."""
        for term in self._members.pop(name).short_for:
            del self._short[term]
        self._forget()

    def _forget(self) -> None:
        self.parse.cache_clear()
        self.read.cache_clear()

    def term(self, name: str, options: Mapping[str, object]) -> Term[F]:
        """The term of the member called `name` with `options`; the others take their defaults.

        Raises `SpellingError` for an unknown member and `ValueError`, beginning with the option's
        name, for a bad option.
        """
        if name not in self.members:
            raise SpellingError(self._unknown(name, list(self.members)))
        member = self.members[name]
        term = Term(member, tuple(member.template.complete(options).items()))
        if member.check:
            member.check(**term.options)
        head = member.template.head(term.options)
        if head in self._short:
            return self._parse(self._short[head] + str(term).removeprefix(head))
        return term

    def known(self, word: str | Term[Any]) -> Term[F]:
        """The term `word` itself where it is one of this registry, or the one that it spells."""
        if isinstance(word, Term) and word.member is self._members.get(word.member.name):
            return word
        return self.parse(str(word))

    def _parse(self, text: str) -> Term[F]:
        """The term that `text` spells; raises `SpellingError`, naming the right spelling."""
        term = self.read(text)
        if str(term) != text:
            raise SpellingError(f"{self.kind} {shown(text)} is spelt {str(term)!r}")
        return term

    def _read(self, text: str) -> Term[F]:
        """The term that `text` means, in whatever spelling; raises `SpellingError`."""
        for name, member in self.members.items():
            options = member.template.match(text)
            if options is None:
                continue
            try:
                return self.term(name, options)
            except ValueError as error:
                raise SpellingError(f"{self.kind} {shown(text)}: {error}") from None
        raise SpellingError(self._unknown(text, [m.template.text for m in self.members.values()]))

    def _unknown(self, text: str, known: list[str]) -> str:
        # Compare the words alone, so that a typing error in 'adma-lr0.001' still finds adam.
        names = {member.template.name: member for member in self.members.values()}
        word = text.split("-lr")[0]
        close = difflib.get_close_matches(word, [*names, *self.members], n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]!r}?" if close and close[0] != text else ""
        return f"unknown {self.kind} {shown(text)}: expected one of {', '.join(known)}{hint}"
