"""The mask of a ticket as a job: from the state at the end of the level before to the next mask."""

from __future__ import annotations

from pathlib import Path

import torch

from plasticity.core import files
from plasticity.core.errors import UserError
from plasticity.models import masks
from plasticity.models.masks import Mask
from plasticity.models.network import build
from plasticity.runs import Run
from plasticity.runs.compute import Precision
from plasticity.runs.provenance import Code
from plasticity.runs.workload import facts_of
from plasticity.training import checkpoint
from plasticity.training.hardware import Log


def make_mask(
    ticket: Run, state: Path, output: Path, *, code: Code, precision: Precision, log: Log
) -> None:
    """Prune the network in `state`, at the end of the level before `ticket`, and write the mask.

    Of the weights that this level was trained with, those smallest in magnitude are removed
    (Frankle et al. 2020: iterative magnitude pruning). `code` is what led here.
    Raises `UserError` for a state that cannot be used and where no weight would be left.
    """
    assert ticket.pruned_from is not None
    trained = checkpoint.load(state)
    expected = {"run": str(ticket.pruned_from), "precision": precision}
    checkpoint.require(state, trained, expected)
    code.require_before(state, trained.identity.components)
    options = ticket.stage.start.options
    # Built only for the names of its weights, in their order.
    facts = facts_of(ticket.dataset)
    network = build(ticket.model, facts.classes, facts.channels, *facts.size)
    masks.require_prunable(network)
    weights = {name: trained.weights[name] for name in masks.prunable(network)}
    diverged = trained.diverged.step if trained.diverged else None
    if diverged is None and not all(bool(weight.isfinite().all()) for weight in weights.values()):
        diverged = trained.iteration  # by a version that did not record it
    if diverged is not None:
        log(f"{state}: diverged at step {diverged}, and so has what is trained with this mask")
        # As many are left as otherwise, so that levels are told apart; which ones means nothing.
        weights = {name: weight.nan_to_num() for name, weight in weights.items()}
    before = {
        # A mask of other labels' head is not one of this.
        name: mask if mask.shape == weights[name].shape else torch.ones_like(weights[name]).bool()
        for name, mask in trained.mask.items()
    }
    mask = Mask(
        layers=masks.prune(weights, before or None, options["fraction"]),
        run=str(ticket.pruned_from),
        level=options["level"],
        fraction=options["fraction"],
        state=trained.digest,
        code=code,
        precision=precision,
        diverged=diverged,
    )
    if mask.survivors == (sum(int(layer.sum()) for layer in before.values()) or mask.total):
        raise UserError(
            f"start '{ticket.stage.start}': of the {mask.survivors} weights that are left, "
            f"{options['fraction']} is less than one; take fewer levels"
        )
    with files.held(output.with_name(".lock"), log):  # another attempt may be at it
        masks.write_mask(output, mask)
    log(
        f"level {mask.level}: {mask.survivors} of {mask.total} weights are left, {mask.density:.2%}"
    )
