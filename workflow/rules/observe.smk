"""What is observed of a run besides its metrics: its first updates, and its valley."""


rule telemetry:
    input:
        unpack(inputs_of(kinds.TELEMETRY)),
    output:
        "results/telemetry/{run}/observations.parquet",
    log:
        "results/logs/telemetry/{run}.log",
    conda:
        "../../envs/train.yaml"
    threads: study.settings.threads
    resources:
        gpu=int(study.settings.device == "cuda"),
        mem_mb=4000,
        device=study.settings.device,
        attempt=lambda wildcards, attempt: attempt,
        slots_per_gpu=study.settings.slots_per_gpu,
        execution=study.settings.execution,
    params:
        precision=study.settings.precision,
        settings=dict(study.settings.telemetry),
        code=code_of(kinds.TELEMETRY),
    script:
        "../scripts/observe.py"


use rule telemetry as connectivity with:
    input:
        unpack(inputs_of(kinds.CONNECTIVITY)),
    output:
        "results/connectivity/{run}/observations.parquet",
    log:
        "results/logs/connectivity/{run}.log",
    params:
        precision=study.settings.precision,
        settings=dict(study.settings.connectivity),
        code=code_of(kinds.CONNECTIVITY),


rule summarise_observations:
    input:
        lambda wildcards: inputs.observations(figure_of(wildcards)),
    output:
        layout.summary(study.name, "observations", "{figure}"),
    log:
        f"results/logs/summary/{study.name}/{{figure}}-observations.log",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        runs=lambda wildcards: digests.listing(study.figures[wildcards.figure].runs),
        code=digests.summary(),
        adapter=digests.script("summarise_observations.py"),
    script:
        "../scripts/summarise_observations.py"
