"""Remedies: the arms of a figure compared, at what each of them costs."""

with_arms = [name for name, figure in study.figures.items() if figure.has_arms]


rule remedies_network:
    output:
        layout.network_costs(study.name, "{figure}"),
    log:
        f"results/logs/calibration/{study.name}/{{figure}}.log",
    wildcard_constraints:
        figure=layout.any_of(with_arms),
    localrule: True
    conda:
        "../../envs/train.yaml"
    params:
        workloads=lambda wildcards: [str(inputs.workload(figure_of(wildcards)))],
        code=lambda wildcards: digests.calibration(
            [inputs.workload(figure_of(wildcards))]
        ),
        adapter=digests.script("network_costs.py"),
    script:
        "../scripts/network_costs.py"


rule summarise_remedies:
    input:
        runs=layout.summary(study.name, "runs", "{figure}"),
        curves=layout.summary(study.name, "curves", "{figure}"),
        network=layout.network_costs(study.name, "{figure}"),
    output:
        remedies=layout.summary(study.name, "remedies", "{figure}"),
        tried=layout.summary(study.name, "tried", "{figure}"),
        page=report(
            layout.remedies_page(study.name, "{figure}"),
            caption="../report/remedies.rst",
            category="Tables",
            labels={"table": "remedies", "study": f"{study.name}, {{figure}}"},
        ),
    log:
        f"results/logs/summary/{study.name}/{{figure}}_remedies.log",
    wildcard_constraints:
        figure=layout.any_of(with_arms),
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        title=lambda wildcards: study.figures[wildcards.figure].settings.title,
        caption=lambda wildcards: study.figures[wildcards.figure].settings.caption,
        roles=lambda wildcards: json.dumps(study.figures[wildcards.figure].roles),
        labels=lambda wildcards: json.dumps(study.figures[wildcards.figure].labels),
        code=digests.remedies(),
        adapter=digests.script("summarise_remedies.py"),
    script:
        "../scripts/summarise_remedies.py"
