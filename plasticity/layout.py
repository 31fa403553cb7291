"""Where every file of a study stands: one function a file name, all below ``results/``."""

import hashlib

from plasticity.spec import Run, SpellingError

RESULTS = "results"
FIGURE_SUFFIXES = ("svg", "pdf", "png", "csv")


def dataset(name: object) -> dict[str, str]:
    """The two files of a prepared data set."""
    return {part: f"{RESULTS}/data/{name}/{part}.safetensors" for part in ("train", "test")}


def split(run: Run) -> str:
    """The indices that the last stage of `run` may train on."""
    return f"{RESULTS}/splits/{run.dataset}/seed{run.seed}/{run.stage.data}.parquet"


def folder(run: Run, kind: str) -> str:
    """The folder of a run as a `kind` of job: ``pretrain`` or ``tune``."""
    return f"{RESULTS}/{kind}/{run}"


def checkpoint(run: Run) -> str:
    """The state that a later stage continues from."""
    return f"{folder(run, 'pretrain')}/checkpoint.safetensors"


def metrics(run: Run, kind: str) -> str:
    """What was measured, an epoch a row."""
    return f"{folder(run, kind)}/metrics.parquet"


def run_of(path: str) -> Run:
    """The run that the metrics or the checkpoint in `path` belong to; raises `SpellingError`."""
    names = ("metrics.parquet", "checkpoint.safetensors")
    if not path.endswith(names):
        raise SpellingError(f"{path}: expected a run's folder and one of {' or '.join(names)}")
    return Run.parse("/".join(path.split("/")[2:-1]))


def summary(study: str, table: str, figure: str | None = None) -> str:
    """A tidy table of one figure's runs, or of all runs of a study."""
    place = f"figures/{figure}/" if figure else ""
    return f"{RESULTS}/summary/{study}/{place}{table}.parquet"


def figure(study: str, name: str, suffix: str) -> str:
    """A picture of a figure (svg, pdf, png) or the numbers that it shows (csv)."""
    return f"{RESULTS}/figures/{study}/{name}.{suffix}"


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
    """The judgements on the paper's claims, as a page (html) or a table (parquet)."""
    return f"{RESULTS}/claims/{study}.{suffix}"


def shortened(name: str, longest: int = 200) -> str:
    """`name`, or its beginning and a checksum where it has more than `longest` bytes."""
    data = name.encode()
    if len(data) <= longest:
        return name
    checksum = hashlib.sha256(data).hexdigest()[:16]
    return f"{data[: longest - 17].decode(errors='ignore')}-{checksum}"
