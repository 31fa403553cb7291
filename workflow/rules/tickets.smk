"""Lottery tickets: the mask of a level, pruned from the state at the end of the level before."""


rule prune:
    input:
        unpack(inputs_of(kinds.MASK)),
    output:
        "results/masks/{run}/mask.safetensors",
    log:
        "results/logs/masks/{run}.log",
    localrule: True
    conda:
        "../../envs/train.yaml"
    resources:
        attempt=lambda wildcards, attempt: attempt,
    params:
        precision=study.settings.precision,
        code=code_of(kinds.MASK),
    script:
        "../scripts/prune.py"
