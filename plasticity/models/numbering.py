"""The numbered modules of a network: which they are, their names, and their part of the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from plasticity.core.errors import UserError


@dataclass(frozen=True)
class NumberedModule:
    """One of the modules that a start draws anew: its name, and the `entries` of the state."""

    name: str
    module: nn.Module
    entries: tuple[str, ...]


def numbered_modules(
    network: nn.Module, names: Sequence[str] | None = None
) -> tuple[NumberedModule, ...]:
    """The modules of `network` from the input to the output, each with its part of the state.

    They are what its attribute `numbered` holds, a sequence of modules or a mapping of names to
    them; else its submodules called `names`, such as ``layer1`` or ``blocks.0``; else its children
    that have a state, in their order, or those of an only child. Beside `numbered`, `names` are
    what the modules are called. What belongs to none of them, such as a class token, goes with the
    module before it in the order of the state, or else with the first. Raises `UserError`.
    """
    given = getattr(network, "numbered", None)
    if given is not None:
        modules = _given(network, given)
        if names is not None and len(names) == len(modules):
            modules = dict(zip(names, modules.values(), strict=True))
    elif names is not None:
        modules = {name: _submodule(network, name) for name in names}
    else:
        modules = _children(network)
    if not modules:
        raise UserError(
            f"network {type(network).__name__}: has no module with parameters; nothing of it "
            "could be trained"
        )
    return tuple(
        NumberedModule(name, module, entries)
        for (name, module), entries in zip(
            modules.items(), _entries(network, list(modules.values())), strict=True
        )
    )


def has_state(module: nn.Module) -> bool:
    """Whether it has parameters or buffers that are stored, its own or those of its submodules."""
    return any(isinstance(value, Tensor) for value in _state(module).values())


def _state(module: nn.Module) -> dict[str, Any]:
    return dict(module.state_dict(keep_vars=True))


def _given(network: nn.Module, given: object) -> dict[str, nn.Module]:
    """The modules of the attribute `numbered`, by name."""
    if isinstance(given, nn.ModuleDict | Mapping):
        modules = dict(given.items())
    elif isinstance(given, nn.ModuleList | nn.Sequential | Sequence):
        modules = _by_name([(str(number), module) for number, module in enumerate(given)])
    else:
        modules = {}
    inside = {id(module) for module in network.modules()}
    if not modules or not all(id(module) in inside for module in modules.values()):
        raise UserError(
            f"network {type(network).__name__}: numbered holds {type(given).__name__}; expected a "
            "list of modules that are submodules of the network, or a mapping of names to them"
        )
    return modules


def _submodule(network: nn.Module, name: str) -> nn.Module:
    try:
        return network.get_submodule(name)
    except AttributeError:
        known = ", ".join(name for name, _ in network.named_children())
        raise UserError(
            f"network {type(network).__name__}: its facts name the module {name!r}, and there is "
            f"none; its children are {known}, and theirs are spelt as in layer1.0"
        ) from None


def _children(network: nn.Module) -> dict[str, nn.Module]:
    """The children that have a state, of the first of its submodules that has more than one."""
    while True:
        children = [(name, one) for name, one in network.named_children() if has_state(one)]
        if len(children) != 1 or not any(has_state(one) for one in children[0][1].children()):
            break
        network = children[0][1]
    if not children and has_state(network):
        children = [("0", network)]
    return _by_name(children)


def _by_name(modules: Sequence[tuple[str, nn.Module]]) -> dict[str, nn.Module]:
    """By their names; those that have a number alone by this and what they are."""
    return {
        f"{name} {type(module).__name__}" if name.isdigit() else name: module
        for name, module in modules
    }


def _entries(network: nn.Module, modules: Sequence[nn.Module]) -> list[tuple[str, ...]]:
    """The names of what each of `modules` has of the state of `network`: of all of it."""
    number_of = {id(module): number for number, module in enumerate(modules)}
    prefixes = {
        f"{path}." if path else "": number_of[id(module)]
        for path, module in network.named_modules(remove_duplicate=False)
        if id(module) in number_of
    }
    entries: list[list[str]] = [[] for _ in modules]
    current = 0
    for name, value in _state(network).items():
        if not isinstance(value, Tensor):
            continue
        owners = [prefix for prefix in prefixes if name.startswith(prefix)]
        if owners:
            current = prefixes[max(owners, key=len)]
        entries[current].append(name)
    return [tuple(names) for names in entries]
