"""Warm starts, plasticity and the early phase of training, as chains of training stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from plasticity.notebook import Loaded


def load(path: str | PathLike[str]) -> Loaded:
    """A finished run, for a notebook: see `plasticity.notebook.Loaded`.

    `path` is its metrics.parquet, its checkpoint.safetensors or the folder of both. Raises
    `plasticity.core.errors.UserError`.
    """
    from plasticity import notebook  # with torch and pandas

    return notebook.load(path)
