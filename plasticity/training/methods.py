"""The methods of a stage at work: made, asked in their order for what they do, and their events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from plasticity.core.errors import UserError
from plasticity.interventions.method import Activation, Method, Pass, Step
from plasticity.models.network import Network
from plasticity.runs import MethodFacts, Term
from plasticity.training.examples import Batch, Examples
from plasticity.training.optimiser_state import held_in_python


@dataclass(frozen=True)
class Methods:
    """The methods of a stage, in their order, and after how many steps the event of each comes.

    `every` is 0 where a method has no event.
    """

    members: tuple[Method, ...] = ()
    every: tuple[int, ...] = ()
    passes: int = 0
    """How many passes of their own they make a step."""
    networks: tuple[frozenset[str], ...] = ()
    """The attributes of each in which it had a network when it was made."""

    @classmethod
    def of(
        cls,
        terms: Sequence[Term[MethodFacts]],
        network: Network,
        initial: Network,
        per_epoch: int,
        rule_passes: int = 1,
    ) -> Methods:
        """Those that `terms` spell, for a stage of `network` of so many steps `per_epoch`.

        `initial` is a network as the run was initialised; the update rule makes so many passes a
        step. Raises `UserError` for a method that cannot be used.
        """
        members = [_made(term, network, initial) for term in terms]
        for term, member in zip(terms, members, strict=True):
            if rule_passes > 1 and overrides(member, "change_gradients"):
                raise UserError(
                    f"method '{term}': changes the gradients of a step, of which the update rule "
                    "evaluates several; take another optimiser, or leave the method out"
                )
        every = [_steps_between(term, per_epoch) for term in terms]
        return cls(
            members=tuple(members),
            every=tuple(every),
            passes=sum(term.facts.passes for term in terms),
            networks=tuple(map(_networks_of, members)),
        )

    def require_whole(self) -> None:
        """Raise `UserError` where a method has made a network after the stage began."""
        for member, known in zip(self.members, self.networks, strict=True):
            late = _networks_of(member) - known
            if late:
                raise UserError(
                    f"method {type(member).__name__}: {sorted(late)[0]} was made after the stage "
                    "began, and a stage that goes on would lack it; make it in __init__"
                )

    @contextmanager
    def watching(self) -> Iterator[Mapping[str, Activation]]:
        """The activations, by name, of what is watched, as a forward pass in here makes them."""
        seen: dict[str, Activation] = {}

        def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
            def hook(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
                seen[name] = Activation(given[0], made)

            return hook

        watched: dict[str, nn.Module] = {}
        for member in self.members:
            for name, module in member.watched().items():
                if watched.setdefault(name, module) is not module:
                    raise UserError(
                        f"method {type(member).__name__}: calls a module {name!r} that it watches, "
                        "and a method before it another one; call it otherwise"
                    )
        hooks = [module.register_forward_hook(keep(name)) for name, module in watched.items()]
        try:
            yield seen
        finally:
            for hook in hooks:
                hook.remove()

    def objective(self, at: Pass) -> Tensor:
        """The loss of a pass with the terms of all methods, a scalar."""
        loss = at.loss
        for member in self.members:
            term = member.loss(at)
            if term is not None:
                loss = loss + term
        return loss

    def change_gradients(self, at: Pass) -> None:
        """Let each method change the gradients of a step."""
        for member in self.members:
            member.change_gradients(at)

    def change_weights(self, at: Pass, prune: Callable[[], None]) -> None:
        """Let each method change the weights after a step, and `prune` them before the next one.

        What averages them is thus given those of the sub-network.
        """
        for member in self.members:
            member.change_weights(at)
            prune()

    def evaluated(self, network: nn.Module) -> nn.Module:
        """The network to evaluate: that of the last method that has one, or else `network`."""
        networks = [one for member in self.members if (one := member.evaluated()) is not None]
        return networks[-1] if networks else network

    def followed(
        self,
        batches: Iterator[Batch],
        made: int,
        network: Network,
        optimiser: Optimizer,
        examples: Examples,
        prune: Callable[[], None],
    ) -> Iterator[Batch]:
        """`batches`, which come after so many steps `made` of the stage.

        When one is taken, the events that come before its step have happened, each followed by
        `prune`.
        """
        if not any(self.every):
            return batches
        return self._one_by_one(batches, made, network, optimiser, examples, prune)

    def _one_by_one(
        self,
        batches: Iterator[Batch],
        made: int,
        network: Network,
        optimiser: Optimizer,
        examples: Examples,
        prune: Callable[[], None],
    ) -> Iterator[Batch]:
        for number, batch in enumerate(batches, start=made):
            due = [
                member
                for member, every in zip(self.members, self.every, strict=True)
                if every and number and number % every == 0
            ]
            if due:
                step = Step(network, optimiser, *examples.batch(batch))
                for member in due:
                    self._happen(member, step)
                    with torch.no_grad():
                        prune()
            yield batch

    def _happen(self, member: Method, step: Step) -> None:
        """The event of `member` before `step`; raises `UserError` where more than tensors change.

        What else it remembers may be part of a recorded step, which would not notice.
        """
        device = step.labels.device
        remembered = (step.optimiser, device, self.members, step.network)
        before = held_in_python(*remembered)
        with torch.no_grad():
            member.event(step)
        if held_in_python(*remembered) != before:
            raise UserError(
                f"method {type(member).__name__}: its event changes a number or replaces a tensor; "
                "keep what changes in tensors, and change them in place"
            )


NONE = Methods()
"""The methods of a stage that has none."""


def _made(term: Term[MethodFacts], network: Network, initial: Network) -> Method:
    """The method that `term` spells; raises `UserError` where that is none."""
    name = term.member.name
    try:
        made = term(network, initial)
    except UserError as error:
        raise UserError(f"method '{term}': {error}") from None
    if not isinstance(made, Method):
        raise UserError(
            f"method {name}: returns {type(made).__name__}; expected a "
            "plasticity.interventions.method.Method"
        )
    if overrides(made, "evaluated") and term.facts.acts != "second":
        raise UserError(
            f"method {name}: has a network to evaluate, of which a stage has one; declare "
            "facts=MethodFacts(acts='second', ...)"
        )
    has_event = overrides(made, "event")
    if has_event != (term.facts.every is not None):
        raise UserError(
            f"method {name}: "
            + (
                "has an event and does not say when it happens: declare it, such as "
                "facts=MethodFacts(..., every=(1000, 'steps'))"
                if has_event
                else f"declares every among its facts, and {type(made).__name__} has no event"
            )
        )
    return made


def _networks_of(member: Method) -> frozenset[str]:
    return frozenset(name for name, one in vars(member).items() if isinstance(one, nn.Module))


def overrides(method: Method, part: str) -> bool:
    """Whether `method` has this `part`."""
    return getattr(type(method), part) is not getattr(Method, part)


def _steps_between(term: Term[MethodFacts], per_epoch: int) -> int:
    """After how many steps the event of `term` comes again; 0 where it has none."""
    try:
        every = term.facts.every_of(**term.own)
    except ValueError as error:
        raise UserError(f"method '{term}': {error}; correct its facts") from None
    if every is None:
        return 0
    number, unit = every
    return number * (per_epoch if unit == "epochs" else 1)
