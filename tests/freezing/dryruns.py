"""The jobs that a configuration means, as a dry run in a place without results prints them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from freezing.checkouts import Checkout, FreezeError

Jobs = dict[str, str]
"""The rule of each file that is to be made; a rule without files stands for itself, in brackets."""

GROUP = "early_phase"
FIGURE = "fig06"
RUN = re.compile(r"(results/[^/]+/[^/]+/[^/]+/seed\d+/.+)/[^/]+")
"""A file of a run: its folder is the kind of job and the path of the run."""


@dataclass(frozen=True)
class Plan:
    """A dry run of a target: of the papers' study, or of one in `studies/`, which overlays it."""

    study: str | None = None
    target: str | None = None

    @property
    def name(self) -> str:
        """What tells it from other plans."""
        return " ".join([self.study or "paper", *filter(None, [self.target])])

    def words(self) -> list[str]:
        """What Snakemake is told."""
        overlay = ["--configfile", f"studies/{self.study}.yaml"] if self.study else []
        return ["-n", "--cores", "2", *filter(None, [self.target]), *overlay]


def plans(project: Path) -> list[Plan]:
    """All dry runs, the longest first; none of studies on data that whoever runs them brings."""
    overlays = sorted((project / "studies").glob("*.yaml"))
    studies = [
        path.stem
        for path in overlays
        if "datasets" not in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]
    return [
        *(Plan(), Plan(target=GROUP), Plan(target=FIGURE)),
        *(Plan(study, target) for study in studies for target in (None, GROUP)),
    ]


def planned(checkout: Checkout) -> dict[str, Jobs]:
    """The jobs of every plan, by its name."""

    def jobs(plan: Plan) -> Jobs:
        printed = checkout.output("-m", "snakemake", *plan.words())
        found = parse(printed)
        if not found:
            raise FreezeError(f"{plan.name}: no jobs in what a dry run printed\n{printed[-2000:]}")
        return found

    wanted = plans(checkout.project)
    with ThreadPoolExecutor(2) as pool:
        return dict(zip([plan.name for plan in wanted], pool.map(jobs, wanted), strict=True))


def parse(printed: str) -> Jobs:
    """The rule of each file, from the jobs that Snakemake printed."""
    found: Jobs = {}
    rule = ""
    for line in printed.splitlines():
        if match := re.fullmatch(r"(?:local)?(?:rule|checkpoint) (\w+):", line):
            rule = match[1]
            found[f"[{rule}]"] = rule  # until it turns out to have outputs
        elif rule and line.startswith("    output: "):
            found.pop(f"[{rule}]", None)
            for path in line.removeprefix("    output: ").split(", "):
                found[path] = rule
    return found


def run_folders(outputs: Iterable[str]) -> set[str]:
    """The folders of runs among the folders of `outputs`."""
    return {match[1] for path in outputs if (match := RUN.fullmatch(path))}
