"""What workloads cost: images a second on a device, bytes and multiply-adds on any; and its files.

Told to the budget of a study by the jobs that measure and count it (pure: no torch).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from plasticity.core import files
from plasticity.core.errors import UserError
from plasticity.runs.workload import Workload


@dataclass(frozen=True)
class Throughput:
    """Images a second: in training, and in the evaluation after every epoch."""

    training: float
    evaluation: float


@dataclass(frozen=True)
class NetworkCost:
    """What a workload costs on any device.

    `multiply_adds` are those of one image's forward pass in matrices, convolutions and attention. A
    checkpoint takes `state` bytes, and `epoch` bytes for each epoch of its stage.
    """

    multiply_adds: int
    state: int
    epoch: int

    def checkpoint(self, epochs: int) -> int:
        """The bytes of a checkpoint whose stage lasted `epochs`."""
        return self.state + epochs * self.epoch


@dataclass(frozen=True)
class Calibration:
    """Throughput as it was measured, and where.

    `measured` is a time in UTC to the minute; `threads` are those of the CPU.
    """

    throughput: Mapping[Workload, Throughput]
    device_name: str
    precision: str
    threads: int
    measured: str

    def write(self, path: str | Path) -> None:
        """Write it to `path` as JSON."""
        measures = {str(workload): asdict(one) for workload, one in self.throughput.items()}
        _write(path, {**vars(self), "throughput": measures})

    @classmethod
    def read(cls, path: str | Path) -> Calibration:
        """The calibration in `path`; raises `UserError` where it is none."""
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
            measures = found.pop("throughput").items()
            return cls({Workload.parse(key): Throughput(**one) for key, one in measures}, **found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError) as error:
            raise _unreadable(path, error) from error


def write_networks(path: str | Path, networks: Mapping[Workload, NetworkCost]) -> None:
    """Write what `networks` cost to `path` as JSON."""
    _write(path, {str(workload): asdict(one) for workload, one in networks.items()})


def read_networks(path: str | Path) -> dict[Workload, NetworkCost]:
    """What is in `path`, as `write_networks` wrote it; raises `UserError`."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8")).items()
        return {Workload.parse(key): NetworkCost(**one) for key, one in found}
    except (OSError, ValueError, TypeError, AttributeError, UserError) as error:
        raise _unreadable(path, error) from error


def _write(path: str | Path, content: Mapping[str, object]) -> None:
    with files.whole(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _unreadable(path: str | Path, error: Exception) -> UserError:
    advice = "delete it and run again to measure it anew"
    return files.unreadable(path, f"not what was measured ({error})", advice)
