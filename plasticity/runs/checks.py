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
    modules = model.facts.modules
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
        impossible = [m for m in stage.start.options.get("modules", ()) if m > modules]
        if impossible:
            raise UnsuitableError(
                f"start '{stage.start}': {model} has the modules 1 to {modules}, "
                f"there is no module {impossible[0]}"
            )
        if stage.data.facts.classes:
            needed = stage.data.facts.classes(**stage.data.own)
            if needed > classes:
                raise UnsuitableError(
                    f"data selection '{stage.data}' deals out the classes to {needed} stages, "
                    f"but {dataset} has {classes}; take fewer stages or a ratio of 1"
                )
        if position > 0 and stage.length.unit == "till":
            _require_time_left(stages[position - 1], stage)
        if stage.start.facts.rewinds and not any(before.prunes for before in stages[:position]):
            raise SpellingError(
                f"start '{stage.start}' goes on with the mask of a ticket, and no stage before "
                "it starts with one"
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


def _require_time_left(before: Stage, stage: Stage) -> None:
    """Raise `SpellingError` where the clock has passed the end of `stage` when it begins.

    Or where an epoch is not the same number of steps in both. Lengths in steps are compared
    when that number is known.
    """
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
