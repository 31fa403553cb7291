"""Remedies as arms: what each changes in a warm start, and in the cold run beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plasticity.core.errors import UserError
from plasticity.runs import Run, Stage, Term, UnsuitableError, optimisers, starts
from plasticity.runs.combination import methods_in_order
from plasticity.runs.length import Length
from plasticity.runs.roles import BOTH, COLD, COLD_LONG, LONG, WARM
from plasticity.runs.stage import methods_of
from plasticity.runs.workload import step_range, steps_per_epoch
from plasticity.study.arm_settings import ArmSettings, TuneSettings
from plasticity.study.explain import unknown
from plasticity.study.settings import FigureSettings, optimiser

PLAIN = (ArmSettings(),)
"""What is tried of an arm where nothing is tuned: it as it is."""


@dataclass(frozen=True)
class PlannedRun:
    """A run and the role that it plays in a figure, such as ``cold``."""

    role: str
    run: Run


def arms_of(figure: FigureSettings, remedies: Mapping[str, ArmSettings]) -> dict[str, ArmSettings]:
    """The arms of a `figure`: the study's `remedies`, and its own, which come before these."""
    return {**remedies, **(figure.arms or {})}


def named_arm(name: str, arm: ArmSettings) -> str:
    """What an `arm` is called in roles: its name, and whether it acts in pretraining too."""
    return name if not arm.pretrain or name.endswith(BOTH) else name + BOTH


def copies(figure: FigureSettings, remedies: Mapping[str, ArmSettings]) -> int:
    """How many runs are made of one of a `figure`, at most: what is no warm start has one."""
    if figure.arms is None:
        return 1 + len(remedies)
    points = max(map(len, figure.tune.points.values())) if figure.tune else 1
    return (1 + len(arms_of(figure, remedies))) * points


def labels_of(figure: FigureSettings, remedies: Mapping[str, ArmSettings]) -> dict[str, str]:
    """The roles that `figure` may have, in order, in the words of a legend."""
    labels = {}
    told, has_arms = figure.labels, figure.arms is not None
    for role in figure.runs:
        if role == COLD_LONG and has_arms:
            continue  # it has its place and its words behind cold
        labels[role] = told.get(role, role)
        if role == COLD and has_arms:
            labels[COLD_LONG] = told.get(COLD_LONG, f"{labels[role]}, for longer")
        for name, arm in arms_of(figure, remedies).items():
            called = told.get(name, name)
            also = arm.pretrain and role != COLD and not called.endswith(BOTH)
            label = f"{labels[role]}, {called}{', both stages' * also}"
            labels[f"{role}-{named_arm(name, arm)}"] = label
    return labels


def with_remedies(
    figure: str,
    settings: FigureSettings,
    remedies: Mapping[str, ArmSettings],
    planned: Iterable[PlannedRun],
) -> Iterator[PlannedRun]:
    """`planned`, and each plain warm start once more with every remedy in its place."""
    origins = {role: (role, "") for role in settings.runs}
    for item in planned:
        yield item
        if not _is_warm_start(item.run):
            continue
        for name, remedy in remedies.items():
            try:
                run = changed(item.run, remedy, f"remedies.{name}")
            except UserError as error:
                raise UserError(str(error)) from None  # of the study, whichever figure it suits
            role = f"{item.role}-{named_arm(name, remedy)}"
            if origins.setdefault(role, (item.role, name)) != (item.role, name):
                raise UserError(
                    f"remedies.{name}: with it the role {item.role!r} of figures.{figure} is "
                    f"called {role!r}, and another is already; rename one"
                )
            yield PlannedRun(role, run)


def _is_warm_start(run: Run) -> bool:
    """Whether `run` starts from plain weights: a training that goes on, or a ticket, does not."""
    whole = not any(earlier.prunes for earlier in run.stages)
    return whole and str(run.stage.start) == "keep" and run.stage.length.unit != "till"


def with_arms(
    figure: str,
    settings: FigureSettings,
    remedies: Mapping[str, ArmSettings],
    planned: Iterable[PlannedRun],
) -> Iterator[PlannedRun]:
    """The runs of a figure with arms, whose `planned` ones are cold and warm, a run a seed.

    Cold, and cold for as long as both stages; warm; then arm by arm: warm, and what acts during
    a stage from scratch as well, as the last stage of the arm alone. Each as often as something
    is tried of it.
    """
    where = f"figures.{figure}"
    arms = arms_of(settings, remedies)
    tried = _tried(where, settings.tune, arms)
    given: dict[str, list[Run]] = {role: [] for role in settings.runs}
    for item in planned:
        given[item.role].append(item.run)
    _require_counterparts(where, given)
    for role in (COLD, COLD_LONG, WARM):
        # A longer cold run is tuned like cold; the configuration may spell it itself.
        short = role.removesuffix(f"-{LONG}")
        runs = given.get(role) or _longer(given[COLD], given[WARM])
        for run in _each_once(f"{where}.tune.points.{short}", runs, tried[short]):
            yield PlannedRun(role, run)
    origins: dict[str, str] = {}
    for name, arm in arms.items():
        called = named_arm(name, arm)
        own = f"{where}.arms.{name}" if name in (settings.arms or {}) else f"remedies.{name}"
        if origins.setdefault(called, own) != own:
            raise UserError(
                f"{own}: its role is called {f'{WARM}-{called}'!r}, and that of {origins[called]} "
                "is too; rename one"
            )
        # A start has no counterpart from scratch but cold, at whatever rates both are tried.
        acts = arm.acts or any(point.methods for point in tried[name])
        changes = [point.over(arm) for point in tried[name]]
        key = f"{where}.tune.points.{name}" if settings.tune else own
        for warm in _each_once(key, given[WARM], changes, every_start=True):
            yield PlannedRun(f"{WARM}-{called}", warm)
            if acts:
                yield PlannedRun(f"{COLD}-{called}", warm.from_scratch)


def _each_once(
    where: str, runs: Sequence[Run], changes: Sequence[ArmSettings], *, every_start: bool = False
) -> Iterator[Run]:
    """Each of `runs` with each of `changes`; raises `UserError` where two make the same run."""
    met: dict[Run, int] = {}
    for place, change in enumerate(changes):
        key = f"{where}.{place}" if len(changes) > 1 else where
        for run in runs:
            made = changed(run, change, key, every_start=every_start)
            if made in met:
                raise UserError(
                    f"{where}: {met[made]} and {place} ask for the same run; change one"
                )
            met[made] = place
            yield made


def _tried(
    where: str, tune: TuneSettings | None, arms: Mapping[str, ArmSettings]
) -> Mapping[str, Sequence[ArmSettings]]:
    """What is tried of each of `arms`, of cold and of warm; raises `UserError` where some lack."""
    names = [COLD, WARM, *arms]
    if tune is None:
        return dict.fromkeys(names, PLAIN)
    for name in tune.points:
        if name not in names:
            raise UserError(unknown(f"{where}.tune.points", "arm", name, dict.fromkeys(names)))
    for name in names:
        if name not in tune.points:
            raise UserError(
                f"{where}.tune.points.{name}: missing; every arm has as many points as the others"
            )
    return tune.points


def _require_counterparts(where: str, given: Mapping[str, Iterable[Run]]) -> None:
    """Raise `UserError` unless each cold run is the last stage of the warm one, from scratch."""
    for cold, warm in zip(given[COLD], given[WARM], strict=True):
        if not _is_warm_start(warm):
            raise UserError(f"{where}.runs.{WARM}: arms take the place of 'keep', its last start")
        if cold != warm.from_scratch:
            raise UserError(
                f"{where}.runs.{COLD}: got {cold.stage}; expected {warm.from_scratch.stage}, the "
                "last stage of warm from scratch: they are to differ in nothing else"
            )


def _longer(cold: Iterable[Run], warm: Iterable[Run]) -> list[Run]:
    """Each of `cold` for at least as many steps as the stages of `warm` have together.

    None where that is not known beforehand, as a stage lasts until an accuracy.
    """
    pairs = list(zip(cold, warm, strict=True))
    chains = [[_until(run, stage) for stage in range(len(run.stages))] for _, run in pairs]
    stages = [one for chain in chains for one in chain]
    if any(one.stage.length.percent is not None or not steps_per_epoch(one) for one in stages):
        return []
    found = []
    for (run, _), chain in zip(pairs, chains, strict=True):
        steps = sum(end - begin for begin, end in map(step_range, chain))
        epochs = -(-steps // steps_per_epoch(run))
        length = Length("i", steps) if run.stage.length.unit == "i" else Length("e", epochs)
        found.append(run.ending(length=length))
    return found


def _until(run: Run, stage: int) -> Run:
    """`run` as it is after the `stage` of that number, from 0 on."""
    return Run.of(run.dataset, run.model, run.seed, run.stages[: stage + 1])


def changed(run: Run, change: ArmSettings, where: str, *, every_start: bool = False) -> Run:
    """`run` with what `change`, the value of the key `where`, says of its last stage.

    Its start takes the place of each `keep` where `every_start` is true; methods and optimiser
    act in all stages where `pretrain` is. Raises `UserError`.
    """
    try:
        stages = [
            _changed(stage, change, last or every_start, last or change.pretrain)
            for number, stage in enumerate(run.stages, start=1)
            for last in [number == len(run.stages)]
        ]
        return Run.of(run.dataset, run.model, run.seed, tuple(stages))
    except (UserError, ValueError) as error:
        kind = UnsuitableError if isinstance(error, UnsuitableError) else UserError
        raise kind(f"{where}: {error}") from None


def _changed(stage: Stage, change: ArmSettings, begins: bool, acts: bool) -> Stage:
    """`stage` as it `begins` by `change`, with what of it acts during a stage; each if told to."""
    changes: dict[str, Any] = {}
    if begins and change.start and str(stage.start) == "keep":
        changes["start"] = starts.parse(change.start)
    if acts and change.methods:
        changes["methods"] = methods_in_order((*stage.methods, *methods_of(change.methods)))
    if acts and change.optimiser:
        changes["optimiser"] = _rule(stage.optimiser, change.optimiser)
    return replace(stage, **changes)


def _rule(now: Term[Any], entry: Mapping[str, Any]) -> Term[Any]:
    """The optimiser of `entry`, whose options are those of the present one where it has no rule.

    Another rule has the batch and the schedule of the present one, where it does not say otherwise.
    """
    if "rule" in entry:
        shared = {name: v for name, v in now.options.items() if name in now.member.common}
        return optimiser("optimiser", {**{n: v for n, v in shared.items() if v}, **entry})
    try:
        return optimisers.term(now.member.name, {**now.options, **entry})
    except ValueError as error:
        raise UserError(f"optimiser.{error}") from None
