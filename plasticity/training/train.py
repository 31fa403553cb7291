"""One stage of a run as a job: from a parent's weights, a rung or a killed attempt to results."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plasticity.core import files
from plasticity.core.shutdown import graceful_shutdown
from plasticity.runs import Run, metrics
from plasticity.runs.metrics import EpochMetrics, as_evaluated, is_evaluated
from plasticity.runs.provenance import Code
from plasticity.training import checkpoint
from plasticity.training.batches import StepRange
from plasticity.training.checkpoint import Checkpoint, Divergence
from plasticity.training.explained import explained
from plasticity.training.hardware import Hardware, Log
from plasticity.training.loop import (
    Diverged,
    EpochProgress,
    finish_epoch,
    train_on,
)
from plasticity.training.stages import Inputs, Stage, describe, prepare

RESUME_EVERY = 30.0
"""Seconds between two saves of the state that a killed job goes on from."""

TRAINING_TO_SAVING = 50
"""Where saving is slow, training lasts so many times as long before the state is saved again."""


@dataclass(frozen=True)
class Outputs:
    """The files that a stage writes; `checkpoint` only where a later stage may need it."""

    metrics: Path
    checkpoint: Path | None = None

    @property
    def resume(self) -> Path:
        """Where a killed attempt left its state. It is removed once the others are written."""
        return self.metrics.with_name("resume.safetensors")


def train_stage(
    run: Run,
    inputs: Inputs,
    outputs: Outputs,
    hardware: Hardware,
    code: Code,
    log: Log,
    resume_every: float = RESUME_EVERY,
    evaluate_every: int = 1,
) -> None:
    """Train the last stage of `run` and write its outputs.

    `code` is what trains it; states written under another one are refused. One epoch in
    `evaluate_every` is evaluated, and all whose test accuracy counts at the end; with a rung, whose
    own last epochs were evaluated too, the metrics are the same, and so is what is trained in any
    case. Raises `UserError` for inputs that cannot be used, and `shutdown.Ended` where this process
    was asked to end: the state is then saved, and another call continues from it.
    """
    with files.held(outputs.resume.with_name(".lock"), log) as waited:
        with explained(run, log):
            stage = prepare(run, inputs, hardware, code, log)
            about = describe(stage, hardware)
            if waited and is_finished(outputs, about):
                log("the attempt that was waited for has finished this run: nothing is left to do")
                return
            history, diverged = train(
                stage, inputs.rung, outputs.resume, log, resume_every, evaluate_every
            )
        metrics.write(outputs.metrics, history, {**about, "diverged_step": diverged})
        if outputs.checkpoint:
            state = state_of(stage, history, diverged=diverged)
            checkpoint.save(outputs.checkpoint, state)
        outputs.resume.unlink(missing_ok=True)


def is_finished(outputs: Outputs, about: Mapping[str, Any]) -> bool:
    """Whether all outputs are there, and the metrics are those of a run that is described so."""
    there = outputs.metrics.exists() and (not outputs.checkpoint or outputs.checkpoint.exists())
    if not there:
        return False
    found = metrics.about(outputs.metrics)
    found.pop("diverged_step", None)  # what came of it
    return bool(found == json.loads(json.dumps(about)))


def train(
    stage: Stage,
    rung: Path | None,
    resume: Path,
    log: Log,
    resume_every: float,
    evaluate_every: int = 1,
) -> tuple[list[EpochMetrics], int | None]:
    """Train `stage` from where an earlier attempt or a rung left off to its last epoch.

    That is the one in which it reaches its target, where its length has one.

    Returns what each epoch measured, and the step at which training diverged: it stops after that
    epoch, which is not measured. A stage that goes on from one that diverged does not begin.

    The state is saved to `resume` every `resume_every` seconds (0: after every batch), less often
    where saving is slow, and when this process is asked to end, which raises `shutdown.Ended`.
    """
    train_state, steps = stage.train_state, stage.steps
    if stage.diverged_before is not None:
        log(f"diverged at step {stage.diverged_before} of a stage before it: not trained")
        return [], stage.diverged_before
    earlier = checkpoint.to_continue(resume, rung, stage.run, stage.identity, stage.code, log)
    if earlier:
        checkpoint.restore(earlier, train_state.network, train_state.optimiser, train_state.methods)
    # Which epochs are the last of a stage with a target is known only afterwards.
    every = 1 if stage.run.stage.length.percent is not None else evaluate_every
    last = steps.epoch(steps.end - 1)
    history = as_evaluated(earlier.history, last, every) if earlier else []
    diverged = earlier.diverged.step if earlier and earlier.diverged else None
    part = EpochProgress.begin(stage.device, earlier.part if earlier else None)
    first = True
    saved, pause = time.monotonic(), resume_every

    def due() -> bool:
        nonlocal first
        if first:  # what cannot be saved is refused after a step, and not after the training
            first = False
            checkpoint.require_storable(
                train_state.network, train_state.optimiser, train_state.methods
            )
        return bool(request) or time.monotonic() - saved >= pause

    def save() -> None:
        nonlocal saved, pause
        began = time.monotonic()
        state = state_of(stage, history, part)
        checkpoint.save(resume, state)
        saved = time.monotonic()
        pause = max(resume_every, TRAINING_TO_SAVING * (saved - began)) if resume_every else 0.0
        if request:
            where = checkpoint.position(history, part.batches)
            raise request.ended(f"{where}; the next attempt goes on from there")

    with graceful_shutdown() as request:
        while diverged is None and not stage.is_over(history):
            done = end_of(history, steps)
            epoch = steps.epoch(done)
            batches = stage.batches(done, part.batches)
            while not train_on(train_state, stage.train, batches, part, due):
                save()
            due_now = is_evaluated(epoch, last, every)
            measured = finish_epoch(
                train_state,
                epoch,
                done + part.batches,
                part,
                stage.test if due_now else None,
                request.__bool__,
                stage.validation,
            )
            if measured is None:
                save()
                continue
            if isinstance(measured, Diverged):
                diverged = measured.step
                log(f"epoch {epoch}: diverged at step {diverged}, training stops here")
                if request:
                    save()
                break
            history.append(measured)
            part = EpochProgress.begin(stage.device)
            log(progress(history, steps, stage.order.batch))
            if stage.is_over(history) and history[-1].iteration < steps.end:
                log(f"reached its training accuracy after epoch {epoch}: training stops here")
            # Even after the last epoch: who asked a job to end no longer accepts its results.
            if request or (due() and not stage.is_over(history)):
                save()
    return history, diverged


def end_of(history: Sequence[EpochMetrics], steps: StepRange) -> int:
    """The step on the clock at which the epochs of `history` ended."""
    return history[-1].iteration if history else steps.begin


def state_of(
    stage: Stage,
    history: Sequence[EpochMetrics],
    part: EpochProgress | None = None,
    diverged: int | None = None,
) -> Checkpoint:
    """The present state of `stage`, after the epochs of `history` and `part` of the next one.

    Or where it `diverged` at this step.
    """
    state = stage.train_state
    unfinished = part.as_tensor() if part and part.batches else None
    mask = stage.initial_state.inherited_mask
    dead = None if diverged is None else Divergence(diverged, stage.steps.end)
    return checkpoint.capture(
        stage.identity,
        state.network,
        state.optimiser,
        history,
        unfinished,
        mask,
        dead,
        state.methods,
    )


def progress(history: Sequence[EpochMetrics], steps: StepRange, batch: int) -> str:
    """One line on the last epoch: accuracies, training images a second, time left."""
    last = history[-1]
    before = history[-2].iteration if len(history) > 1 else steps.begin
    images = (last.iteration - before) * batch
    recent = history[-10:]
    first = history[-11].iteration if len(history) > 10 else steps.begin
    spent = sum(epoch.seconds for epoch in recent)
    left = round(spent * (steps.end - last.iteration) / (last.iteration - first))
    minutes, seconds = divmod(left, 60)
    epochs = steps.epoch(steps.end - 1)
    tested = "" if last.test_accuracy is None else f"test {last.test_accuracy:6.2%}  "
    return (
        f"epoch {last.epoch:>{len(str(epochs))}}/{epochs}  "
        f"loss {last.train_loss:.4f}  train {last.train_accuracy:6.2%}  "
        f"{tested}{images / last.seconds:,.0f} images/s  "
        f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left"
    )
