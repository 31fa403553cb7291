"""Steps that are recorded once and replayed, as a CUDA graph, instead of launched bit by bit.

The hundreds of small kernels of a step take a fast GPU less time than Python takes to launch them.
A recording launches all of them at once, on the same memory each time, in the same order.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from plasticity.core.errors import UserError
from plasticity.core.tensors import checksum
from plasticity.models import generators
from plasticity.models.undo import put_back, undoing
from plasticity.training.backends import is_out_of_memory, refusing_shortages
from plasticity.training.examples import Batch, Examples
from plasticity.training.loop import (
    EagerExecution,
    Step,
    TrainState,
    evaluate_all,
    never,
    no_sums,
)
from plasticity.training.optimiser_state import held_in_python, place_numbers, taken_apart

Work = Callable[[], object]


class Recorder(Protocol):
    """What records work on a device."""

    def prepare(self, optimiser: Optimizer) -> None:
        """Make `optimiser`, which has made no step yet, fit to be recorded."""

    def record(self, work: Work) -> Work:
        """What does `work` over again, on the memory that it uses now; waits for nothing.

        In recording the work may be done any number of times. Raises `UserError` for work that
        cannot be recorded, such as that which waits for the device.
        """


class CudaGraphs:
    """CUDA graphs on the current device, each with memory of its own.

    Were it shared, an evaluation could overwrite the gradients that the last step left, which
    telemetry reads.
    """

    WARM_UPS = 3
    """How often work is done before it is recorded: kernels load and libraries take memory."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def prepare(self, optimiser: Optimizer) -> None:
        """Let the count of steps, and a rate of every step, live on the device to be recorded."""
        put_counts_on_device(optimiser)
        put_rates_on_device(optimiser)
        # Its first step is not recorded, of which torch would warn.
        warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")

    def record(self, work: Work) -> Work:
        """See `Recorder`."""
        torch.cuda.empty_cache()  # of the memory of recordings that are gone: a graph has its own
        with refusing_shortages():
            return self._recorded(work)

    def _recorded(self, work: Work) -> Work:
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            for _ in range(self.WARM_UPS - 1):
                work()
            # Where this is found out while recording, CUDA is of no use to the process any more.
            with refusing_to_wait():
                work()
        current.wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        try:
            # The outer one puts the stream back also after a failure.
            with torch.cuda.stream(current), torch.cuda.graph(graph, stream=self._stream):
                work()
        except (RuntimeError, KeyError) as error:  # some optimisers lack `capturable`
            # Torch raises another error in the place of the one that made recording fail.
            first = error.__context__ if isinstance(error.__context__, RuntimeError) else error
            for one in (error, first):
                if isinstance(one, RuntimeError) and is_out_of_memory(one):
                    raise one from None
            raise unrecordable(first) from error
        return graph.replay


@contextmanager
def refusing_to_wait() -> Iterator[None]:
    """Raise `UserError` where anything waits for the device."""
    before = torch.cuda.get_sync_debug_mode()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Synchronization debug mode")
            torch.cuda.set_sync_debug_mode("error")
        yield
    except RuntimeError as error:
        if "synchronizing" not in str(error):
            raise
        raise unrecordable(error) from error
    finally:
        torch.cuda.set_sync_debug_mode(before)


def unrecordable(error: BaseException) -> UserError:
    """What to do where a stage cannot be recorded."""
    said = (str(error).strip() or repr(error)).splitlines()[0]
    return UserError(
        f"execution: the work of this stage cannot be recorded as a CUDA graph ({said}); train "
        "with execution: eager, which records nothing"
    )


@dataclass(frozen=True)
class Recording:
    """A recorded step: `replay` makes the step on `batch`, whose tensors are filled anew."""

    examples: Examples
    learning_rates: tuple[float, ...]
    batch: Batch
    replay: Work

    def fits(self, train_state: TrainState, examples: Examples, batch: Batch) -> bool:
        """Whether it is a recording of a step on such a batch, at the present learning rates."""
        same = self.examples is examples and self.learning_rates == learning_rates_of(
            train_state.optimiser
        )
        return same and shapes_of(self.batch) == shapes_of(batch)

    def fill(self, batch: Batch) -> None:
        """Copy `batch` to where the recording reads it."""
        for ours, theirs in zip(tensors_of(self.batch), tensors_of(batch), strict=True):
            ours.copy_(theirs)


class CudaGraphExecution(EagerExecution):
    """Steps and evaluations of one train_state by recordings.

    The step at hand is kept, and recorded again where the learning rate or the shape of batches
    changes; so are the last two evaluations, as of a test set and of what is held out.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._has_begun = False
        self._sums: Tensor | None = None
        self._step: Recording | None = None
        self._evaluations: list[tuple[Examples, Tensor, Work]] = []

    @contextmanager
    def training(self, train_state: TrainState, examples: Examples, sums: Tensor) -> Iterator[Step]:
        """See `EagerExecution`."""
        own = self._own_sums(examples)
        with super().training(train_state, examples, own) as by_hand:

            def step(batch: Batch) -> None:
                if not (self._step and self._step.fits(train_state, examples, batch)):
                    # Let go first, so that there is never memory for two.
                    self._step = None
                    if self._begun_by_hand(train_state, own, by_hand, batch):
                        return
                    self._step = self._record(train_state, examples, own, by_hand, batch)
                self._step.fill(batch)
                self._step.replay()

            own.copy_(sums)
            yield step
            sums.copy_(own)

    def evaluation(
        self, train_state: TrainState, examples: Examples, stop: Callable[[], bool] = never
    ) -> Tensor | None:
        """See `EagerExecution`; once begun it goes on to the end.

        What is copied from the host on the way cannot be recorded.
        """
        if examples.streamed:
            return super().evaluation(train_state, examples, stop)
        known = [one for one in self._evaluations if one[0] is examples]
        if not known:
            del self._evaluations[:-1]
            sums = no_sums(examples.device)
            work = self._recorded(
                lambda: evaluate_all(train_state, examples, sums), examples.device
            )
            known = [(examples, sums, work)]
            self._evaluations += known
        _, sums, replay = known[0]
        replay()
        return None if stop() else sums.clone()

    def _own_sums(self, examples: Examples) -> Tensor:
        """Where recordings add up what they measure."""
        if self._sums is None:
            self._sums = no_sums(examples.device)
        return self._sums

    def _begun_by_hand(
        self, train_state: TrainState, sums: Tensor, by_hand: Step, batch: Batch
    ) -> bool:
        """Make the first step here, on `batch`, if the optimiser makes its state in it.

        That step cannot be recorded: each replay would make the state anew, or leave out what is
        done once. So it is the first one of a stage, and never the first one after a stage was
        resumed: where nothing is changed but the values of tensors, these are put back.
        """
        if self._has_begun:
            return False
        self._has_begun = True
        device = sums.device
        before, drawn = outside_of(train_state, device), generators.states(device)
        undo = undoing([*memory_of(train_state), sums])
        by_hand(batch)
        if outside_of(train_state, device) != before:
            return True
        undo()
        generators.restore(drawn)
        return False

    def _record(
        self, train_state: TrainState, examples: Examples, sums: Tensor, by_hand: Step, batch: Batch
    ) -> Recording:
        """A recording of the step on such a batch; changes nothing.

        Raises `UserError` where the optimiser or a method is changed by more than operations on
        the device.
        """
        require_on_device(train_state.optimiser, examples.device)
        # Those of the recording before keep all of its memory; the work begins with new ones.
        train_state.optimiser.zero_grad()
        own = replace(batch, **{name: one.clone() for name, one in named_tensors(batch).items()})
        before = outside_of(train_state, examples.device)
        with put_back([*memory_of(train_state), sums]), generators.kept(sums.device):
            replay = self._recorded(lambda: by_hand(own), sums.device)
            # Before anything is put back: a tensor that lies elsewhere is frozen as numbers are.
            changed = outside_of(train_state, examples.device) != before
        if changed:
            names = [train_state.optimiser, *train_state.methods.members]
            raise UserError(
                f"execution: {' or '.join(type(one).__name__ for one in names)} counts its steps, "
                "changes its rate, draws numbers or replaces tensors in Python, which a recording "
                "would leave out; train with execution: eager"
            )
        return Recording(examples, learning_rates_of(train_state.optimiser), own, replay)

    def _recorded(self, work: Work, device: torch.device) -> Work:
        """A recording of `work` on `device`; raises `UserError` where it draws in Python."""
        before = drawn_outside(device)
        replay = self._recorder.record(work)
        if drawn_outside(device) != before:
            raise UserError(
                "execution: the network or the optimiser draws from a generator of Python, NumPy "
                "or the CPU, which a recording would leave out; draw on the device, or train with "
                "execution: eager"
            )
        return replay


def require_on_device(optimiser: Optimizer, device: torch.device) -> None:
    """Raise `UserError` where a recording would freeze what `optimiser` keeps, such as a count."""
    for state in optimiser.state.values():
        for name, slot in state.items():
            frozen = isinstance(slot, int | float)
            if frozen or (isinstance(slot, Tensor) and slot.device.type != device.type):
                raise UserError(
                    f"execution: {type(optimiser).__name__} keeps its {name!r} outside of the "
                    "device, where a recording would freeze it; train with execution: eager"
                )


def memory_of(train_state: TrainState) -> list[Tensor]:
    """All that a step of `train_state` changes."""
    network = train_state.network
    _, remembered = taken_apart(train_state.optimiser, train_state.methods.members, network)
    return [*network.parameters(), *network.buffers(), *remembered.values()]


def outside_of(train_state: TrainState, device: torch.device) -> object:
    """What its optimiser and its methods hold that no operation on `device` changes."""
    return held_in_python(
        train_state.optimiser, device, train_state.methods.members, train_state.network
    )


def drawn_outside(device: torch.device) -> str:
    """A checksum of the global generators whose draws are no operations on `device`."""
    own = "cuda" if device.type == "cuda" else "torch"
    states = generators.states(device)
    return checksum(None, {name: state for name, state in states.items() if name != own})


def put_counts_on_device(optimiser: Optimizer) -> None:
    """Let the counts of torch's rules be beside the parameters, which some know a way to do.

    There are some already where the state of the stage before was taken over.
    """
    for group in optimiser.param_groups:
        if "capturable" in group:
            group["capturable"] = True
            place_numbers(optimiser, group, on_cpu=False)


def put_rates_on_device(optimiser: Optimizer) -> None:
    """Let the rates of `optimiser` be tensors where `schedule.Schedule` changes them every step."""
    for group in optimiser.param_groups:
        if "initial_lr" in group and group["params"]:
            rate = torch.tensor(group["lr"], dtype=torch.float32, device=group["params"][0].device)
            group["lr"] = rate


def learning_rates_of(optimiser: Optimizer) -> tuple[float, ...]:
    """The learning rates of the groups of `optimiser`, which a recording holds fast.

    Of one that lives on the device it holds the place.
    """
    rates = (group["lr"] for group in optimiser.param_groups)
    return tuple(rate.data_ptr() if isinstance(rate, Tensor) else rate for rate in rates)


def tensors_of(batch: Batch) -> list[Tensor]:
    """What a batch for training is made of."""
    return [*named_tensors(batch).values()]


def named_tensors(batch: Batch) -> dict[str, Tensor]:
    """The same by name: what is on the device."""
    found = {"indices": batch.indices, "draws": batch.draws, "images": batch.images}
    return {name: one for name, one in found.items() if isinstance(one, Tensor)}


def shapes_of(batch: Batch) -> list[torch.Size]:
    """The shapes of what it is made of."""
    return [tensor.shape for tensor in tensors_of(batch)]
