"""Freeze what a refactoring must not move, at any commit, and compare two freezes.

    python tests/freeze.py take [COMMIT] [--quick] [--output FILE]
    python tests/freeze.py compare A B [--quick]
    python tests/freeze.py accept A B

A commit is anything that git knows as one; `.` or `WORKTREE` are the files as they are now. A and B
may also be files that `take` wrote. What is missing is taken, and kept in `.freeze/` by commit.

A freeze holds, of a copy of the commit in which commands are run one after the other:

- numbers: all that studies leave when they are run, to the last bit: metrics, states, masks, data,
  splits, observations, tables, claims and the numbers below figures. Not wall times, not digests of
  code, no logs, pages and pictures;
- jobs: the files that each configuration would make, each with the rule that makes it;
- messages: the errors that tests provoke; sentences: all texts of three words or more in the code;
- components: the digest of the code of each component, where the commit tells them.

`compare` ends with status 1 where numbers, files or paths of runs differ. Other messages and other
names of rules, of tensors or of facts are listed and do not count. `accept` compares and, where
nothing moved, appends the digests of components to the table of those that are equivalent, so that
finished results stay.

Numbers are the same on one kind of processor with one version of the libraries only. `--quick`
takes two minutes a commit instead of half an hour.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import signal
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from freezing import comparing, dryruns, messages, studies
from freezing.checkouts import (
    ROOT,
    WORKTREE,
    Checkout,
    FreezeError,
    checkout,
    resolve,
    say,
)
from freezing.comparing import Freeze

CACHE = ROOT / ".freeze"
EQUIVALENCES = ROOT / "plasticity" / "pipeline" / "equivalences.csv"
HEADER = ("step", "component", "earlier digest", "digest")
NOT_RUN = (
    *("training/cuda_graphs.py", "core/gpus.py", "data/sources.py", "observe/calibration.py"),
    *(f"data/datasets/{name}.py" for name in ("cifar10", "cifar100", "svhn")),
)
"""Files that no freeze runs: GPUs, archives and other data sets, the speed of a machine."""
DIGESTS = "plasticity.pipeline.digests"
"""The module that prints the digest of each component as JSON."""

LIBRARIES = ("torch", "numpy", "scikit-learn", "pandas", "pyarrow", "snakemake")


def taken(commit: str, *, quick: bool) -> dict[str, Any]:
    """A freeze of `commit`; raises `FreezeError` where a command fails in it."""
    say(f"{'quick' if quick else 'full'} freeze of {commit}")
    began = time.monotonic()
    with checkout(commit) as place:
        found: dict[str, Any] = {
            "commit": commit,
            "quick": quick,
            "asked": studies.asked(),
            "machine": machine(),
            "components": components(place),
            "sentences": messages.sentences(place.project),
        }
        step = time.monotonic()
        found["jobs"] = dryruns.planned(place)
        studies.told("dry runs", step)
        step = time.monotonic()
        found["messages"] = messages.provoked(place, quick=quick)
        studies.told("messages", step)
        found["numbers"] = {
            execution.name: studies.numbers(place, execution)
            for execution in (studies.QUICK if quick else studies.FULL)
        }
    found["took"] = round(time.monotonic() - began)
    studies.told("altogether", began)
    return found


def machine() -> dict[str, str]:
    """What numbers depend on besides the code."""
    lines = (
        Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if sys.platform == "linux"
        else []
    )
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }


def components(place: Checkout) -> dict[str, str]:
    """The digest of each component of the library; none where the commit is older than these."""
    done = place.run("-m", DIGESTS)
    if done.returncode:
        say(f"{DIGESTS} fails: the commit is older than the digests of components")
        return {}
    found: dict[str, str] = json.loads(done.stdout)
    return found


def freeze_of(name: str, *, quick: bool) -> Freeze:
    """The freeze in the file `name`, or that of the commit `name`, taken where it is missing."""
    file = Path(name)
    if file.suffix == ".json" and file.is_file():
        found: Freeze = json.loads(file.read_text(encoding="utf-8"))
        if found["quick"] != quick:
            raise FreezeError(f"{name}: a {'full' if quick else 'quick'} freeze; ask for its kind")
        if found["asked"] != studies.asked():
            raise FreezeError(f"{name}: taken of other studies than this tool runs; take it anew")
        return found
    commit = resolve(name)
    kept = kept_in(commit, quick=quick)
    if commit != WORKTREE and kept.exists():
        known: Freeze = json.loads(kept.read_text())
        if known["asked"] == studies.asked():
            return known
    fresh = taken(commit, quick=quick)
    keep(fresh)
    return fresh


def kept_in(commit: str, *, quick: bool) -> Path:
    """Where the freeze of `commit` is kept."""
    return CACHE / f"{commit}-{'quick' if quick else 'full'}.json"


def keep(freeze: Freeze, output: Path | None = None) -> None:
    """Write `freeze` to `output`, if any, and among those of commits, which stay what they are."""
    if output:
        write(output, freeze)
    if freeze["commit"] != WORKTREE or not output:
        write(kept_in(freeze["commit"], quick=freeze["quick"]), freeze)


def write(file: Path, freeze: Freeze) -> None:
    """Write a freeze to `file`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(freeze, indent=0, sort_keys=True) + "\n", encoding="utf-8")


def report(a: Freeze, b: Freeze) -> bool:
    """Print how two freezes compare; whether anything moved that must not."""
    if a["machine"] != b["machine"]:
        print("Taken with other processors or libraries, so that numbers may differ for that:")
        print(f"  {a['machine']}\n  {b['machine']}")
    found = comparing.compared(a, b)
    print(f"{'what':<44} {'compared':>8}")
    for one in found:
        print(*one.lines(), sep="\n")
    moved = [one.what for one in found if one.moved]
    words = sum(len(one.differences) for one in found if not one.counts)
    print()
    print(f"MOVED: {', '.join(moved)}" if moved else "No number, file or run path has moved.")
    print(f"{words} differences in words and names.")
    return bool(moved)


def accept(a: Freeze, b: Freeze) -> None:
    """Note that the step from the code of `a` to that of `b` moved no number."""
    if not (a["components"] and b["components"]):
        raise FreezeError("a commit is older than the digests of components: nothing to accept")
    if a["quick"] or b["quick"]:
        raise FreezeError("a quick freeze runs too little of the code: accept without --quick")
    changes = changed(a["components"], b["components"])
    with EQUIVALENCES.open(encoding="utf-8", newline="") as file:
        known = list(csv.DictReader(file))
    step = 1 + max((int(row["step"]) for row in known), default=0)
    rows = [(step, *change) for change in changes if change[0] not in NOT_RUN]
    with EQUIVALENCES.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    print(f"{EQUIVALENCES.relative_to(ROOT)}: step {step}, {len(rows)} components")
    for name, *_ in changes:
        if name in NOT_RUN:
            print(f"not accepted, as no freeze runs it: {name}")


def changed(a: Mapping[str, str], b: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Each component that differs, with its digest in `a` and in `b`, empty where it is missing."""
    return [
        (name, a.get(name, ""), b.get(name, ""))
        for name in sorted({*a, *b})
        if a.get(name) != b.get(name)
    ]


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    assert __doc__
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    take = commands.add_parser("take", help="freeze a commit")
    take.add_argument("commit", nargs="?", default="HEAD")
    take.add_argument("--output", type=Path, help="where to write it besides .freeze/")
    compare = commands.add_parser("compare", help="compare two freezes or commits")
    accepts = commands.add_parser("accept", help="compare, and note equivalent digests")
    for command in (compare, accepts):
        command.add_argument("a")
        command.add_argument("b")
    for command in (take, compare, accepts):
        command.add_argument("--quick", action="store_true", help="less of everything")
    return parser.parse_args()


def main() -> int:
    """Do what was asked for; returns the status to end with."""
    asked = arguments()
    # As Ctrl-C does: the command at hand is ended and the temporary folder removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        if asked.command == "take":
            keep(taken(resolve(asked.commit), quick=asked.quick), asked.output)
            return 0
        a, b = (freeze_of(name, quick=asked.quick) for name in (asked.a, asked.b))
        moved = report(a, b)
        if asked.command == "accept":
            if moved:
                print("Refused: results of the first are not those of the second.")
                return 1
            accept(a, b)
        return int(moved)
    except FreezeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
