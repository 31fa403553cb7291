"""Whether a prepared data set is still that of its source, decided before anything runs."""

from __future__ import annotations

import hashlib
import json
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
    if prepared.exists() and (recorded is None or (source and not Path(source).exists())):
        return known or "source unknown"  # nothing to compare
    place = Path(source) if source else None
    try:
        present = declared.files_of(place, datasets.parse(dataset).facts, Checksums(CHECKSUMS))
    except UserError:
        if prepared.exists():
            raise
        present = {}  # the job itself will say so
    text = f"source {hashlib.sha256(json.dumps(present).encode()).hexdigest()[:16]}"
    if recorded is None:
        return text
    if origin.same(recorded, present):
        return known or text
    where = f"{layout.RESULTS}/data/{dataset}"
    place_named = source or "no source is named, which means the original"
    differ = (
        f"{study.key_of_source(dataset)}: {place_named}: holds "
        f"other data than what {where} was prepared from ({_differing(recorded, present)})"
    )
    if not study.settings.retrain and (first := next(_results_on(dataset), None)):
        raise UserError(
            f"{differ}, and results such as {first} were trained on that. Name the earlier source "
            "again; or keep both, the new ones in another folder (--directory); or give the "
            "earlier ones up and train them again, with --config retrain=true"
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


def _differing(one: Files, other: Files) -> str:
    """Some of the files that differ between two sources."""
    names = sorted({*one, *other})
    changed = [name for name in names if one.get(name) != other.get(name)]
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return f"another {', '.join(changed[:3])}{more}"


def _results_on(dataset: str) -> Iterator[Path]:
    """Finished results on `dataset` or on one of its variants."""
    for kind in KINDS.values():
        for folder in sorted((Path(layout.RESULTS) / kind.name).glob("*")):
            with suppress(SpellingError):
                if datasets.parse(folder.name).member is datasets.parse(dataset).member:
                    yield from folder.rglob(kind.done)
