"""Torchvision imported beside a torch that its compiled part does not fit, whoever imports it.

A torch without CUDA beside a torchvision built for CUDA lacks two operators of torchvision's that
data sets and networks of classifiers never call; declaring them lets the import pass.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

NAME = "torchvision"
LACKING = f"{NAME}::nms"
"""What the error names where the compiled part was not loaded."""

_BOX = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[Any] = []
"""The definitions last as long as this library object."""


def mend() -> None:
    """Let torchvision be imported in this process. It is not imported yet, nor is torch."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds torchvision as Python does, to be imported as `_Loader` does."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname == NAME else None
        if spec and spec.origin and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    """Imports torchvision, with the operators declared where they are missing."""

    def exec_module(self, module: ModuleType) -> None:
        try:
            super().exec_module(module)
        except RuntimeError as error:
            if LACKING not in str(error) or _declared:
                raise
            _declare()
            super().exec_module(module)


def _declare() -> None:
    import torch

    library: Any = torch.library.Library(NAME, "DEF")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        library.define(f"{operator}{_BOX}")
    _declared.append(library)
