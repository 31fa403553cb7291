"""Training: stages to continue from (pretrain) and measured final stages (tune)."""

from plasticity.runs import rungs

CHECKPOINT = "results/pretrain/{run}/checkpoint.safetensors"
KEEP = study.settings.keep


rule pretrain:
    input:
        unpack(inputs_of(kinds.PRETRAIN)),
    output:
        checkpoint=CHECKPOINT if KEEP == "all" else temp(CHECKPOINT),
        metrics="results/pretrain/{run}/metrics.parquet",
    log:
        "results/logs/pretrain/{run}.log",
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
        evaluate_every=study.settings.evaluate_every,
    params:
        precision=study.settings.precision,
        code=code_of(kinds.PRETRAIN),
    script:
        "../scripts/train.py"


if KEEP == "rungs":

    use rule pretrain as pretrain_rung with:
        output:
            checkpoint=CHECKPOINT,
            metrics="results/pretrain/{run}/metrics.parquet",
        wildcard_constraints:
            run=rungs.pattern(),

    ruleorder: pretrain_rung > pretrain


use rule pretrain as tune with:
    input:
        unpack(inputs_of(kinds.TUNE)),
    output:
        metrics="results/tune/{run}/metrics.parquet",
    log:
        "results/logs/tune/{run}.log",
    params:
        precision=study.settings.precision,
        code=code_of(kinds.TUNE),
