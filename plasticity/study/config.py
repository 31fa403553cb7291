"""The configuration as typed data: checked once, with one message for everything that is wrong."""

from __future__ import annotations

import difflib
import itertools
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)

from plasticity.errors import UserError
from plasticity.spec import Run, datasets, models, optimisers
from plasticity.spec.values import describe

FIGURES = Path(__file__).parents[1] / "figures"


@dataclass(frozen=True)
class PlannedRun:
    """A run and the role that it plays in a figure, such as ``cold``."""

    role: str
    run: Run


def _distinct(values: list[Any]) -> list[Any]:
    if not values:
        raise ValueError("is empty; expected at least one value")
    twice = [value for position, value in enumerate(values) if value in values[:position]]
    if twice:
        raise ValueError(f"holds {twice[0]!r} twice; remove one")
    return values


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", value):
        raise ValueError(
            f"got {value!r}; expected a lower-case letter, then letters, digits, '_' or '-'"
        )
    return value


def _drawing(value: str) -> str:
    """A module of `plasticity.figures` that draws."""
    known = {path.stem for path in FIGURES.glob("*.py")} - {"__init__", "style"}
    if value not in known:
        raise ValueError(f"got {value!r}; expected one of {', '.join(sorted(known))}")
    return value


Name = Annotated[StrictStr, AfterValidator(_name)]
Seeds = Annotated[list[Annotated[StrictInt, Field(ge=0)]], AfterValidator(_distinct)]
GridValues = Annotated[list[StrictInt | StrictFloat | StrictStr], AfterValidator(_distinct)]
Length = Annotated[StrictInt, Field(ge=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FigureSettings(_Settings):
    """One figure: what is drawn, from which runs, over which grid."""

    title: StrictStr
    caption: StrictStr
    draw: Annotated[StrictStr, AfterValidator(_drawing)]
    runs: dict[Name, StrictStr] = Field(min_length=1)
    labels: dict[Name, StrictStr] = Field(default_factory=dict)
    grid: dict[Name, GridValues] = Field(default_factory=dict)
    dataset: StrictStr | None = None
    model: StrictStr | None = None
    seeds: Seeds | None = None

    @model_validator(mode="after")
    def _known_labels(self) -> FigureSettings:
        for role in self.labels:
            if role not in self.runs:
                raise UserError(_unknown("labels", "role", role, self.runs))
        return self


class Settings(_Settings):
    """The whole configuration, as ``config.yaml`` and its overlays spell it."""

    study: Name
    dataset: StrictStr
    model: StrictStr
    seeds: Seeds
    device: Literal["cuda", "cpu"]
    precision: Literal["float32", "bfloat16"]
    threads: Annotated[StrictInt, Field(ge=1)]
    lengths: dict[Name, Length]
    optimisers: dict[Name, dict[StrictStr, Any]]
    sources: dict[StrictStr, StrictStr | None] = Field(default_factory=dict)
    targets: Annotated[list[Name], AfterValidator(_distinct)]
    figures: dict[Name, FigureSettings]

    @field_validator("sources")
    @classmethod
    def _known_sources(cls, sources: dict[str, str | None]) -> dict[str, str | None]:
        for name in sources:
            datasets.parse(name)
        return sources

    @field_validator("optimisers")
    @classmethod
    def _spelt_optimisers(cls, entries: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, entry in entries.items():
            _spell_optimiser(name, entry)
        return entries

    @model_validator(mode="after")
    def _known_targets(self) -> Settings:
        for target in self.targets:
            if target not in self.figures:
                raise UserError(_unknown("targets", "figure", target, self.figures))
        return self


def _spell_optimiser(name: str, entry: Mapping[str, Any]) -> str:
    """The token of an optimiser that the configuration gives by its rule and options."""
    if "rule" not in entry:
        known = ", ".join(optimisers.members)
        raise UserError(f"optimisers.{name}.rule: missing; expected one of {known}")
    try:
        options = {key: value for key, value in entry.items() if key != "rule"}
        return str(optimisers.term(entry["rule"], options))
    except UserError as error:
        raise UserError(f"optimisers.{name}.rule: {error}") from None
    except ValueError as error:
        raise UserError(f"optimisers.{name}.{error}") from None


def _unknown(key: str, kind: str, name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{key}: unknown {kind} {name!r}; expected one of {', '.join(known)}{hint}"


@dataclass(frozen=True)
class Figure:
    """A figure with all of its runs, each seed a run."""

    name: str
    settings: FigureSettings
    planned: tuple[PlannedRun, ...]

    @property
    def runs(self) -> list[Run]:
        """The tuned runs, each once."""
        return list(dict.fromkeys(planned.run for planned in self.planned))

    @property
    def labels(self) -> dict[str, str]:
        """Each role in the words of a legend: its own name where the configuration gives none."""
        return {role: self.settings.labels.get(role, role) for role in self.settings.runs}

    @property
    def roles(self) -> dict[str, list[str]]:
        """The lineage paths of the runs that play each role."""
        roles: dict[str, list[str]] = {}
        for planned in self.planned:
            roles.setdefault(planned.role, []).append(str(planned.run))
        return roles


class Study:
    """A checked configuration and the runs that it asks for."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Check `config`; raises `UserError` with everything that is wrong, a line each."""
        try:
            self.settings = Settings.model_validate(dict(config))
        except ValidationError as error:
            raise UserError(_explain(error, config)) from None
        self.name = self.settings.study
        # Every figure is expanded, also those that are no targets: a mistake shows at once.
        self.figures = {
            name: Figure(name, settings, tuple(self._plan(name, settings)))
            for name, settings in self.settings.figures.items()
        }

    def figure(self, name: str) -> Figure:
        """The figure called `name`; raises `UserError` where there is none."""
        if name not in self.figures:
            raise UserError(_unknown("targets", "figure", name, self.figures))
        return self.figures[name]

    @property
    def targets(self) -> list[Figure]:
        """The figures that are made where no target is named."""
        return [self.figures[name] for name in self.settings.targets]

    @cached_property
    def runs(self) -> list[Run]:
        """The tuned runs of all targets, each once."""
        return list(dict.fromkeys(run for figure in self.targets for run in figure.runs))

    def source(self, dataset: str) -> str | None:
        """Where the configuration says that a local copy of `dataset` is."""
        return self.settings.sources.get(dataset)

    def _plan(self, name: str, figure: FigureSettings) -> Iterator[PlannedRun]:
        """The runs of `figure`: its templates over its grid and its seeds, without repetition."""
        seen, places = set(), f"{figure.dataset or ''}{figure.model or ''}"
        for variable in figure.grid:
            if not any(f"{{{variable}" in text for text in (places, *figure.runs.values())):
                raise UserError(f"figures.{name}.grid.{variable}: no run of the figure uses it")
        for role, template in figure.runs.items():
            where = f"figures.{name}.runs.{role}"
            grid = {k: values for k, values in figure.grid.items() if f"{{{k}" in places + template}
            for words in self._grid(where, template, grid):
                stages = template.format(**words)
                for seed in figure.seeds or self.settings.seeds:
                    place = self._place(name, figure, words)
                    try:
                        planned = PlannedRun(role, Run.parse(f"{place}/seed{seed}/{stages}"))
                    except UserError as error:
                        raise UserError(f"{where}: {error}") from None
                    if planned not in seen:
                        seen.add(planned)
                        yield planned

    def _grid(
        self, where: str, template: str, grid: Mapping[str, list[Any]]
    ) -> Iterator[dict[str, Any]]:
        """The words that fill the braces of `template`, once for each point of `grid`."""
        words: dict[str, Any] = {
            **self.settings.lengths,
            **{key: _spell_optimiser(key, e) for key, e in self.settings.optimisers.items()},
        }
        try:
            fields = {field for _, field, _, _ in string.Formatter().parse(template) if field}
        except ValueError as error:
            raise UserError(f"{where}: {template!r}: {error}") from None
        for field in fields - set(words) - set(grid):
            raise UserError(
                _unknown(where, "word in braces", field, {**words, **grid})
                + " (the words are the keys of lengths, of optimisers and of the figure's grid)"
            )
        for point in itertools.product(*grid.values()):
            yield {**words, **dict(zip(grid, point, strict=True))}

    def _place(self, name: str, figure: FigureSettings, words: Mapping[str, Any]) -> str:
        """Data set and model of a figure, its own or the study's."""
        parts = []
        for key, registry in (("dataset", datasets), ("model", models)):
            own = getattr(figure, key)
            where = key if own is None else f"figures.{name}.{key}"
            try:
                text = (own or getattr(self.settings, key)).format(**words)
                parts.append(str(registry.parse(text)))
            except UserError as error:
                raise UserError(f"{where}: {error}") from None
            except (KeyError, IndexError, ValueError) as error:
                raise UserError(f"{where}: unknown word in braces {error}") from None
        return "/".join(parts)


def _explain(error: ValidationError, config: Mapping[str, Any]) -> str:
    """Pydantic's findings as messages that name the key, what was expected and what to do."""
    lines = []
    for finding in error.errors():
        key = ".".join(str(part) for part in finding["loc"] if not _is_type_name(part))
        given = describe(finding["input"])
        match finding["type"]:
            case "extra_forbidden":
                known = _known_keys(finding["loc"])
                lines.append(
                    _unknown(
                        ".".join(key.split(".")[:-1]) or "configuration",
                        "key",
                        key.split(".")[-1],
                        known,
                    )
                )
            case "missing":
                lines.append(f"{key}: missing; add it to the configuration")
            case "literal_error":
                lines.append(f"{key}: expected {finding['ctx']['expected']}, got {given}")
            case "value_error":
                lines.append(f"{key}: {finding['ctx']['error']}")
            case _:
                message = finding["msg"].replace("Input should be", "expected")
                lines.append(f"{key}: {message}, got {given}")
    return "\n".join(dict.fromkeys(lines))


def _is_type_name(part: object) -> bool:
    """Whether `part` of a location is pydantic's name for one branch of a union."""
    return part in {"int", "float", "str"}


def _known_keys(location: tuple[int | str, ...]) -> dict[str, Any]:
    model = FigureSettings if location[0] == "figures" else Settings
    return dict(model.model_fields)
