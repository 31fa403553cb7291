"""What tables, figures and claims are made from."""

from plasticity.analysis.claims import FIGURES
from plasticity.runs import ancestors


def metrics_of(runs):
    """The metrics of measured `runs` and of the pretraining that they went through."""
    return {
        "tuned": [layout.metrics(run, study.kind_of(run)) for run in runs],
        "pretrained": [layout.metrics(run, "pretrain") for run in ancestors(runs)],
    }


def tables_of(wildcards):
    """The tables that a figure is drawn from."""
    tables = ["runs", "curves"]
    if study.figures[wildcards.figure].observed:
        tables.append("observations")
    return {name: layout.summary(study.name, name, wildcards.figure) for name in tables}


def observing(figure):
    """The settings of what is observed for a `figure`, if anything is."""
    kind = study.figures[figure].settings.observe
    return dict(getattr(study.settings, kind)) if kind else {}


def judged(figures):
    """Those of `figures` that claims read, by name."""
    return {figure.name: figure for figure in figures if figure.name in FIGURES}


def observations_of(figures):
    """The tables of what was observed for those of `figures` that claims read."""
    return [
        layout.summary(study.name, "observations", name)
        for name, figure in judged(figures).items()
        if figure.settings.observe == "telemetry"
    ]


def pictures_of(figures):
    """The pictures of those of `figures` that claims read."""
    return [layout.figure(study.name, name, "png") for name in judged(figures)]


def judged_in_words(figures):
    """What the page must know of those of `figures` that claims read."""
    return json.dumps(
        {
            name: {
                "roles": figure.roles,
                "title": figure.settings.title,
                "caption": figure.settings.caption,
            }
            for name, figure in judged(figures).items()
        }
    )
