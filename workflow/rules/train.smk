"""Training: stages to continue from (pretrain) and measured final stages (tune)."""


rule pretrain:
    input:
        unpack(pretraining_inputs),
    output:
        checkpoint=f"results/pretrain/{LINEAGE}/checkpoint.safetensors",
        metrics=f"results/pretrain/{LINEAGE}/metrics.parquet",
    log:
        f"results/logs/pretrain/{LINEAGE}.log",
    conda:
        "../../envs/train.yaml"
    threads: study.settings.threads
    resources:
        gpu=int(study.settings.device == "cuda"),
        mem_mb=4000,
        # A resource, not a parameter: results from another device are not trained again.
        device=study.settings.device,
    params:
        run=lambda wildcards: str(run_of(wildcards)),
        precision=study.settings.precision,
        code=lambda wildcards: digest.training(run_of(wildcards)),
        adapter=digest.script("train.py"),
    script:
        "../scripts/train.py"


use rule pretrain as tune with:
    input:
        unpack(training_inputs),
    output:
        metrics=f"results/tune/{LINEAGE}/metrics.parquet",
    log:
        f"results/logs/tune/{LINEAGE}.log",
