"""Figures: a picture in three formats and the numbers that it shows."""


rule figure:
    input:
        unpack(lambda wildcards: inputs.tables(study, figure_of(wildcards))),
    output:
        svg=report(
            layout.figure(study.name, "{figure}", "svg"),
            caption="../report/figure.rst",
            category="Figures",
            labels=lambda wildcards: {
                "figure": wildcards.figure,
                "shows": study.figures[wildcards.figure].settings.title,
            },
        ),
        pdf=layout.figure(study.name, "{figure}", "pdf"),
        png=layout.figure(study.name, "{figure}", "png"),
        csv=layout.figure(study.name, "{figure}", "csv"),
    log:
        f"results/logs/figures/{study.name}/{{figure}}.log",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        draw=lambda wildcards: study.figures[wildcards.figure].settings.draw,
        title=lambda wildcards: study.figures[wildcards.figure].settings.title,
        caption=lambda wildcards: study.figures[wildcards.figure].settings.caption,
        roles=lambda wildcards: json.dumps(study.figures[wildcards.figure].roles),
        labels=lambda wildcards: json.dumps(study.figures[wildcards.figure].labels),
        code=lambda wildcards: digests.drawing(
            study.figures[wildcards.figure].settings.draw
        ),
        adapter=digests.script("figure.py"),
    script:
        "../scripts/figure.py"


for name in study.figures:

    rule:
        name:
            name
        input:
            inputs.shown(study, [study.figures[name]]),
        localrule: True


for name, figures in study.groups.items():

    rule:
        name:
            name
        input:
            inputs.shown(study, figures),
            layout.claims(f"{study.name}-{name}", "html"),
        localrule: True
