"""Data sets, decoded once, and the examples that a stage may use."""

SPLIT = "results/splits/{dataset}/seed{seed}/{data}.parquet"


rule dataset:
    input:
        # A check of the source, whatever triggers Snakemake heeds.
        lambda wildcards: source_of(wildcards)
        and renewed(jobs.dataset, wildcards.dataset),
    output:
        **layout.dataset("{dataset}"),
    log:
        "results/logs/data/{dataset}.log",
    wildcard_constraints:
        dataset="|".join(member.template.name for member in datasets.members.values()),
    localrule: True
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=4000,
    params:
        # A function of `input` is not tracked: moving an archive does not train anything anew.
        source=lambda wildcards, input: study.source(wildcards.dataset),
        # What the source holds does count, and is compared with what the data set records.
        origin=source_of,
        downloads=f"{layout.RESULTS}/downloads",
        code=lambda wildcards: code_of_data(jobs.dataset, wildcards.dataset),
    script:
        "../scripts/dataset.py"


rule dataset_variant:
    input:
        unpack(
            lambda wildcards: renewed(jobs.variant, wildcards.base + wildcards.variant)
            or layout.dataset(wildcards.base)
        ),
    output:
        **layout.dataset("{base}{variant}"),
    log:
        "results/logs/data/{base}{variant}.log",
    wildcard_constraints:
        base="|".join(member.template.name for member in datasets.members.values()),
        variant=layout.VARIANT,
    localrule: True
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=4000,
    params:
        code=lambda wildcards: code_of_data(
            jobs.variant, wildcards.base + wildcards.variant
        ),
    script:
        "../scripts/dataset_variant.py"


rule split:
    input:
        lambda wildcards: renewed(jobs.split, SPLIT.format(**wildcards))
        or layout.dataset(wildcards.dataset)["train"],
    output:
        SPLIT,
    log:
        "results/logs/splits/{dataset}/seed{seed}/{data}.log",
    localrule: True
    conda:
        "../../envs/train.yaml"
    params:
        code=lambda wildcards: code_of_data(jobs.split, SPLIT.format(**wildcards)),
    script:
        "../scripts/split.py"
