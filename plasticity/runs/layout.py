"""Where every file of a study stands: one function a file name, all below ``results/``."""

import hashlib

from plasticity.core.errors import named
from plasticity.runs import Run, SpellingError, data_selections, datasets
from plasticity.runs.run import seed_of

RESULTS = "results"
COMPILED = f"{RESULTS}/compiled"
"""What torch's compiler made, for other jobs; it can be deleted."""

FIGURE_SUFFIXES = ("svg", "pdf", "png", "csv")
FILES_OF_RUNS = {
    "pretrain": ("metrics.parquet", "checkpoint.safetensors"),
    "tune": ("metrics.parquet",),
    "masks": ("mask.safetensors",),
    "telemetry": ("observations.parquet",),
    "connectivity": ("observations.parquet",),
}


def dataset(name: object) -> dict[str, str]:
    """The two files of a prepared data set."""
    return {part: f"{RESULTS}/data/{name}/{part}.safetensors" for part in ("train", "test")}


def split(run: Run) -> str:
    """The indices that the last stage of `run` may train on."""
    return f"{RESULTS}/splits/{run.dataset}/seed{run.seed}/{run.stage.data}.parquet"


def folder(run: Run, kind: str) -> str:
    """The folder of a run as a `kind` of job, such as ``pretrain`` or ``tune``."""
    return f"{RESULTS}/{kind}/{run}"


def checkpoint(run: Run) -> str:
    """The state that a later stage continues from."""
    return f"{folder(run, 'pretrain')}/checkpoint.safetensors"


def metrics(run: Run, kind: str) -> str:
    """What was measured, an epoch a row."""
    return f"{folder(run, kind)}/metrics.parquet"


def mask(ticket: Run) -> str:
    """Which weights a plain `ticket` trains with, and all that have its mask."""
    return f"{folder(ticket, 'masks')}/mask.safetensors"


def observations(run: Run, kind: str) -> str:
    """What was observed besides the metrics: ``telemetry`` or ``connectivity``."""
    return f"{folder(run, kind)}/observations.parquet"


def run_of(path: str) -> Run:
    """The run that a file of a run in `path` belongs to; raises `SpellingError`."""
    results, _, below = path.partition("/")
    kind, _, below = below.partition("/")
    text, _, name = below.rpartition("/")
    if results != RESULTS or kind not in FILES_OF_RUNS:
        places = " or ".join(f"{RESULTS}/{kind}/" for kind in FILES_OF_RUNS)
        raise SpellingError(f"{named(path)}: no file of a run; expected a path below {places}")
    if name not in FILES_OF_RUNS[kind]:
        names = " or ".join(FILES_OF_RUNS[kind])
        raise SpellingError(f"{named(path)}: expected a run's folder and in it {names}")
    run = Run.parse(text)
    if kind == "masks" and run.ticket != run:
        right = f"its mask is that of {run.ticket}" if run.ticket else "it prunes nothing"
        raise SpellingError(f"{named(path)}: no mask of its own; {right}")
    return run


def require_spelt(path: str) -> None:
    """Raise `SpellingError` where `path` is of a data set or a split, in a wrong spelling."""
    results, _, below = path.partition("/")
    place, *parts = below.split("/")
    if results != RESULTS or place not in ("data", "splits"):
        return
    try:
        if place == "data":
            datasets.parse(parts[0] if parts else "")
        elif len(parts) != 3 or not path.endswith(".parquet"):
            raise SpellingError(f"expected {RESULTS}/splits/<dataset>/seed<k>/<data>.parquet")
        else:
            datasets.parse(parts[0])
            seed_of(parts[1])
            data_selections.parse(parts[2].removesuffix(".parquet"))
    except SpellingError as error:
        raise SpellingError(f"{named(path)}: {error}") from None


def summary(study: str, table: str, figure: str | None = None) -> str:
    """A tidy table of one figure's runs, or of all runs of a study."""
    place = f"figures/{figure}/" if figure else ""
    return f"{RESULTS}/summary/{study}/{place}{table}.parquet"


def figure(study: str, name: str, suffix: str) -> str:
    """A picture of a figure (svg, pdf, png) or the numbers that it shows (csv)."""
    return f"{RESULTS}/figures/{study}/{name}.{suffix}"


def preview(study: str, name: str) -> str:
    """A picture of a figure with made-up numbers."""
    return f"{RESULTS}/preview/{study}/{name}.png"


def gap_table(study: str) -> str:
    """The table of generalisation gaps, as a page of the report."""
    return f"{RESULTS}/summary/{study}/gaps.html"


def calibration(study: str) -> str:
    """How fast the device trains and evaluates the networks of a study."""
    return f"{RESULTS}/calibration/{study}/throughput.json"


def network_costs(study: str) -> str:
    """What the networks of a study cost on any device."""
    return f"{RESULTS}/calibration/{study}/networks.json"


def claims(study: str, suffix: str) -> str:
    """The judgements on the papers' claims, as a page (html) or a table (parquet)."""
    return f"{RESULTS}/claims/{study}.{suffix}"


def shortened(name: str, longest: int = 200) -> str:
    """`name`, or its beginning and a checksum where it has more than `longest` bytes."""
    data = name.encode()
    if len(data) <= longest:
        return name
    checksum = hashlib.sha256(data).hexdigest()[:16]
    return f"{data[: longest - 17].decode(errors='ignore')}-{checksum}"
