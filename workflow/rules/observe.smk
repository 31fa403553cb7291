"""What is observed of a run besides its metrics: its first updates, and its valley."""


rule telemetry:
    input:
        unpack(inputs_of("telemetry")),
    output:
        f"results/telemetry/{LINEAGE}/observations.parquet",
    log:
        f"results/logs/telemetry/{LINEAGE}.log",
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
        run=lambda wildcards: str(run_of(wildcards)),
        precision=study.settings.precision,
        settings=dict(study.settings.telemetry),
        code=code_told("telemetry"),
    script:
        "../scripts/observe.py"


use rule telemetry as connectivity with:
    input:
        unpack(inputs_of("connectivity")),
    output:
        f"results/connectivity/{LINEAGE}/observations.parquet",
    log:
        f"results/logs/connectivity/{LINEAGE}.log",
    params:
        run=lambda wildcards: str(run_of(wildcards)),
        precision=study.settings.precision,
        settings=dict(study.settings.connectivity),
        code=code_told("connectivity"),


rule summarise_observations:
    input:
        lambda wildcards: [
            layout.observations(run, kind)
            for kind, run in study.figures[wildcards.figure].observed
        ],
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
