"""Break each function of the library, one at a time: where a number moves, a digest must move.

    python tests/mutations.py [--sample N] [--only TEXT ...] [--workers N]

A function is broken in a copy of the library: it returns something else. A few tiny runs are made
with it, and compared to those of the library as it is. A break that raises an error moves no
number. Ends with status 1 where a number of a run moves and all components of its code stay. All
functions take half an hour on two cores; the tests take a few.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mutating.breaking import Function, functions_in
from mutating.looking import look

ROOT = Path(__file__).parents[1]
PLACES = ("core", "runs", "data", "models", "measures", "interventions", "training", "observe")
"""Packages whose functions are broken. What tables and figures say has digests of another kind."""

PATIENCE = 30
"""Seconds of computing after which runs, which take one or two, are given up: a loop has no end."""

Looks = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """What became of the runs when `function` was broken: an `error`, or which of their numbers
    `moved`, and those of which the code stayed the same, `unnoticed`.
    """

    function: Function
    error: str = ""
    moved: tuple[str, ...] = ()
    unnoticed: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.unnoticed:
            return f"UNNOTICED {self.function}: {', '.join(self.unnoticed)}"
        return f"{self.word:<9} {self.function} {self.error}".rstrip()

    @property
    def word(self) -> str:
        """The outcome in a word."""
        return "UNNOTICED" if self.unnoticed else "error" if self.error else self._moved

    @property
    def _moved(self) -> str:
        return "moved" if self.moved else "same"


class Copy:
    """A copy of the library, in which a function is broken for a process that looks at runs.

    The process is forked from this one, which has imported torch and not the library.
    """

    def __init__(self, place: Path) -> None:
        self.place, self.answer = place, place / "answer.json"
        self.package = place / "plasticity"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "plasticity", self.package, ignore=ignored)
        shutil.copytree(ROOT / "workflow", place / "workflow")
        self.whole: dict[Path, str] = {}

    def begin(self, function: Function | None) -> int:
        """Look at the runs with the `function` broken; returns the process that does."""
        assert not any(name.split(".")[0] == "plasticity" for name in sys.modules)
        if function:
            file = self.package / function.file
            self.whole[file] = file.read_text(encoding="utf-8")
            function.break_in(self.package)
        if child := os.fork():
            return child
        resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, PATIENCE))
        signal.alarm(20 * PATIENCE)  # where it waits for something
        try:
            self._look()
        finally:
            os._exit(1)

    def _look(self) -> NoReturn:
        sys.path[:0] = [str(self.place)]
        sys.dont_write_bytecode = True
        with (
            open(os.devnull, "wb") as nowhere,
            tempfile.TemporaryDirectory() as folder,
        ):
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            try:
                text, status = json.dumps(look(Path(folder))), 0
            except BaseException as error:
                text, status = f"{type(error).__name__}: {error}"[:300], 1
        self.answer.write_text(text, encoding="utf-8")
        os._exit(status)

    def end(self, status: int) -> Looks | str:
        """What a process that ended with `status` has seen, or the error; all is whole again."""
        text = self.answer.read_text(encoding="utf-8") if self.answer.exists() else ""
        self.answer.unlink(missing_ok=True)
        for file, content in self.whole.items():
            file.write_text(content, encoding="utf-8")
        self.whole.clear()
        if status:
            return text or f"ended with status {status}"
        found: Looks = json.loads(text)
        return found


def compared(function: Function, usual: Looks, other: Looks | str) -> Outcome:
    """What breaking `function` has done."""
    if isinstance(other, str):
        return Outcome(function, error=other)
    moved = [name for name in usual if usual[name]["numbers"] != other[name]["numbers"]]
    same = [name for name in moved if usual[name]["components"] == other[name]["components"]]
    return Outcome(function, moved=tuple(moved), unnoticed=tuple(same))


def outcomes(functions: Sequence[Function], workers: int) -> Iterator[Outcome]:
    """What breaking each of `functions` does, with so many processes at a time."""
    import pyarrow.parquet  # noqa: F401
    import safetensors.torch  # noqa: F401
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        copies = [Copy(Path(folder) / str(number)) for number in range(workers)]
        looks = looked_at([None, None], copies)
        (_, usual), (_, again) = looks
        if isinstance(usual, str) or usual != again:
            raise RuntimeError(f"the library as it is differs from itself or fails: {usual}")
        for function, other in looked_at(functions, copies):
            assert function
            yield compared(function, usual, other)


def looked_at(
    functions: Sequence[Function | None], free: list[Copy]
) -> Iterator[tuple[Function | None, Looks | str]]:
    """Each of `functions` with what is seen where it is broken, as they come to an end."""
    waiting, running = list(functions), {}
    while waiting or running:
        while waiting and free:
            copy, function = free.pop(), waiting.pop(0)
            running[copy.begin(function)] = copy, function
        child, status = os.wait()
        copy, function = running.pop(child)
        free.append(copy)
        yield function, copy.end(status)


def main() -> int:
    """Break what the command line asks for; returns the status to end with."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, help="so many functions, drawn at random")
    parser.add_argument("--only", nargs="+", default=[""], help="functions of these files or names")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    asked = parser.parse_args()
    functions = functions_in(ROOT / "plasticity", *PLACES)
    functions = [one for one in functions if any(text in str(one) for text in asked.only)]
    if asked.sample:
        functions = random.Random(asked.seed).sample(functions, asked.sample)
    counts: Counter[str] = Counter()
    for outcome in outcomes(functions, asked.workers):
        print(outcome, flush=True)
        counts[outcome.word] += 1
    print(", ".join(f"{word}: {count}" for word, count in sorted(counts.items())))
    return int(bool(counts["UNNOTICED"]))


if __name__ == "__main__":
    sys.exit(main())
