"""Budget: what the study costs, told before anything of it is run."""

from plasticity.study import budget


rule calibrate:
    input:
        # Only to come after it: on a CPU the two would slow each other.
        ancient(layout.network_costs(study.name)),
    output:
        layout.calibration(study.name),
    log:
        f"results/logs/calibration/{study.name}/throughput.log",
    conda:
        "../../envs/train.yaml"
    threads: study.settings.threads
    resources:
        gpu=int(study.settings.device == "cuda"),
        mem_mb=8000,
        slots_per_gpu=study.settings.slots_per_gpu,
    params:
        workloads=lambda wildcards: list(map(str, checked(budget.workloads_of, study))),
        device=study.settings.device,
        precision=study.settings.precision,
        execution=study.settings.execution,
        threads=study.settings.threads,
        code=lambda wildcards: digests.calibration(checked(budget.workloads_of, study)),
        adapter=digests.script("calibrate.py"),
    script:
        "../scripts/calibrate.py"


rule network_costs:
    output:
        layout.network_costs(study.name),
    log:
        f"results/logs/calibration/{study.name}/networks.log",
    localrule: True
    conda:
        "../../envs/train.yaml"
    params:
        workloads=lambda wildcards: list(map(str, checked(budget.networks_of, study))),
        code=lambda wildcards: digests.calibration(checked(budget.networks_of, study)),
        adapter=digests.script("network_costs.py"),
    script:
        "../scripts/network_costs.py"


# It has no output and so is told anew every time.
rule budget:
    input:
        **(
            {}
            if study.settings.images_per_second
            else {"calibration": layout.calibration(study.name)}
        ),
        networks=layout.network_costs(study.name),
    log:
        f"results/logs/budget/{study.name}.log",
    priority: 100
    localrule: True
    conda:
        "../../envs/budget.yaml"
    script:
        "../scripts/budget.py"
