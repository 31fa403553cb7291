"""Why a result is made again: its components as they are recorded, beside the present ones.

What is compared is always the header of the result. Snakemake compares parameters with those on its
own records: it is told the same as before where the header is as good as of the present code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from plasticity.core import files
from plasticity.core.errors import UserError
from plasticity.pipeline import closure, digests
from plasticity.runs import Run
from plasticity.runs.layout import FILES_OF_RUNS
from plasticity.runs.provenance import Code


def parameter(code: Code, changed: Sequence[str] | None, on_record: Iterable[str]) -> str:
    """What Snakemake is told of the `code` of a job, to be compared with what is `on_record`.

    `changed` names the components for which the result that is there is outdated; None where there
    is none. `on_record` are Snakemake's written parameters of that result. They have to differ
    where it is outdated, and else not: the text on record then says what changed once.
    """
    known = [text[1:-1] for text in on_record if text.startswith("'code ")]
    if changed is not None and not changed and known:
        return known[0]
    text = f"code {code.digest}" + (f", changed: {', '.join(changed)}" if changed else "")
    return f"{text}, again" if changed and text in known else text


def main() -> None:
    """Print what the command line asks for; a mistake ends this with its message alone."""
    try:
        match sys.argv[1:]:
            case []:
                print(json.dumps(closure.every_file(), indent=2))
            case [file]:
                print(*explained(file), sep="\n")
            case _:
                sys.exit("expected at most one file of a result")
    except UserError as error:
        sys.exit(f"error: {error}")


def explained(file: str | Path) -> Iterator[str]:
    """Lines that tell, for each component of the result in `file`, whether it is another now.

    Settings of observations are the study's, and are told as they are recorded. Raises `UserError`
    for a file that is no result of a run.
    """
    about = header(Path(file))
    kinds = [part for part in Path(file).parts if part in FILES_OF_RUNS]
    if not kinds or "run" not in about:
        raise UserError(f"{file}: no result of a run; name a file below results/ that a job made")
    recorded: Mapping[str, str] = about.get("components", {})
    code = digests.code_of(kinds[-1], Run.parse(about["run"]))
    present = {**code.components, **{k: v for k, v in recorded.items() if k == "settings"}}
    changed = digests.outdated(recorded, present, code.equivalences)
    for name in sorted({*recorded, *present}):
        one, other = (found.get(name, "-" * 16) for found in (recorded, present))
        same = "same" if one == other else "equivalent"
        yield f"{name:<40} {one} {other} {'CHANGED' if name in changed else same}"
    yield ""
    if changed:
        yield f"made again because of: {', '.join(changed)}"
    else:
        yield "of the present code"


def header(path: Path) -> dict[str, Any]:
    """What the result in `path` says about itself; raises `UserError`."""
    if path.suffix == ".parquet":
        from plasticity.runs import metrics

        return metrics.about(path)
    about = files.header(path)
    found: dict[str, Any] = about.get("identity", about)
    return found
