"""Preview: every figure with made-up numbers, before anything is trained."""


# Also where the numbers are to be observed: nothing of a run is needed but its path.
rule preview_figure:
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
        settings=lambda wildcards: observing(wildcards.figure),
        code=lambda wildcards: digest.preview(
            study.figures[wildcards.figure].settings.draw
        ),
        adapter=digest.script("preview.py"),
    script:
        "../scripts/preview.py"


rule preview:
    input:
        [layout.preview(study.name, figure.name) for figure in study.targets],
    localrule: True
