"""Lottery tickets: the mask of a level, pruned from the state at the end of the level before."""


rule prune:
    input:
        unpack(inputs_of("masks")),
    output:
        f"results/masks/{LINEAGE}/mask.safetensors",
    log:
        f"results/logs/masks/{LINEAGE}.log",
    wildcard_constraints:
        start=r"ticket[^/_]*",
    localrule: True
    conda:
        "../../envs/train.yaml"
    resources:
        attempt=lambda wildcards, attempt: attempt,
    params:
        run=lambda wildcards: str(run_of(wildcards)),
        precision=study.settings.precision,
        code=code_told("masks"),
    script:
        "../scripts/prune.py"
