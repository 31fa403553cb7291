"""Files of tensors: written whole, and read only where their one checksum is right.

A file in the format of safetensors, so that nothing that is read is unpickled, with a header: what
the file says about itself, as JSON in its metadata. Tensors are NumPy's or torch's; torch is loaded
for its own alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open

from plasticity.core import files
from plasticity.core.errors import UserError

Framework = Literal["np", "pt"]
"""Whose tensors a file is read as: NumPy's or torch's."""

KEY = "plasticity"
"""Where the metadata of a file, of safetensors or parquet, hold its header. One key, as safetensors
promises no order between several."""


LACKED_BY_NUMPY = ("torch.bfloat16", "torch.float8_e4m3fn", "torch.float8_e5m2")
"""Types of torch's tensors, of those that a file may hold."""


def write(path: str | Path, tensors: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Write `tensors`, contiguous and on the CPU, with `header`, whole or not at all.

    `header` holds what JSON can, and its keys stay in their order. Raises `PlaceError` where the
    file cannot be written.
    """
    save: Any
    if all(isinstance(tensor, np.ndarray) for tensor in tensors.values()):
        from safetensors.numpy import save_file as save
    else:
        from safetensors.torch import save_file as save
    text = json.dumps({**header, "checksum": checksum(header, tensors)})
    with files.whole(path) as partial:
        save(dict(tensors), partial, metadata={KEY: text})


@dataclass(frozen=True)
class TensorFile:
    """An open file of tensors: its `header`, and what it holds when asked for."""

    path: str | Path
    header: dict[str, Any]
    _checksum: str
    _file: Any
    _advice: str

    def all(self) -> dict[str, Any]:
        """Every tensor by name; raises `UserError` where the checksum is wrong."""
        tensors = self.some(self._file.keys())
        if checksum(self.header, tensors) != self._checksum:
            raise UserError(f"{self.path}: damaged, its checksum is wrong; {self._advice}")
        return tensors

    def some(self, names: Sequence[str]) -> dict[str, Any]:
        """The tensors with these `names`, unchecked."""
        return {name: self._file.get_tensor(name) for name in names}


@contextmanager
def opened(
    path: str | Path, what: str, advice: str, framework: Framework = "pt"
) -> Iterator[TensorFile]:
    """The file of tensors in `path`, to be read within this block as what it was written with.

    Raises `UserError`, which says that `path` is not `what` and gives `advice`, where it cannot be
    read or lacks what the block looks for.
    """
    try:
        with safe_open(path, framework=framework) as file:
            header = json.loads(file.metadata()[KEY])
            found = header["checksum"]
            header = {name: value for name, value in header.items() if name != "checksum"}
            yield TensorFile(path, header, found, file, advice)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise files.unreadable(path, f"not a readable {what} ({error})", advice) from error


def read_header(path: str | Path) -> dict[str, Any]:
    """What a file of tensors says about itself, without reading these; raises `UserError`."""
    advice = "delete it and run again to make it anew"
    with opened(path, "file of tensors", advice, "np") as file:
        return file.header


def below(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `tensors` whose names begin with `prefix`, by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def checksum(header: Mapping[str, Any] | None, *parts: Mapping[str, Any]) -> str:
    """A SHA-256 over a header and the names, types, shapes and values of tensors on the CPU.

    The order of keys and names does not matter.
    """
    digest = hashlib.sha256()
    if header is not None:
        digest.update(json.dumps(header, sort_keys=True).encode())
    for tensors in parts:
        for name, tensor in sorted(tensors.items()):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(_bytes_of(tensor))
    return digest.hexdigest()


def _bytes_of(tensor: Any) -> memoryview:
    """The values of `tensor` as they lie in memory, in the order of the indices."""
    if str(tensor.dtype) in LACKED_BY_NUMPY:
        import torch

        tensor = tensor.contiguous().view(-1).view(torch.uint8)
    return np.ascontiguousarray(tensor).data
