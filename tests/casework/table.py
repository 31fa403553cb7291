"""The cases, and what should happen in each: commands, whether they fail, what is said."""

from __future__ import annotations

from dataclasses import dataclass

from casework.bench import Step


@dataclass(frozen=True)
class Case:
    """A case in the folder `name`, told from others there by `part`.

    With an `addition` its ``<addition>_addition.py`` is an extension, in which texts are
    `rewritten` that have another form since the case was reported. A capability is something that
    may come later.
    """

    name: str
    steps: tuple[Step, ...]
    part: str = ""
    addition: str | None = None
    is_capability: bool = False
    rewritten: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        """Its name in the table."""
        return f"{self.name} {self.part}".strip()

    @property
    def folder(self) -> str:
        """Where its inputs are."""
        return self.name


def parquet(
    part: str = "data", *, fails: bool = False, dataset: str = "cifar10", **told: tuple[str, ...]
) -> Step:
    """Figure 1 on the parquet files in the folder `part` of the case."""
    return Step(
        ("fig01", *_on(dataset, f"{{case}}/{part}")),
        fails,
        told.get("says", ()),
        told.get("never", ("Nothing to be done",)),
    )


def _on(dataset: str, source: str, *more: str) -> tuple[str, ...]:
    configuration = ("--configfile", "{cases}/tiny.yaml", "--config")
    return (*configuration, f"sources={{{{{dataset}: {source}}}}}", f"dataset={dataset}", *more)


def _hub(name: str, says: str, *parts: str, fails: bool = True, **more: str) -> list[Case]:
    return [
        Case(name, (parquet(part, fails=fails, says=(says,), **more),), part)
        for part in parts or ("data",)
    ]


def _npz(file: str, says: str, *, fails: bool = True, words: tuple[str, ...] = ("fig01",)) -> Case:
    step = Step((*words, *_on("mynpz", f"{{case}}/{file}.npz")), fails, (says,))
    return Case("24-npz", (step,), file if words == ("fig01",) else f"{file} turned", "datasets")


SEED = "digits-clutter/{}/seed0"
ADAM = "adam-lr0.002-b64"


def _runs(*runs: str, fails: bool = False, place: str = "here", **told: tuple[str, ...]) -> Step:
    """Runs on the small data set, each a path below ``results/``."""
    files = (f"results/{run}/metrics.parquet" for run in runs)
    words = (*files, "--configfile", "{cases}/tiny-div.yaml")
    return Step(words, fails, told.get("says", ()), told.get("never", ()), place)


def _twice(name: str, addition: str, part: str, run: str, other: str = "") -> Case:
    """A run in two folders, or in one as two kinds of job, has the same bits."""
    places = ("here", "here") if other else ("here", "there")
    runs = (run, other or run)
    first, second = (f"{p}/results/{r}/metrics.parquet" for p, r in zip(places, runs, strict=True))
    one = _runs(runs[0])
    two = _runs(runs[1], place=places[1])
    two = Step(two.words, says=("same bits: True",), place=places[1], same=(first, second))
    return Case(name, (one, two), part, addition)


def _net(model: str, stage: str = f"full_{ADAM}_e2_init") -> str:
    return f"tune/{SEED.format(model)}/{stage}"


def _rule(name: str, stage: str = "half_{}-b64_e12_init", kind: str = "tune") -> str:
    return f"{kind}/{SEED.format('resnet-d1w4')}/{stage.format(name)}"


def _small(name: str, run: str) -> Step:
    return _runs(f"tune/{name}/resnet-d1w4/seed0/{run}", fails=True)


OPTIMISERS = (
    # A muon is built in since then, and a rule says how often it asks for its closure.
    ('"muon-lr', '"mu-lr'), ("def muon(", "def mu("),
    ('"sharp-lr{lr}", ', '"sharp-lr{lr}", facts=OptimiserFacts(passes=2), '),
    ('"quasinewton-lr{lr}", ', '"quasinewton-lr{lr}", facts=OptimiserFacts(passes=20), '),
)  # fmt: skip

FINITE = "losses that are no numbers: 0"
DECODED = r"as Pillow decodes: 80 of 80"
OTHER = "holds other data than what results/data/.* was prepared from"

DATA = [
    *_hub("00-control", DECODED, fails=False),
    *_hub("01-png16", r"share of 255: 0\.0", fails=False),
    *_hub("02-missing-shard", r"train-00001-of-00003\.parquet is not in it"),
    *_hub("03-constant-channel", FINITE, "zero", "hundred", fails=False),
    *_hub("04-exif", DECODED, fails=False),
    *_hub("05-test-size", r"\[3, 8, 8\] and the test images \[3, 12, 12\]; expected one"),
    *_hub("06-alpha", DECODED, fails=False),
    *_hub("07-cmyk", DECODED, fails=False),
    *_hub("08-path-only", "names the file .* and does not hold the image itself"),
    *_hub("09-labels", "classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9", "string", fails=False),
    *_hub("09-labels", "expected whole numbers", "float"),
    *_hub("09-labels", "the labels go down to -1", "minus1"),
    *_hub("09-labels", "count from 1: subtract 1", "one-based"),
    *_hub("10-layouts", FINITE, "binary", fails=False),
    *_hub("10-layouts", "expected images as encoded bytes", "array3d"),
    *_hub("10-layouts", "classes: airplane, automobile", "plural", "subfolder", fails=False),
    *_hub("10-layouts", "classes: c0, c1, c2", "category", fails=False),
    *_hub("10-layouts", "there is no test part: validation is tested on", "validation",
          fails=False),
    *_hub("11-class-names", "classes: truck, ship", fails=False),
    *_hub("12-cifar100", FINITE, "lastmissing", fails=False, dataset="cifar100"),
    *_hub("12-cifar100", "expected one of fine_label", "coarse", dataset="cifar100"),
    *_hub("13-duplicate", "does not belong to"),
    *_hub("14-empty-class", "1 classes have no training example", fails=False),
    *_hub("15-mixed-modes", DECODED, fails=False),
    *_hub("16-float-tiff", "row 0 is an image of floating-point numbers"),
    *_hub("30-lfs", "run 'git lfs pull'"),
    *_hub("31-empty-shard", FINITE, fails=False),
    *_hub("32-long-tail", FINITE, fails=False),
    *_hub("33-truncated", "row .* holds no readable image"),
    *_hub("34-metadata-file", "does not belong to"),
    *_hub("35-svhn", "not all in 0 to 9", "ten", dataset="svhn"),
    *_hub("35-svhn", FINITE, "extra", fails=False, dataset="svhn"),
    *_hub("36-png16-rgb", DECODED, fails=False),
    *_hub("37-int32-tiff", "row 0 is an image of 32-bit integers"),
    *(_npz(file, FINITE, fails=False) for file in ("good", "byte", "int32", "wide")),
    _npz("nhwc", "channels come first"),
    _npz("morefacts", "120 train examples, and 80 are declared"),
    *(_npz(file, r"labels have the shape \[80, 10?\]; expected") for file in ("column", "onehot")),
    _npz("floatlab", "labels are floating-point numbers"),
    _npz("namelab", "labels are text"),
    _npz("fivechan", r"\[5, 8, 8\] and the test images \[3, 8, 8\]; expected one"),
    _npz(
        "wide",
        "it needs square images",
        words=("results/tune/mynpz/resnet-d1w4/seed0/full+rotation_adam-lr0.002-b8_e1_init/metrics.parquet",),
    ),
    Case(
        "24-npz",
        (
            Step(("fig01", *_on("mynpz", "{case}/good.npz"))),
            Step(("fig01", *_on("mynpz", "{case}/other.npz")), True, (OTHER,)),
            Step(("fig01", *_on("mynpz", "{case}/good.npz")), says=("Nothing to be done",)),
        ),
        "replaced",
        "datasets",
    ),
    Case(
        "25-same-folder-name",
        (
            Step(("fig01", *_on("cifar10", "{cases}/00-control/data"))),
            Step(("fig01", *_on("cifar10", "{cases}/14-empty-class/data")), True, (OTHER,)),
            Step(
                ("fig01", *_on("cifar10", "{cases}/14-empty-class/data", "retrain=true")),
                says=(r"stored \(72, 3, 8, 8\)",),
            ),
        ),
    ),
    Case("26-tiny", (_small("digits-clutter-n20-r6", "full_adam-lr0.002-b1_e1_init"),), "b1"),
    Case("26-tiny", (_small("digits-clutter-n1", "half_adam-lr0.002-b1_e1_init"),), "half of one"),
    Case("46-own-parquet", (Step(
        ("fig01", *_on("ownhub", "{cases}/00-control/data")), says=(FINITE,)),), "", "datasets"),
    Case("47-mnist", (Step(
        tuple(
            f"results/tune/{name}/resnet-d1w4/seed0/{stage}_adam-lr0.002-b8_e1_{start}/metrics.parquet"
            for name, stage, start in (
                ("grey28", "full+augment", "init"), ("grey28", "full+rotation", "init"),
                ("grey28", "full+blur4", "init"), ("grey28", "full", "ticket2"),
                ("grey28-r7", "full", "init"),
            )
        ) + _on("grey28", "{case}/grey28.npz"), says=(FINITE,)),), "", "datasets"),
]  # fmt: skip

CODE = [
    Case(
        "17-divergence",
        (Step(("early_telemetry", "early_connectivity", "--configfile", "{cases}/tiny-div.yaml"),
              says=("diverged",)),),
    ),
    *(
        Case("18-own-norm", (_runs(_net(model)),), model, "models")
        for model in ("gncnn", "lncnn", "prelucnn", "cnn1d")
    ),
    _twice("19-dropout", "models", "", _net("dropcnn", "full_adam-lr0.002-b8_e9_init")),
    Case("20-mlp", (_runs(_net("mlp")),), "", "models"),
    *(
        _twice("21-optimiser-state", "optim", name, _rule(f"{name}-lr0.002"),
               _rule(f"{name}-lr0.002", kind="pretrain"))
        for name in ("intadam", "groupadam", "warmsgd")
    ),
    *(
        Case("22-frozen-ticket", (_runs(_net(model, f"full_{ADAM}_e2_ticket1")),), model, "models")
        for model in ("frozencnn", "auxcnn")
    ),
    *(
        Case("23-closure", (_runs(_rule(f"{name}-lr0.002", "full_{}-b64_e2_init")),), name, "optim",
             rewritten=OPTIMISERS)
        for name in ("sharp", "quasinewton", "decay")
    ),
    Case(
        "23-closure",
        (_runs(_rule("muon-lr0.002"), fails=True,
               says=(r"muon is declared twice: .*of_the_case\.py:\d+ and .*muon\.py:\d+",)),),
        "muon", "optim",
    ),
    Case(
        "28-remedy-data",
        (_runs(_net("resnet-d1w4", f"half_{ADAM}_e2_init/full_{ADAM}_e2_aligned0.5")),),
        "", "starts",
        # What a start asks for it is given behind the generator, by its facts.
        rewritten=(
            ('"aligned{factor}", ', '"aligned{factor}", facts=StartFacts(batches=1), '),
            ("images: torch.Tensor, labels: torch.Tensor", "batches: object"),
        ),
    ),
    _twice(
        "42-global-rng", "starts", "",
        _net("resnet-d1w4", f"half_{ADAM}_e2_init/full_{ADAM}_e2_sp0.5"),
    ),
    *(
        _twice("43-optimiser-dtype-rate", "optim", name, _rule(f"{name}-lr0.002"),
               _rule(f"{name}-lr0.002", kind="pretrain"))
        for name in ("halfmomentum", "listmomentum", "fading")
    ),
    Case(
        "44-names",
        (_runs(_net("smallnet")), _runs(_net("eightnet"), fails=True, says=("modules=8",))),
        "", "models",
    ),
]  # fmt: skip

CASES = sorted([*DATA, *CODE], key=lambda case: case.name)
"""All cases; those of one folder stay together."""
