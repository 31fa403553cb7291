"""Training: stages to continue from (pretrain) and measured final stages (tune)."""

from plasticity.runs import RUNGS

CHECKPOINT = f"results/pretrain/{LINEAGE}/checkpoint.safetensors"
KEEP = study.settings.keep


rule pretrain:
    input:
        unpack(inputs_of("pretrain")),
    output:
        checkpoint=CHECKPOINT if KEEP == "all" else temp(CHECKPOINT),
        metrics=f"results/pretrain/{LINEAGE}/metrics.parquet",
    log:
        f"results/logs/pretrain/{LINEAGE}.log",
    conda:
        "../../envs/train.yaml"
    threads: study.settings.threads
    resources:
        gpu=int(study.settings.device == "cuda"),
        mem_mb=4000,
        # Resources, not parameters: results from another device are not trained again.
        device=study.settings.device,
        attempt=lambda wildcards, attempt: attempt,
        slots_per_gpu=study.settings.slots_per_gpu,
        execution=study.settings.execution,
    params:
        run=lambda wildcards: str(run_of(wildcards)),
        precision=study.settings.precision,
        code=code_told("pretrain"),
    script:
        "../scripts/train.py"


if KEEP == "rungs":

    use rule pretrain as pretrain_rung with:
        output:
            checkpoint=CHECKPOINT,
            metrics=f"results/pretrain/{LINEAGE}/metrics.parquet",
        wildcard_constraints:
            length="|".join(f"e{epochs}" for epochs in RUNGS),
            start=r"(?!ticket)[^/_]+",

    ruleorder: pretrain_rung > pretrain


use rule pretrain as tune with:
    input:
        unpack(inputs_of("tune")),
    output:
        metrics=f"results/tune/{LINEAGE}/metrics.parquet",
    log:
        f"results/logs/tune/{LINEAGE}.log",
    params:
        run=lambda wildcards: str(run_of(wildcards)),
        precision=study.settings.precision,
        code=code_told("tune"),
