"""Measuring a command, and telling where and of what it was measured."""

from __future__ import annotations

import csv
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]

UNIT_OF_PEAK = 1 if sys.platform == "darwin" else 1024
"""Bytes in which the system counts the memory of a process that ended."""


@dataclass(frozen=True)
class Cost:
    """What a command took: wall time, time on the CPU, and the most memory at once.

    The memory is that of the largest process, in units of 1e6 bytes; it is never told as less than
    what the measuring process itself holds, which is why that one should stay small.
    """

    seconds: float
    cpu_seconds: float
    megabytes: float


def cost_of(command: Sequence[str]) -> tuple[Cost, str]:
    """Run `command` in the project's folder; returns its cost and what it printed.

    Raises `RuntimeError` with what it printed where it fails.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=printed, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        text = printed.read()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{text}")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Cost(seconds, cpu_seconds, usage.ru_maxrss * UNIT_OF_PEAK / 1e6), text


def least(costs: Iterable[Cost]) -> Cost:
    """The least of each: what else runs on a machine makes a command slower, never faster."""
    costs = list(costs)
    return Cost(
        min(cost.seconds for cost in costs),
        min(cost.cpu_seconds for cost in costs),
        min(cost.megabytes for cost in costs),
    )


def circumstances(*packages: str) -> str:
    """A line on the machine, Python and the versions of `packages`."""
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{package} {version(package)}" for package in packages]
    return f"{_processor()}; {', '.join(versions)}"


def _processor() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return f"{cores} cores, {platform.machine()}"
    found = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    return f"{cores} cores, {found[1].strip() if found else platform.machine()}"


def markdown(rows: Sequence[Mapping[str, object]]) -> str:
    """`rows`, which share their keys, as a table in Markdown; numbers to the right."""
    heads = list(rows[0])
    numbers = [any(isinstance(row[head], int | float) for row in rows) for head in heads]
    sides = ["---:" if number else "---" for number in numbers]
    cells = [heads, sides, *([_spelt(row[head]) for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _spelt(value: object) -> str:
    if isinstance(value, float):
        if 0 < value < 1:
            return f"{value:.2g}"
        return f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def tell(
    rows: Sequence[Mapping[str, object]], where: str, output: Path | None, below: str = ""
) -> None:
    """Print `where` and the table of `rows`; write them to `output` as CSV or Markdown.

    What stands `below` the table is left out of a CSV file.
    """
    text = f"{where}\n\n{markdown(rows)}\n" + (f"\n{below}\n" if below else "")
    print(text)
    if output is None:
        return
    if output.suffix == ".csv":
        with open(output, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [*rows[0], "where"])
            writer.writeheader()
            writer.writerows({**row, "where": " ".join(where.split())} for row in rows)
    else:
        output.write_text(text, encoding="utf-8")
