"""Two freezes side by side: what is equal, what differs, and what merely has another name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from freezing.contents import ABOUT, Items
from freezing.dryruns import Jobs, run_folders

Freeze = Mapping[str, Any]
"""What `freeze.taken` returns: see there."""

SHOWN = 20
"""So many differences of a kind are listed."""

LONGEST = 500
"""Characters of a difference: two values and the path of a run of some stages."""

MISSING = "missing"


@dataclass(frozen=True)
class Comparison:
    """One kind of thing in two freezes: how many were compared, and how they differ.

    Where `counts`, a difference means that something moved that must not; else words changed.
    """

    what: str
    compared: int
    differences: list[str]
    counts: bool = True

    @property
    def moved(self) -> bool:
        """Whether something moved that must not."""
        return self.counts and bool(self.differences)

    def lines(self) -> Iterator[str]:
        """The row of a table, and the first of the differences below it."""
        number = len(self.differences)
        verdict = "equal"
        if number:
            verdict = f"{number} DIFFERENT" if self.counts else f"{number} in words alone"
        yield f"{self.what:<44} {self.compared:>8}  {verdict}"
        yield from (f"    {shown(line)}" for line in self.differences[:SHOWN])
        if number > SHOWN:
            yield f"    ... and {number - SHOWN} more"


def shown(text: str) -> str:
    """`text` in one line, of bounded length."""
    line = text.replace("\n", "\\n")
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


def compared(a: Freeze, b: Freeze) -> list[Comparison]:
    """Everything in two freezes of one kind."""
    found: list[Comparison] = []
    for name in in_either(a["numbers"], b["numbers"]):
        found += of_numbers(name, a["numbers"].get(name, {}), b["numbers"].get(name, {}))
    for name in in_either(a["jobs"], b["jobs"]):
        found += of_jobs(name, a["jobs"].get(name, {}), b["jobs"].get(name, {}))
    for kind in ("messages", "sentences"):
        found.append(of_words(kind, a[kind], b[kind]))
    found.append(of_components(a["components"], b["components"]))
    return found


def of_numbers(name: str, a: Mapping[str, Items], b: Mapping[str, Items]) -> list[Comparison]:
    """The files of numbers that a study left; and, apart, the names of what is in them."""
    differences = only_in_one("file", a, b)
    names: Counter[str] = Counter()
    count = 0
    for path in sorted(a.keys() & b.keys()):
        before, after = dict(a[path]), dict(b[path])
        count += len(after)
        for old, new in renames(before, after):
            names[f"'{prefix(old)}' before the names of tensors is now '{prefix(new)}'"] += 1
            del before[old], after[new]
        for item in in_either(before, after):
            one, other = before.get(item, MISSING), after.get(item, MISSING)
            if item.startswith(ABOUT) and MISSING in (one, other):
                names[f"{item} stands only in the {'first' if item in before else 'second'}"] += 1
            elif one != other:
                differences.append(f"{path}: {item}: {one} -> {other}")
    counted = [f"{text} ({number} times)" for text, number in sorted(names.items())]
    return [
        Comparison(f"numbers of {name}", count, differences),
        Comparison(f"names within files of {name}", count, counted, counts=False),
    ]


def renames(a: Items, b: Items) -> list[tuple[str, str]]:
    """Old and new names of the items of a file that have the same value under another prefix.

    A prefix ends with the first slash, as in ``kept/head.weight``; there may be none.
    """
    new = {(tail(name), b[name]): name for name in b.keys() - a.keys()}
    old = sorted(a.keys() - b.keys())
    return [(name, new[tail(name), a[name]]) for name in old if (tail(name), a[name]) in new]


def tail(name: str) -> str:
    """What follows the prefix of a name."""
    return name.partition("/")[2] or name


def prefix(name: str) -> str:
    """The prefix of a name, with its slash, or nothing."""
    return name.removesuffix(tail(name))


def of_jobs(name: str, a: Jobs, b: Jobs) -> list[Comparison]:
    """What a configuration makes, the paths of its runs and, apart, the names of the rules."""
    one, other = outputs_of(a), outputs_of(b)
    runs, others = run_folders(one), run_folders(other)
    rules = Counter(
        f"rule {a[path]} is now {b[path]}" for path in one & other if a[path] != b[path]
    )
    words = [f"{text} ({number} files)" for text, number in sorted(rules.items())]
    words += only_in_one("rule without outputs", a.keys() - one, b.keys() - other)
    return [
        Comparison(f"outputs of {name}", len(one | other), only_in_one("output", one, other)),
        Comparison(f"run paths of {name}", len(runs | others), only_in_one("run", runs, others)),
        Comparison(f"rules of {name}", len({*a.values(), *b.values()}), words, counts=False),
    ]


def outputs_of(jobs: Jobs) -> set[str]:
    """The files among the names in `jobs`."""
    return {name for name in jobs if not name.startswith("[")}


def of_words(kind: str, a: Collection[str], b: Collection[str]) -> Comparison:
    """Two sets of texts."""
    return Comparison(kind, len({*a, *b}), only_in_one("", a, b), counts=False)


def of_components(a: Mapping[str, str], b: Mapping[str, str]) -> Comparison:
    """The digests of code, which change where it is written otherwise, whatever it computes."""
    changed = [name for name in in_either(a, b) if a.get(name) != b.get(name)]
    return Comparison("digests of components", len({*a, *b}), changed, counts=False)


def in_either(a: Collection[str], b: Collection[str]) -> list[str]:
    """What is in `a`, in `b` or in both."""
    return sorted({*a, *b})


def only_in_one(kind: str, a: Collection[str], b: Collection[str]) -> list[str]:
    """A line for each of what is in `a` alone or in `b` alone."""
    before, after = set(a), set(b)
    signs = [(text, "-") for text in before - after] + [(text, "+") for text in after - before]
    return [" ".join(filter(None, (sign, kind, text))) for text, sign in sorted(signs)]
