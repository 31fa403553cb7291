"""Preview: the study's figures with made-up numbers, before anything is trained."""


# All that it needs of a run is its path.
rule preview_figure:
    input:
        nothing,
    output:
        png=layout.preview(study.name, "{figure}"),
    log:
        f"results/logs/preview/{study.name}/{{figure}}.log",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        draw=lambda wildcards: study.figures[wildcards.figure].settings.draw,
        title=lambda wildcards: study.figures[wildcards.figure].settings.title,
        roles=lambda wildcards: json.dumps(study.figures[wildcards.figure].roles),
        labels=lambda wildcards: json.dumps(study.figures[wildcards.figure].labels),
        observe=lambda wildcards: study.figures[wildcards.figure].settings.observe,
        arms=lambda wildcards: study.figures[wildcards.figure].has_arms,
        settings=lambda wildcards: inputs.observing(study, figure_of(wildcards)),
        code=lambda wildcards: digests.preview(
            study.figures[wildcards.figure].settings.draw,
            study.figures[wildcards.figure].runs,
        ),
        adapter=digests.script("preview.py"),
    script:
        "../scripts/preview.py"


rule preview:
    input:
        [layout.preview(study.name, figure.name) for figure in study.targets],
    localrule: True
