"""The network as a stage begins with it: drawn, inherited, masked, and changed by the start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.data.apply import classes_of, task_of
from plasticity.interventions.perturbations import Ticket, effective_size
from plasticity.models import masks
from plasticity.models.masks import Mask
from plasticity.models.network import Network, build, initialise, require_logits
from plasticity.runs import Run
from plasticity.training import generators
from plasticity.training.batches import ComingBatches
from plasticity.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class InitialState:
    """The network as a stage begins with it.

    `mask` says by name which weights of a pruned network are left, bool of their shape;
    `inherited_mask` is the one that later stages have from this stage, which differs where this one
    has a head of its own. `changed` is by how much the start moved what is left: the standard
    deviation. `diverged` is the step at which a stage that it comes from diverged, where one did:
    the network then means nothing. `initial` is another one as the run was initialised, where a
    method asks for it.
    """

    network: Network
    mask: Mapping[str, Tensor]
    inherited_mask: Mapping[str, Tensor]
    changed: float
    diverged: int | None = None
    initial: Network | None = None

    @property
    def density(self) -> float:
        """The fraction of weights that are left, of those that could be pruned."""
        total = sum(weight.numel() for weight in masks.prunable(self.network).values())
        return sum(int(mask.sum()) for mask in self.mask.values()) / total if self.mask else 1.0


def initial_state(
    run: Run,
    classes: int,
    shape: tuple[int, int, int],
    parent: Checkpoint | None,
    mask: Mask | None,
    mask_file: Path | None,
    coming: Callable[[], ComingBatches],
) -> InitialState:
    """The network of the last stage of `run`, for a data set with `classes` and images of `shape`.

    `parent` is the state that the stage before ended with; `mask`, from `mask_file`, the one that
    the stage prunes with; `coming` batches of its data are made for a start that asks for some.
    Raises `UserError` where it is one for another network.
    """
    drawing = torch_generator(run.seed, "initialisation")
    starting = torch_generator(run.seed, "start", len(run.stages))
    stage, tasks = run.stage, [task_of(stage.transforms) for stage in run.stages]
    outputs = classes_of(stage.transforms, classes)
    network = build(run.model, outputs, *shape)
    # One draw a seed, shared by all runs: a cold run and the pretraining of its warm counterpart
    # begin at the same point.
    initialise(network, drawing)
    with generators.kept(torch.device("cpu")):  # it may draw even in evaluation
        require_logits(run.model, network, outputs, shape)
    require_modules(run, network)
    if stage.start.facts.ticket:
        masks.require_prunable(network)
    if mask and mask_file:
        mask.require_fits(mask_file, network)
    is_ticket = stage.start.facts.ticket
    keeps_initial = bool(is_ticket or stage.start.facts.initial or stage.methods)
    initialised = deepcopy(network) if keeps_initial else network  # which no other start is given
    if parent:
        # Another task has other labels: its head is drawn anew, as that of a run from scratch.
        left_out = frozenset() if tasks[-2] == tasks[-1] else network.head
        weights = {name: v for name, v in parent.weights.items() if name not in left_out}
        state = network.state_dict()
        other = [name for name, v in weights.items() if v.shape != state[name].shape]
        if other:
            raise UserError(
                f"model {run.model.member.name}: '{other[0]}' has another shape with {outputs} "
                "classes than in the stage before, and only the last of its numbered modules is "
                "drawn anew between two tasks; declare them, the head last: "
                "facts=ModelFacts(modules=(..., 'head'))"
            )
        network.load_state_dict({**state, **weights})
    before = {name: weight.clone() for name, weight in masks.prunable(network).items()}
    whole = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in before.items()}
    inherited_mask: Mapping[str, Tensor] = mask.layers if mask else parent.mask if parent else {}
    own_mask = inherited_mask
    if own_mask:
        pruned = max(number for number, one in enumerate(run.stages) if one.prunes)
        if tasks[pruned] != tasks[-1]:  # a head for other labels is not pruned
            heads = {name: whole[name] for name in whole if name in network.head}
            own_mask = {**own_mask, **heads}
    diverged = parent.diverged.step if parent and parent.diverged else None
    if diverged is None and mask:
        diverged = mask.diverged
    with torch.no_grad():
        if diverged is not None:
            # Not trained: no start need know what to do with weights that are no numbers.
            own_mask = {name: kept.cpu() for name, kept in own_mask.items()}
        elif is_ticket:
            own_mask = stage.start(network, starting, Ticket.of(own_mask, initialised))
            inherited_mask = own_mask if stage.prunes else inherited_mask
        else:
            start_with(run, network, starting, initialised, coming)
            if own_mask:
                masks.assign(network, masks.prunable(network), own_mask)
    changed = effective_size(before, masks.prunable(network), own_mask or whole)
    acting = initialised if stage.methods and diverged is None else None
    return InitialState(network, own_mask, inherited_mask, changed, diverged, acting)


def start_with(
    run: Run,
    network: Network,
    generator: torch.Generator,
    initialised: Network,
    coming: Callable[[], ComingBatches],
) -> None:
    """Apply the start of the last stage of `run` to `network`, with what it asks for.

    That is on the device of the `coming` batches where it asks for these. Gradients that it leaves
    are dropped, and `network` is back on the CPU afterwards.
    """
    start = run.stage.start
    batches = coming() if start.facts.batches else None
    device = batches.examples.device if batches is not None else torch.device("cpu")
    known = {"batches": batches, "initial": initialised.to(device), "seed": run.seed}
    _, _, *asked = start.facts.given
    start(network.to(device), generator, *(known[name] for name in asked))
    network.to("cpu").zero_grad()


def require_modules(run: Run, network: Network) -> None:
    """Raise `UserError` where the start of the last stage names a module that `network` lacks.

    A network need not declare how many it has, so that it is known only now.
    """
    names = [module.name for module in network.numbered_modules]
    lacking = [m for m in run.stage.start.options.get("modules", ()) if m > len(names)]
    if lacking:
        raise UserError(
            f"start '{run.stage.start}': {run.model} has the modules 1 to {len(names)} "
            f"({', '.join(names)}), there is no module {lacking[0]}"
        )
