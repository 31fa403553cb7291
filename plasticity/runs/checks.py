"""Which stages, data set and model go together in a run."""

from __future__ import annotations

from collections.abc import Sequence

from plasticity.runs import vocabulary
from plasticity.runs.facts import DatasetFacts, ModelFacts
from plasticity.runs.grammar import SpellingError, UnsuitableError
from plasticity.runs.registry import Term
from plasticity.runs.stage import Stage


def require_sound(
    dataset: Term[DatasetFacts], model: Term[ModelFacts], stages: Sequence[Stage]
) -> None:
    """Raise `SpellingError` where `stages` on `dataset` with `model` are no run."""
    classes = dataset.facts.classes
    for position, stage in enumerate(stages):
        # None is for a start that may stand anywhere.
        inherits = stage.start.facts.inherits
        if position == 0 and stage.length.unit == "till":
            raise SpellingError(
                f"stage '{stage}' goes on till epoch {stage.length.number}, but no stage "
                f"stands before it: write e{stage.length.number}"
            )
        if position == 0 and inherits:
            raise SpellingError(
                f"stage '{stage}' starts with '{stage.start}', but no stage stands before it: "
                "the first stage of a run starts with 'init'"
            )
        if position > 0 and inherits is False:
            raise SpellingError(
                f"stage '{stage}' starts with '{stage.start}' and would forget the stages "
                "before it: write it as a run of its own"
            )
        if position == 0 and stage.prunes:
            _require_sources(stage)
        _require_modules(model, stage)
        _require_one_pass(stage)
        if stage.data.facts.classes:
            needed = stage.data.facts.classes(**stage.data.own)
            if needed > classes:
                raise UnsuitableError(
                    f"data selection '{stage.data}' deals out the classes to {needed} stages, "
                    f"but {dataset} has {classes}; take fewer stages or a ratio of 1"
                )
        if position > 0 and stage.start.facts.keeps_optimiser:
            _require_same_rule(stages[position - 1], stage)
        if stage.length.unit == "until":
            _require_known_end_unused(stage)
        if position > 0 and stage.length.unit == "till":
            _require_time_left(stages[position - 1], stage)
        if stage.start.facts.rewinds and not any(before.prunes for before in stages[:position]):
            raise SpellingError(
                f"start '{stage.start}' goes on with the mask of a ticket, and no stage before "
                "it starts with one"
            )


def _require_modules(model: Term[ModelFacts], stage: Stage) -> None:
    """Raise `UnsuitableError` where `model` is known to lack a module that the start names."""
    chosen: tuple[int, ...] = stage.start.options.get("modules", ())
    modules = model.facts.count(**model.own) if chosen else None
    impossible = [number for number in chosen if modules is not None and number > modules]
    if impossible:
        names = model.facts.names(**model.own) or ()
        said = f" ({', '.join(names)})" if 0 < len(names) < 20 else ""
        raise UnsuitableError(
            f"start '{stage.start}': {model} has the modules 1 to {modules}{said}, "
            f"there is no module {impossible[0]}"
        )


def _require_one_pass(stage: Stage) -> None:
    """Raise `SpellingError` where the rule and a method of `stage` both make passes of their own.

    A rule with a closure has the gradients of each pass to itself.
    """
    if stage.optimiser.facts.passes == 1:
        return
    for method in stage.methods:
        if method.facts.acts == "gradient" or method.facts.passes:
            raise SpellingError(
                f"stage '{stage}': '{method}' acts on the gradients of a step, of which "
                f"'{stage.optimiser}' evaluates several; take another optimiser, or leave "
                "the method out"
            )


def _require_sources(stage: Stage) -> None:
    """Raise `SpellingError` where the first `stage` takes something from a stage before it."""
    options = stage.start.options
    sources = [options.get("signs"), options.get("magnitudes")]
    plain = vocabulary.starts.term("ticket", {n: options[n] for n in ("level", "fraction")})
    if "k" in sources:
        raise SpellingError(
            f"start '{stage.start}': no stage stands before it, so that 'k' is the "
            "initialisation: write 'init'"
        )
    if sources == ["init", "init"]:
        raise SpellingError(
            f"start '{stage.start}': the weights are those of the initialisation already: "
            f"write '{plain}'"
        )


def _require_same_rule(before: Stage, stage: Stage) -> None:
    """Raise `SpellingError` where `stage` cannot go on with the optimiser of the stage `before`."""
    rules = [
        (one.optimiser.member.name, {k: v for k, v in one.optimiser.own.items() if k != "lr"})
        for one in (before, stage)
    ]
    if rules[0] != rules[1]:
        raise SpellingError(
            f"start '{stage.start}' goes on with the state of the optimiser, which was "
            f"'{before.optimiser}' and is '{stage.optimiser}': take the same rule with the same "
            "options (its rate, batches and schedule may differ), or write keep to begin anew"
        )
    tasks = [[str(v) for v in one.transforms if v.facts.classes] for one in (before, stage)]
    if tasks[0] != tasks[1]:
        raise SpellingError(
            f"start '{stage.start}' goes on with the state of the optimiser, and '{stage.seen}' "
            f"has other labels than '{before.seen}', hence another head: write keep to begin anew"
        )


def _require_known_end_unused(stage: Stage) -> None:
    """Raise `SpellingError` where something in `stage` needs its end, which nobody knows yet."""
    length = stage.length
    reasons = {
        "spreads its data over the whole stage": stage.data.facts.fraction_of_all is not None,
        "spreads its learning rate over the whole stage": stage.depends_on_length,
        "prunes after as many epochs at each level": stage.start.facts.ticket,
    }
    for reason, holds in reasons.items():
        if holds:
            raise SpellingError(
                f"stage '{stage}' ends at a training accuracy, nobody knows when, and {reason}: "
                f"write e{length.number} for so many epochs"
            )


def _require_time_left(before: Stage, stage: Stage) -> None:
    """Raise `SpellingError` where the clock has passed the end of `stage` when it begins.

    Or where an epoch is not the same number of steps in both. Lengths in steps are compared
    when that number is known.
    """
    if before.length.unit == "until":
        raise SpellingError(
            f"stage '{stage}' goes on till epoch {stage.length.number}, but nobody knows when the "
            f"stage before it ends, at a training accuracy: write e{stage.length.number} for as "
            "many of its own"
        )
    batches = [one.optimiser.options["batch"] for one in (before, stage)]
    if before.data != stage.data or batches[0] != batches[1]:
        raise SpellingError(
            f"stage '{stage}' goes on till epoch {stage.length.number}, but the stage before "
            "it has other examples or another size of batches, and so other epochs: write "
            f"e{stage.length.number} for as many of its own"
        )
    if before.length.epochs is not None and before.length.epochs >= stage.length.number:
        raise SpellingError(
            f"stage '{stage}' goes on till epoch {stage.length.number}, and the stage before "
            f"it has lasted till epoch {before.length.epochs} already; go on for longer"
        )
