"""Where every file of a study stands: one function a file name, all below ``results/``."""

import hashlib
import re
from collections.abc import Iterable

from plasticity.core.errors import named
from plasticity.runs import Run, SpellingError, data_selections, datasets
from plasticity.runs.kinds import KINDS, MASK, PRETRAIN, Job
from plasticity.runs.run import seed_of

RESULTS = "results"
COMPILED = f"{RESULTS}/compiled"
"""What torch's compiler made, for other jobs; it can be deleted."""

FOLDERS = (
    *("data", "downloads", "splits", *KINDS, "logs", "summary", "figures", "claims"),
    *("preview", "calibration", "compiled"),
)
"""All folders below ``results/``."""

VARIANT = r"(?=-[nrv])(?:-n\d+)?(?:-r\d+)?(?:-v\d+)?"
"""A pattern of what is spelt behind the name of a data set of which a smaller one is made."""

REFUSED = "refused.txt"
"""What ended a job that no further attempt can mend, in the folder of its files."""

FIGURE_SUFFIXES = ("svg", "pdf", "png", "csv")


def any_of(names: Iterable[str]) -> str:
    """The pattern of a wildcard that is one of the figures `names`."""
    return "|".join(map(re.escape, names)) or "-"  # which no figure is called


def dataset(name: object) -> dict[str, str]:
    """The two files of a prepared data set."""
    return {part: f"{RESULTS}/data/{name}/{part}.safetensors" for part in ("train", "test")}


def split(run: Run) -> str:
    """The indices that the last stage of `run` may train on."""
    return f"{RESULTS}/splits/{run.dataset}/seed{run.seed}/{run.stage.data}.parquet"


def folder(job: Job) -> str:
    """The folder of all that a `job` makes."""
    return f"{RESULTS}/{job.kind}/{job.run}"


def done(job: Job) -> str:
    """The file by which a `job` is known to be done, and which is never dropped."""
    return f"{folder(job)}/{job.kind.done}"


def log(job: Job) -> str:
    """What a `job` says of its progress."""
    return f"{RESULTS}/logs/{job.kind}/{job.run}.log"


def log_of_split(run: Run) -> str:
    """What the job says that draws the split of the last stage of `run`."""
    return f"{RESULTS}/logs/splits/{run.dataset}/seed{run.seed}/{run.stage.data}.log"


def handed_on(job: Job) -> str:
    """The file of a `job` that later ones are given."""
    return f"{folder(job)}/{job.kind.handed_on}"


def checkpoint(run: Run) -> str:
    """The state that a later stage continues from."""
    return handed_on(Job(PRETRAIN, run))


def mask(ticket: Run) -> str:
    """Which weights a plain `ticket` trains with, and all that have its mask."""
    return done(Job(MASK, ticket))


def job_of(path: str) -> Job:
    """The job that makes the file of a run in `path`; raises `SpellingError`."""
    results, _, below = path.partition("/")
    word, _, below = below.partition("/")
    text, _, name = below.rpartition("/")
    if results != RESULTS or word not in KINDS:
        places = " or ".join(f"{RESULTS}/{kind}/" for kind in KINDS)
        raise SpellingError(f"{named(path)}: no file of a run; expected a path below {places}")
    kind = KINDS[word]
    if name not in kind.files:
        names = " or ".join(kind.files)
        raise SpellingError(f"{named(path)}: expected a run's folder and in it {names}")
    run = Run.parse(text)
    if kind is MASK and run.ticket != run:
        right = f"its mask is that of {run.ticket}" if run.ticket else "it prunes nothing"
        raise SpellingError(f"{named(path)}: no mask of its own; {right}")
    return Job(kind, run)


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


def remedies_page(study: str, figure: str) -> str:
    """The table of remedies, as a page of the report."""
    return f"{RESULTS}/summary/{study}/figures/{figure}/remedies.html"


def calibration(study: str) -> str:
    """How fast the device trains and evaluates the networks of a study."""
    return f"{RESULTS}/calibration/{study}/throughput.json"


def network_costs(study: str, figure: str | None = None) -> str:
    """What the networks of a study cost on any device, or the one of a figure with arms."""
    place = f"figures/{figure}/" if figure else ""
    return f"{RESULTS}/calibration/{study}/{place}networks.json"


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
