"""The hidden units of a network: what each one's weights are, read off the network by torch.fx."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from plasticity.core.errors import UserError
from plasticity.models.network import Foreign, Network
from plasticity.models.resnet import Head, Output, StridedPointwise
from plasticity.models.undo import put_back
from plasticity.models.vgg import Halving

LAYERS = (nn.Conv2d, nn.Linear, StridedPointwise, Output, Head)
"""What has a row of weights for each unit that it makes and a column for each that it reads.

With the forward pass of one of these: a layer with another one may do something else with them.
"""

ACTIVATIONS = {
    *("relu", "relu6", "leakyrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "tanh"),
    *("sigmoid", "softplus", "hardtanh", "hardswish", "hardsigmoid"),
}
"""Modules, functions and methods that act on each entry alone, in lower case, without `_`."""

KEEPING = {
    *("identity", "contiguous", "dropout", "dropout2d", "halving"),
    *("maxpool2d", "avgpool2d", "adaptivemaxpool2d", "adaptiveavgpool2d"),
}
"""The same of what leaves units where they are: pooling over positions, and dropout."""


@dataclass(frozen=True)
class UnitLayer:
    """Hidden units: the rows of `incoming` make them, the columns of `outgoing` read them.

    Of `outgoing` alone, behind an activation, and a normalisation before that, where
    `normalisation` is its path; else it is empty. `incoming` and `outgoing` are paths as well.
    `outgoing` is given units along `axis` of its input, each with `spread` columns in a row, of the
    positions of an image that was flattened, and all of it `halves` times, twice after CReLU.
    """

    network: nn.Module
    incoming: str
    normalisation: str
    outgoing: str
    axis: int
    halves: int = 1
    spread: int = 1

    @property
    def units(self) -> int:
        """How many there are."""
        return len(self._weight(self.incoming))

    @property
    def reader(self) -> nn.Module:
        """The module that reads them: its input are their activations."""
        return self.network.get_submodule(self.outgoing)

    @property
    def outgoing_weight(self) -> Tensor:
        """The weight whose `columns` read them."""
        return self._weight(self.outgoing)

    def rows(self) -> Iterator[tuple[str, Tensor]]:
        """What makes them, by its name in the network, each with the units first.

        Weights and biases, scales and shifts, and running statistics.
        """
        for path in filter(None, (self.incoming, self.normalisation)):
            module = self.network.get_submodule(path)
            for name, value in (*module.named_parameters(), *module.named_buffers()):
                if value.shape[:1] == (self.units,):
                    yield f"{path}.{name}", value

    def columns(self, weight: Tensor) -> Tensor:
        """A view of `weight`, of the shape of `outgoing_weight`, by unit.

        [units, outputs, halves, spread, ..].
        """
        columns = weight.unflatten(1, (self.halves, self.units, self.spread))  # type: ignore[no-untyped-call]
        return columns.movedim(2, 0)  # type: ignore[no-any-return]

    def magnitudes(self, given: Tensor, images: int) -> Tensor:
        """The mean of |a| over a batch of so many `images` and positions, of the input `given`.

        That of `outgoing`. By unit and column, float32 [units, halves, spread]. Raises `UserError`
        where channels were flattened into other rows than one an image, as `view(-1, 16)` can.
        """
        from_image = isinstance(self.network.get_submodule(self.incoming), nn.Conv2d)
        if from_image and self.axis == -1 and len(given) != images:
            raise UserError(
                f"network {type(self.network).__name__}: {self.outgoing} is given {len(given)} "
                f"rows for {images} images, so that none of its columns reads a unit of "
                f"{self.incoming} alone; flatten by flatten(1), or leave out methods on units"
            )
        entries = given.movedim(self.axis, -1).flatten(0, -2).abs()
        means = entries.mean(0, dtype=torch.float32)
        return means.view(self.halves, self.units, self.spread).movedim(1, 0)

    def _weight(self, path: str) -> Tensor:
        return self.network.get_parameter(f"{path}.weight")


def unit_layers(network: Network) -> tuple[UnitLayer, ...]:
    """The layers of hidden units of `network`, from the input to the output.

    Between `incoming` and `outgoing` are at most a normalisation, then at least one activation that
    acts on each entry alone, and pooling, means over positions, flattening and dropout; each value
    has one user. So units are all hidden layers of plain networks, in residual ones the channels
    within a block, and in transformers the hidden layer behind the attention. What a residual
    stream holds is no unit: many layers write and read it. Left out are also layers that are used
    twice, frozen, or computed from other parameters, and the reader of units in groups. Of a module
    that torch.fx cannot follow, as it asks for values or sizes, the modules within are followed one
    by one: what passes from one to another is not found.

    Group and layer normalisation hold units together, so that others see through the common mean
    and deviation what a unit's rows are. Raises `UserError` where no unit is found.
    """
    root: nn.Module = network.network if isinstance(network, Foreign) else network
    unknown: dict[str, str] = {}
    found: list[UnitLayer] = []
    for prefix, graph in _graphs(root, "network." if isinstance(network, Foreign) else "", unknown):
        finder = _Finder(network, prefix, graph)
        found += [layer for node in graph.nodes if (layer := finder.layer(node))]
    if not found:
        kind, reason = next(iter(unknown.items()), ("", ""))
        raise UserError(
            f"network {type(root).__name__}: no hidden units are known of it: no convolution or "
            "linear layer whose outputs, normalised or not, pass an activation to one other layer "
            "alone"
            + (f" (torch.fx cannot follow the forward pass of {kind}: {reason})" if unknown else "")
            + "; leave out methods that act on units"
        )
    order = {name: place for place, (name, _) in enumerate(network.named_modules())}
    return tuple(sorted(found, key=lambda layer: order[layer.incoming]))


@torch.no_grad()
def activity(network: nn.Module, layers: Sequence[UnitLayer], images: Tensor) -> list[Tensor]:
    """The `magnitudes` of each of `layers` on `images`, [n, c, h, w], in the mode of `network`.

    In float32. Buffers, such as running statistics, stay as they are.
    """
    seen: dict[str, Tensor] = {}

    def keep(layer: UnitLayer) -> Any:
        def hook(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            seen[layer.outgoing] = layer.magnitudes(given[0], len(images))

        return hook

    hooks = [layer.reader.register_forward_pre_hook(keep(layer)) for layer in layers]
    try:
        with put_back(list(network.buffers())):
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [seen[layer.outgoing] for layer in layers]


def _graphs(
    module: nn.Module, prefix: str, unknown: dict[str, str]
) -> Iterator[tuple[str, fx.Graph]]:
    """The operations of `module`, and of the modules in it that cannot be followed with it.

    Each with what stands before the names of its modules. `unknown` is filled with what cannot be
    followed, and why.
    """
    tracer = _Tracer()
    try:
        yield prefix, tracer.trace(module)
        rest = tracer.unknown
    except Exception as error:  # whatever a forward pass does with what is no tensor yet
        unknown[type(module).__name__] = (str(error).strip() or repr(error)).splitlines()[0]
        rest = [name for name, _ in module.named_children()]
    for name in rest:
        yield from _graphs(module.get_submodule(name), f"{prefix}{name}.", unknown)


class _Tracer(fx.Tracer):
    """Follows layers one by one; a module that cannot be followed counts as one operation.

    Such modules are `unknown`, by their paths.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unknown: list[str] = []

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, (*LAYERS, Halving)) or super().is_leaf_module(module, name)

    def call_module(
        self, module: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        before = len(self.graph.nodes)
        try:
            return super().call_module(module, forward, args, kwargs)
        except Exception:  # such as a length that is asked for, or a choice by a value
            for node in reversed(list(self.graph.nodes)[before:]):
                self.graph.erase_node(node)
            path = self.path_of_module(module)
            self.unknown = [name for name in self.unknown if not name.startswith(f"{path}.")]
            self.unknown += [path] if path not in self.unknown else []
            return self.create_proxy("call_module", path, args, kwargs)


class _Finder:
    """Finds the units that an operation of `graph` makes, if it does."""

    def __init__(self, network: nn.Module, prefix: str, graph: fx.Graph) -> None:
        self.network, self.prefix = network, prefix
        self.modules: Mapping[str, nn.Module] = dict(network.named_modules(remove_duplicate=False))
        self.parameters = dict(network.named_parameters(remove_duplicate=False))
        distinct = network.modules()
        self.owners = Counter(id(p) for one in distinct for p in one._parameters.values())
        # What a forward pass reads of a layer without calling it.
        self.read = {
            id(self.parameters[prefix + str(node.target)])
            for node in graph.nodes
            if node.op == "get_attr" and prefix + str(node.target) in self.parameters
        }
        self.calls = Counter(
            id(self.modules[prefix + str(node.target)])
            for node in graph.nodes
            if node.op == "call_module"
        )

    def layer(self, node: fx.Node) -> UnitLayer | None:
        """The units that `node` makes."""
        module = self._module(node)
        if module is None or not self._usable(module):
            return None
        axis = 1 if isinstance(module, nn.Conv2d) else -1
        made = UnitLayer(self.network, self._path(node), "", "", axis)
        active = False
        while (user := _only_user(node)) is not None:
            module, word = self._module(user), self._word(user)
            if len(_users(node)) == 2:
                made, active = replace(made, halves=2 * made.halves), True
            elif module is not None and type(module).forward in _forwards():
                return self._read(made, user, module) if active else None
            elif isinstance(module, _BatchNorm | nn.GroupNorm | nn.LayerNorm):
                if active or made.normalisation or not self._normalises(made, module):
                    return None
                made = replace(made, normalisation=self._path(user))
            elif word in ACTIVATIONS:
                active = True
            elif _flattens(word, user, module):
                made = replace(made, axis=-1)
            elif word not in KEEPING:
                return None
            node = user
        return None

    def _read(self, made: UnitLayer, node: fx.Node, reader: nn.Module) -> UnitLayer | None:
        """The units `made` so far, which `reader` reads; None where it does so in another way."""
        if not self._usable(reader) or getattr(reader, "groups", 1) > 1:
            return None
        if isinstance(reader, nn.Conv2d | Head) != (made.axis == 1):
            return None
        read = replace(made, outgoing=self._path(node))
        spread, left = divmod(read.outgoing_weight.shape[1], made.units * made.halves)
        from_image = isinstance(self.network.get_submodule(made.incoming), nn.Conv2d)
        flat = from_image and made.axis == -1
        return replace(read, spread=spread) if not left and (spread == 1 or flat) else None

    def _usable(self, layer: nn.Module) -> bool:
        """Whether `layer` is one of `LAYERS`, used once, with a weight of its own."""
        weight = layer._parameters.get("weight")
        return (
            type(layer).forward in _forwards()
            and weight is not None
            and weight.requires_grad
            and self.owners[id(weight)] == 1
            and self.calls[id(layer)] == 1
            and id(weight) not in self.read
        )

    def _normalises(
        self, made: UnitLayer, module: _BatchNorm | nn.GroupNorm | nn.LayerNorm
    ) -> bool:
        """Whether `module` has, of each of the units `made`, entries of its own, if any."""
        if self.calls[id(module)] > 1:
            return False
        if isinstance(module, nn.LayerNorm):  # over the last axis, which of images is the width
            return made.axis == -1 and module.normalized_shape == (made.units,)
        entries = module.num_channels if isinstance(module, nn.GroupNorm) else module.num_features
        return entries == made.units

    def _path(self, node: fx.Node) -> str:
        return self.prefix + str(node.target)

    def _module(self, node: fx.Node) -> nn.Module | None:
        return self.modules[self._path(node)] if node.op == "call_module" else None

    def _word(self, node: fx.Node) -> str:
        """What `node` does, as `ACTIVATIONS` and `KEEPING` spell it."""
        module = self._module(node)
        if module is not None:
            known = type(module).__module__.startswith("torch.nn.") or isinstance(module, Halving)
            return type(module).__name__.lower() if known else ""
        word = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        return word.replace("_", "").lower()


def _forwards() -> set[Any]:
    return {layer.forward for layer in LAYERS}


def _users(node: fx.Node) -> list[fx.Node]:
    """The users of what `node` gives, but for those that ask for its shape."""
    return [user for user in node.users if not _asks_for_shape(user)]


def _asks_for_shape(node: fx.Node) -> bool:
    by_method = node.op == "call_method" and node.target == "size"
    return by_method or (node.target is getattr and node.args[1] == "shape")


def _only_user(node: fx.Node) -> fx.Node | None:
    """The one user of `node`, or what puts the two halves of CReLU together, if there is one."""
    users = _users(node)
    if len(users) == 1:
        return users[0]
    if len(users) != 2:
        return None
    rest = [_users(user) for user in users]
    negated = [after[0] for user, after in zip(users, rest, strict=True)
               if _is(user, "neg") and len(after) == 1]  # fmt: skip
    positive = [user for user in users if _is(user, "relu")]
    if len(negated) != 1 or len(positive) != 1 or not _is(negated[0], "relu"):
        return None
    joined = [_users(half) for half in (positive[0], negated[0])]
    together = joined[0] == joined[1] and len(joined[0]) == 1 and _is(joined[0][0], "cat")
    return joined[0][0] if together else None


def _is(node: fx.Node, name: str) -> bool:
    return node.op == "call_function" and getattr(node.target, "__name__", "") == name


def _is_batch_size(size: object) -> bool:
    """Whether `size` is how many images there are: ``x.size(0)`` or ``x.shape[0]``."""
    if not isinstance(size, fx.Node):
        return False
    asked = size.op == "call_method" and size.target == "size"
    return (asked or _is(size, "getitem")) and size.args[1:] == (0,)


def _flattens(word: str, node: fx.Node, module: nn.Module | None) -> bool:
    """Whether `node` makes one row of features of each image, channel by channel."""
    if isinstance(module, nn.Flatten):
        return module.start_dim == 1 and module.end_dim == -1
    if module is not None:
        return False
    rest = [*node.args[1:], *node.kwargs.values()]
    if word == "flatten":
        return rest in ([1], [1, -1])
    if word in ("view", "reshape"):
        sizes = rest[0] if len(rest) == 1 and isinstance(rest[0], tuple | list) else rest
        # Whether there is a row an image, `magnitudes` finds out.
        return len(sizes) == 2 and (_is_batch_size(sizes[0]) or bool(sizes[0] == -1))
    axes = rest[0] if word in ("mean", "amax") and rest else ()
    return axes in ((2, 3), (-2, -1), [2, 3], [-2, -1])
