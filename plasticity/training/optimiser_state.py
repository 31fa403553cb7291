"""All that an optimiser and methods remember, as JSON and tensors, unpickled; and back.

That is its `state_dict`, with whatever numbers, texts, lists and dicts a rule keeps in there, and
the attributes in which a rule keeps more; of a method its attributes. What is kept twice is one
thing again afterwards.
"""

from __future__ import annotations

import enum
import functools
import types
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from plasticity.core.errors import UserError
from plasticity.core.tensors import below, checksum
from plasticity.interventions.method import Method

REMEMBER_NOTHING = (
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, type),
    *(functools.partial, enum.Enum, PurePath, torch.dtype, torch.device, torch.Size),
)
"""Kinds of attribute that are not saved: making the optimiser anew makes them as they were."""

OF_FUSED_RULES = ("_step_supports_amp_scaling", "_need_device_dtype_check_for_fused")
"""Attributes of torch's own rules that say how a step is carried out, and not where training is."""


def taken_apart(
    optimiser: Optimizer, methods: Sequence[Method] = (), network: nn.Module | None = None
) -> tuple[Any, dict[str, Tensor]]:
    """What `optimiser` remembers, and `methods` of a `network`: JSON, and its tensors, uncopied.

    Raises `UserError` for what cannot be saved, by the place where it is kept.
    """
    plain, packers = _packed(optimiser, methods, network)
    return plain, {name: one for packer in packers for name, one in packer.tensors.items()}


def held_in_python(
    optimiser: Optimizer,
    device: torch.device,
    methods: Sequence[Method] = (),
    network: nn.Module | None = None,
) -> object:
    """All of both that no operation on `device` changes, to be compared with later.

    Of a tensor on `device` that is where it lies. Of everything else it is the value: also of
    tensors elsewhere, of NumPy's arrays and of generators. Raises as `taken_apart` does.
    """
    plain, packers = _packed(optimiser, methods, network)
    values = {
        name: tensor.data_ptr()
        if name in packer.live and tensor.device.type == device.type
        else checksum(None, {name: tensor.cpu()})
        for packer in packers
        for name, tensor in packer.tensors.items()
    }
    rest = [
        {n: v for n, v in vars(one).items() if isinstance(v, REMEMBER_NOTHING)}
        for one in (optimiser, *methods)
    ]
    return plain, values, rest


def _packed(
    optimiser: Optimizer, methods: Sequence[Method], network: nn.Module | None
) -> tuple[dict[str, Any], list[_Packer]]:
    plain, packer = _packed_optimiser(optimiser)
    packers = [packer]
    if methods:
        plain["methods"] = []
    for number, method in enumerate(methods):
        assert network is not None
        own = _Packer(f"method {type(method).__name__}", list(network.parameters()), network)
        for memory, ranges in packer.memory.items():
            own.memory[memory] += ranges
        remembered = {
            name: own.pack(value, f"method {number}/{name}")
            for name, value in vars(method).items()
            if not isinstance(value, REMEMBER_NOTHING)
        }
        plain["methods"].append(remembered)
        packers.append(own)
    return plain, packers


def _packed_optimiser(optimiser: Optimizer) -> tuple[dict[str, Any], _Packer]:
    packer = _Packer(f"optimiser {type(optimiser).__name__}", _parameters(optimiser))
    plain = packer.pack(optimiser.state_dict(), "")
    packer.known |= {id(optimiser.state): "state", id(optimiser.param_groups): "param_groups"}
    for number, group in enumerate(optimiser.param_groups):
        packer.known[id(group)] = f"param_groups/{number}"
    attributes = {
        name: packer.pack(value, f"attribute {name}")
        for name, value in vars(optimiser).items()
        if name not in _of_every_optimiser() and not isinstance(value, REMEMBER_NOTHING)
    }
    return {"state": plain, "attributes": attributes}, packer


def put_back(
    optimiser: Optimizer,
    plain: Any,
    tensors: Mapping[str, Tensor],
    methods: Sequence[Method] = (),
    network: nn.Module | None = None,
    *,
    follow: bool = False,
) -> None:
    """Let `optimiser` and `methods`, freshly made, remember what was `taken_apart`; copies.

    Tensors that lay on the CPU are there again or, to `follow` parameters that lay there and no
    longer do, beside these; but for numbers, which `place_numbers` places.
    """
    for number, method in enumerate(methods):
        assert network is not None
        mine = _Unpacker(list(network.parameters()), tensors, follow, network)
        for name, value in plain["methods"][number].items():
            path = f"method {number}/{name}"
            if isinstance(value, dict) and "network" in value:  # which others may hold: in place
                mine.known[path] = vars(method)[name]
                state = below(f"{path}/", tensors)
                tied = {other: state[one] for other, one in value["tied"].items()}
                mine.known[path].load_state_dict({**state, **tied})
            else:
                setattr(method, name, mine.unpack(value, path))
    parameters = _parameters(optimiser)
    unpacker = _Unpacker(parameters, tensors, follow)
    found = unpacker.unpack(plain["state"], "")
    # Torch would convert state to the type of the parameters, and lists to other lists.
    usual = type(optimiser).load_state_dict is Optimizer.load_state_dict
    optimiser.load_state_dict({**found, "state": {}} if usual else found)
    live = dict(enumerate(parameters))
    optimiser.state.clear()
    optimiser.state.update({live.get(key, key): slots for key, slots in found["state"].items()})
    for number, group in enumerate(found["param_groups"]):
        own = optimiser.param_groups[number]
        own.update({name: value for name, value in group.items() if name != "params"})
        unpacker.known[f"param_groups/{number}"] = own
    unpacker.known |= {"state": optimiser.state, "param_groups": optimiser.param_groups}
    for name, value in plain["attributes"].items():
        setattr(optimiser, name, unpacker.unpack(value, f"attribute {name}"))


def place_numbers(optimiser: Optimizer, group: Mapping[str, Any], *, on_cpu: bool) -> None:
    """Let the numbers in the state of the parameters of a `group` be on the CPU, or beside these.

    They are tensors without dimensions, such as the count of steps.
    """
    for parameter in group["params"]:
        slots = optimiser.state.get(parameter, {})
        for name, slot in slots.items():
            if isinstance(slot, Tensor) and not slot.dim():
                slots[name] = slot.to("cpu" if on_cpu else parameter.device)


class _Packer:
    """Takes values apart; `known` is where each object was found first, by its identity."""

    def __init__(
        self, owner: str, parameters: Sequence[Tensor], network: nn.Module | None = None
    ) -> None:
        self.owner = owner
        self.parameters = {id(p): number for number, p in enumerate(parameters)}
        modules = network.named_modules() if network is not None else ()
        self.modules = {id(module): name for name, module in modules}
        buffers = network.named_buffers() if network is not None else ()
        self.buffers = {id(buffer): name for name, buffer in buffers}
        self.memory: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.known: dict[int, str] = {}
        self.tensors: dict[str, Tensor] = {}
        self.live: set[str] = set()  # the tensors that are no copies
        self.kept: list[object] = []  # so that no identity is given to another object meanwhile
        for parameter in parameters:
            self.memory[parameter.untyped_storage().data_ptr()].append(_range(parameter))

    def pack(self, value: Any, path: str) -> Any:
        """`value`, which stands at `path`, as JSON."""
        if value is None or isinstance(value, bool):
            return value
        for number in (int, float, str):
            if isinstance(value, number):  # without a type of its own, such as NumPy's float64
                return number(value)
        if id(value) in self.parameters:
            return {"parameter": self.parameters[id(value)]}
        if id(value) in self.modules:
            return {"module": self.modules[id(value)]}
        if id(value) in self.buffers:
            return {"buffer": self.buffers[id(value)]}
        if id(value) in self.known:
            return {"same": self.known[id(value)]}
        self.known[id(value)] = path
        self.kept.append(value)
        kind = type(value)
        if kind in (Tensor, nn.Parameter):
            return self._tensor(value, path)
        if isinstance(value, nn.Module) and path.count("/") == 1:
            return {"network": path, "tied": self._network(value, path)}
        if kind in (list, tuple, deque):
            items = [self.pack(one, f"{path}/{number}") for number, one in enumerate(value)]
            most = {"most": value.maxlen} if kind is deque else {}
            return {kind.__name__: items, **most}
        if kind is dict:
            odd = {type(key).__name__ for key in value if not isinstance(key, str | int)}
            if odd or len({str(key) for key in value}) < len(value):
                of = f"of the type {', '.join(sorted(odd))}" if odd else "that are spelt alike"
                raise self._refused(path, f"has keys {of}")
            return {"dict": [[key, self.pack(one, _in(path, key))] for key, one in value.items()]}
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
            self.tensors[path] = torch.from_numpy(np.array(value))
            return {"numpy": path, "scalar": isinstance(value, np.generic)}
        if kind is torch.Generator:
            self.tensors[path] = value.get_state()
            return {"generator": path, "cpu": value.device.type == "cpu"}
        raise self._refused(path, f"is of the type {kind.__name__}")

    def _network(self, network: nn.Module, path: str) -> dict[str, str]:
        """Of each entry of `network` that is another one of it as well, which that is."""
        first: dict[tuple[Any, ...], str] = {}
        tied = {}
        for name, one in network.state_dict().items():
            place = (one.data_ptr(), one.shape, one.stride())
            if one.numel() and place in first:
                tied[name] = first[place]
                continue
            first[place] = name
            self.pack(one.detach(), f"{path}/{name}")
        return tied

    def _tensor(self, value: Tensor, path: str) -> Any:
        if value.layout is not torch.strided or value.is_quantized or value.is_complex():
            raise self._refused(path, "is a tensor that is sparse, quantised or complex")
        others = self.memory[value.untyped_storage().data_ptr()]
        first, end = _range(value)
        if first and any(first < theirs and start < end for start, theirs in others):
            # They would no longer do so, once they came back.
            raise self._refused(path, "shares memory with a parameter or another tensor")
        others.append((first, end))
        self.tensors[path] = value.detach()
        self.live.add(path)
        stride = torch.empty_like(value).stride()
        return {"tensor": path, "stride": list(stride), "cpu": value.device.type == "cpu"}

    def _refused(self, path: str, what: str) -> UserError:
        return UserError(
            f"{self.owner}: {path} {what}, which cannot be saved, so that a "
            "stage that was ended could not go on as if it had not; let it keep numbers, "
            "texts, and tensors with memory of their own, alone or in lists, tuples and dicts"
        )


class _Unpacker:
    """Puts together what a `_Packer` took apart; `known` are the objects by their place."""

    def __init__(
        self,
        parameters: list[Tensor],
        tensors: Mapping[str, Tensor],
        follow: bool,
        network: nn.Module | None = None,
    ) -> None:
        self.parameters = parameters
        self.network = network
        self.tensors = tensors
        self.follow = follow
        self.known: dict[str, Any] = {}

    def unpack(self, plain: Any, path: str) -> Any:
        """The value that stood at `path`."""
        if not isinstance(plain, dict):
            return plain
        if "parameter" in plain:
            return self.parameters[plain["parameter"]]
        if "module" in plain:
            assert self.network is not None
            return self.network.get_submodule(plain["module"])
        if "buffer" in plain:
            assert self.network is not None
            return self.network.get_buffer(plain["buffer"])
        if "same" in plain:
            return self.known[plain["same"]]
        self.known[path] = self._made(plain, path)
        return self.known[path]

    def _made(self, plain: dict[str, Any], path: str) -> Any:
        beside = self.parameters[0].device
        device = torch.device("cpu") if plain.get("cpu", True) else beside
        if "tensor" in plain:
            stored = self.tensors[plain["tensor"]]
            device = beside if self.follow and stored.dim() else device
            # In the memory order that it had, as if it had never left: vectorised kernels round by
            # position.
            order = torch.empty_strided(
                stored.shape, plain["stride"], dtype=stored.dtype, device=device
            )
            return order.copy_(stored)
        if "numpy" in plain:
            array = self.tensors[plain["numpy"]].numpy().copy()
            return array[()] if plain["scalar"] else array
        if "generator" in plain:
            generator = torch.Generator(device)
            generator.set_state(self.tensors[plain["generator"]])
            return generator
        if "dict" in plain:
            return {key: self.unpack(one, _in(path, key)) for key, one in plain["dict"]}
        ((name, items),) = ((name, plain[name]) for name in ("list", "tuple", "deque")
                            if name in plain)  # fmt: skip
        made: Iterable[Any] = (self.unpack(one, f"{path}/{n}") for n, one in enumerate(items))
        if name == "deque":
            return deque(made, plain["most"])
        return list(made) if name == "list" else tuple(made)


def _range(tensor: Tensor) -> tuple[int, int]:
    """Where `tensor` begins and ends in memory; the same where it is empty."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    last = sum((size - 1) * step for size, step in steps) if tensor.numel() else -1
    return tensor.data_ptr(), tensor.data_ptr() + (last + 1) * tensor.element_size()


def _in(path: str, key: object) -> str:
    return f"{path}/{key}" if path else str(key)


def _parameters(optimiser: Optimizer) -> list[Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


@functools.cache
def _of_every_optimiser() -> frozenset[str]:
    """The attributes that torch gives every optimiser, or every one of a kind."""
    return frozenset(vars(Optimizer([nn.Parameter(torch.zeros(1))], {}))) | {*OF_FUSED_RULES}
