"""Tidy tables: of the runs of one figure or of a group, and of all runs of the study."""


rule summarise_figure:
    input:
        unpack(lambda wildcards: inputs.metrics(study, runs_of(wildcards))),
    output:
        **{
            table: layout.summary(study.name, table, "{figure}")
            for table in inputs.TABLES
        },
    log:
        f"results/logs/summary/{study.name}/{{figure}}.log",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        runs=lambda wildcards: digests.listing(runs_of(wildcards)),
        code=digests.summary(),
        adapter=digests.script("summarise.py"),
    script:
        "../scripts/summarise.py"


rule summarise_study:
    input:
        unpack(lambda wildcards: inputs.metrics(study, study.runs)),
    output:
        **{table: layout.summary(study.name, table) for table in inputs.TABLES},
        page=report(
            layout.gap_table(study.name),
            caption="../report/gaps.rst",
            category="Tables",
            labels={"table": "generalisation gaps", "study": study.name},
        ),
    log:
        f"results/logs/summary/{study.name}.log",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        study=study.name,
        runs=lambda wildcards: digests.listing(study.runs),
        code=digests.summary(),
        adapter=digests.script("summarise.py"),
    script:
        "../scripts/summarise.py"
