"""Every case of a folder of reported inputs, run and compared with what should happen.

    python tests/cases.py FOLDER [NAME ...]

FOLDER holds ``data-and-code/<case>/``; a NAME is the beginning of a case's name. The cases, and
what is expected of each, are in `casework.table`. One table is printed; the status is 1 where one
differs.
A capability that is not there yet is listed as such and does not count. Each case runs Snakemake in
a temporary folder, two at a time.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from casework.bench import Bench
from casework.table import CASES, Case

NEVER = (
    "Traceback|NoneType|object is not|has no attribute|"
    r"\b(?:Type|Key|Value|Index|Attribute|Runtime|FileNotFound)Error\b"
)
"""Python's own words, which no user is to read."""


@dataclass(frozen=True)
class Outcome:
    """What became of a `case`: what differed from what was expected, and how long it took."""

    case: Case
    differences: list[str]
    seconds: float

    @property
    def word(self) -> str:
        """One word for the table."""
        if not self.differences:
            return "as expected"
        return "not yet" if self.case.is_capability else "DIFFERS"

    @property
    def counts(self) -> bool:
        """Whether it is a failure."""
        return bool(self.differences) and not self.case.is_capability


def tried(case: Case, folder: Path) -> Outcome:
    """Run the steps of `case`, whose inputs are below `folder`, in a temporary folder."""
    began, differences = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="case-") as scratch:
        bench = Bench(Path(scratch), folder, case.name, case.addition, case.rewritten)
        for number, step in enumerate(case.steps, 1):
            status, printed = bench.run(step)
            about = f"step {number}: " if len(case.steps) > 1 else ""
            if (status != 0) != step.fails:
                tail = " | ".join(printed.strip().splitlines()[-3:])[-300:]
                differences.append(f"{about}status {status}, it said: {tail}")
            wrong = [f"lacks /{text}/" for text in step.says if not re.search(text, printed)]
            for text in (NEVER, *step.never):
                if found := re.search(text, printed):
                    wrong.append(f"has {found[0]!r}")
            differences += [about + word for word in wrong]
    return Outcome(case, differences, time.monotonic() - began)


def main(arguments: Sequence[str]) -> int:
    """Run what the command line names and print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="holds data-and-code/<case>/")
    parser.add_argument("names", nargs="*", help="only cases whose names begin so")
    given = parser.parse_args(arguments)
    folder = (given.folder / "data-and-code").resolve()
    if not folder.is_dir():
        parser.error(f"{folder}: no such folder; name the one that holds data-and-code")
    names = tuple(given.names)
    chosen = [c for c in CASES if (folder / c.folder).is_dir() and c.title.startswith(names or "")]
    if not chosen:
        parser.error(f"{folder}: none of the cases is there")
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(2) as pool:
        for outcome in pool.map(lambda case: tried(case, folder), chosen):
            outcomes.append(outcome)
            title, seconds = outcome.case.title, outcome.seconds
            print(f"{title:<34} {seconds:5.0f} s  {outcome.word}", flush=True)
            for difference in outcome.differences:
                print(f"{'':<10}{difference}", flush=True)
    failures = sum(outcome.counts for outcome in outcomes)
    later = sum(outcome.word == "not yet" for outcome in outcomes)
    print(f"{len(outcomes)} cases, {failures} differ, {later} capabilities not there yet")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
