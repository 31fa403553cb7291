"""Data sets, decoded once, and the examples that a stage may use."""


def source_of(wildcards):
    """What Snakemake is told of the source of the data set of its wildcards."""
    train = layout.dataset(wildcards.dataset)["train"]
    recorded = workflow.persistence.params(IOFile(train)) or ()
    return checked(invocation.told_of_source, wildcards.dataset, tuple(recorded))


rule dataset:
    input:
        # A check, whatever triggers Snakemake heeds.
        lambda wildcards: source_of(wildcards) and [],
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
        code=lambda wildcards: digests.dataset(datasets.parse(wildcards.dataset)),
        adapter=digests.script("dataset.py"),
    script:
        "../scripts/dataset.py"


rule dataset_variant:
    input:
        unpack(lambda wildcards: nothing() or layout.dataset(wildcards.base)),
    output:
        **layout.dataset("{base}{variant}"),
    log:
        "results/logs/data/{base}{variant}.log",
    wildcard_constraints:
        base="|".join(member.template.name for member in datasets.members.values()),
        variant=r"-n\d+(?:-r\d+)?|-r\d+",
    localrule: True
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=4000,
    params:
        code=lambda wildcards: digests.dataset(datasets.parse(wildcards.base)),
        adapter=digests.script("dataset_variant.py"),
    script:
        "../scripts/dataset_variant.py"


rule split:
    input:
        lambda wildcards: nothing() or layout.dataset(wildcards.dataset)["train"],
    output:
        "results/splits/{dataset}/seed{seed}/{data}.parquet",
    log:
        "results/logs/splits/{dataset}/seed{seed}/{data}.log",
    localrule: True
    conda:
        "../../envs/train.yaml"
    params:
        code=lambda wildcards: digests.split(
            checked(data_selections.parse, wildcards.data)
        ),
        adapter=digests.script("split.py"),
    script:
        "../scripts/split.py"
