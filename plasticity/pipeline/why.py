"""Why a result is made again: its components as they are recorded, beside the present ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from plasticity.core import tensors
from plasticity.core.errors import UserError
from plasticity.pipeline import closure, digests
from plasticity.runs import Run, extensions
from plasticity.runs.kinds import KINDS, PRETRAIN, Job
from plasticity.runs.provenance import outdated


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
    # A checkpoint does not say where extensions are; the metrics beside it do.
    beside = Path(file).with_name(PRETRAIN.done)
    extensions.use_recorded(header(beside) if beside.exists() else about, file)
    kinds = [KINDS[part] for part in Path(file).parts if part in KINDS]
    if not kinds or "run" not in about:
        raise UserError(f"{file}: no result of a run; name a file below results/ that a job made")
    recorded: Mapping[str, str] = about.get("components", {})
    code = digests.code_of(Job(kinds[-1], Run.parse(about["run"])))
    present = {**code.components, **{k: v for k, v in recorded.items() if k == "settings"}}
    if not recorded:
        yield "made before results recorded the parts of their code: it is made again once"
        return
    changed = outdated(recorded, present, code.equivalences)
    for name in sorted({*recorded, *present}):
        one, other = (found.get(name, "-" * 16) for found in (recorded, present))
        same = "same" if one == other else "equivalent"
        yield f"{name:<40} {one} {other} {'CHANGED' if name in changed else same}"
    yield ""
    if changed:
        yield f"made again because of: {', '.join(changed)}"
    else:
        yield "of the present code: only another precision, other settings or newer data outdate it"


def header(path: Path) -> dict[str, Any]:
    """What the result in `path` says about itself; raises `UserError`."""
    if path.suffix == ".parquet":
        from plasticity.runs import metrics

        return metrics.about(path)
    about = tensors.read_header(path)
    found: dict[str, Any] = about.get("identity", about)
    return found
