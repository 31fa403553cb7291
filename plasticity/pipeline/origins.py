"""Whether a prepared data set is still that of its source, decided before anything runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from plasticity.core import tensors
from plasticity.core.errors import UserError
from plasticity.data import declared, origin
from plasticity.data.origin import Checksums, Files
from plasticity.pipeline.jobs import other_than
from plasticity.runs import SpellingError, datasets, layout
from plasticity.runs.kinds import KINDS
from plasticity.study import Study

CHECKSUMS = Path(layout.RESULTS) / "data" / ".checksums.json"
"""Where the checksums of files that did not change since are remembered."""


def told_of_source(study: Study, dataset: str, known: str | None) -> str:
    """What Snakemake is told of the source of `dataset`, to be compared with what is `known` of it.

    What counts is what the header of the prepared data set records: where the source holds other
    files the two have to differ, and else not, wherever it lies now. Raises `UserError` where
    results rest on the earlier files, unless ``retrain`` is set: they would be taken for those of
    the new ones, or be lost.
    """
    prepared, source = Path(layout.dataset(dataset)["train"]), study.source(dataset)
    recorded = _recorded(prepared)
    if prepared.exists() and (
        recorded is None or (source and _is_out_of_reach(Path(source), recorded))
    ):
        return known or "source unknown"  # nothing to compare
    place = Path(source) if source else None
    try:
        present = declared.files_of(place, datasets.parse(dataset).facts, Checksums(CHECKSUMS))
    except UserError:  # out of reach, as if it were not there; the job itself will say so
        if prepared.exists():
            return known or "source unknown"
        present = {}
    text = f"source {hashlib.sha256(json.dumps(present).encode()).hexdigest()[:16]}"
    if recorded is None:
        return text
    if origin.same(recorded, present):
        return known or text
    where = f"{layout.RESULTS}/data/{dataset}"
    differing, earlier = _differing(recorded, present)
    place_named = source or "no source is named, which means the original"
    differ = (
        f"{study.key_of_source(dataset)}: {place_named}: holds "
        f"other data than what {where} was prepared from ({differing})"
    )
    if not study.settings.retrain and (first := next(_results_on(dataset), None)):
        raise UserError(
            f"{differ}, and results such as {first} were trained on that. {earlier}; or keep both, "
            "the new ones in another folder (--directory); or give the earlier ones up and train "
            "them again, with --config retrain=true"
        )
    if not known:
        raise UserError(f"{differ}; delete the folder {where}, to prepare it anew")
    return other_than(known, text)


def _recorded(prepared: Path) -> Files | None:
    """The files that a data set was `prepared` from, None where that is not known."""
    with suppress(UserError):  # who reads the data says what is wrong with them
        found: Files | None = tensors.read_header(prepared)["header"].get("files")
        return found
    return None


def _is_out_of_reach(source: Path, recorded: Files) -> bool:
    """Whether `source` is gone, or a folder of it that holds `recorded` files may not be read."""
    try:
        for folder in {source, *((source / name).parent for name in recorded)}:
            if folder.is_dir():
                os.scandir(folder).close()
        return not source.exists()
    except OSError:
        return True


def _differing(recorded: Files, present: Files) -> tuple[str, str]:
    """Some of the files that differ from those `recorded`, and how to have the earlier ones."""
    one, other = origin.data_of(recorded), origin.data_of(present, recorded)
    found = {
        "another": sorted(name for name in one.keys() & other.keys() if one[name] != other[name]),
        "without": sorted(one.keys() - other.keys()),
        "added:": sorted(other.keys() - one.keys()),
    }
    told = [
        f"{how} {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        for how, names in found.items()
        if names
    ]
    only_added = one and not found["another"] and not found["without"]
    earlier = "Take them out again" if only_added else "Name the earlier source again"
    return "; ".join(told), earlier


def _results_on(dataset: str) -> Iterator[Path]:
    """Finished results on `dataset` or on one of its variants."""
    for kind in KINDS.values():
        for folder in sorted((Path(layout.RESULTS) / kind.name).glob("*")):
            with suppress(SpellingError):
                if datasets.parse(folder.name).member is datasets.parse(dataset).member:
                    yield from folder.rglob(kind.done)
