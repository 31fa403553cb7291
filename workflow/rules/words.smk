"""Words: all that a path, a configuration or a figure may hold, those of extensions too."""


# It has no output and so is told anew every time.
rule words:
    input:
        nothing,
    log:
        f"results/logs/words/{study.name}.log",
    localrule: True
    conda:
        "../../envs/budget.yaml"
    script:
        "../scripts/words.py"
