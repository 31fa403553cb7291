"""Warm starts, plasticity and the early phase of training: from a configuration to figures."""

import json
import sys


configfile: f"{workflow.basedir}/config.yaml"  # found also with --directory


# Whoever ends a job signals all of its processes, also the shell that started it. An older bash
# would be waiting for its command, end at once and take the job along before its state is saved.
shell.prefix("set -euo pipefail; exec ")


include: "workflow/rules/common.smk"
include: "workflow/rules/made_from.smk"


study = checked(Study, config)
require_results(writable=False)
asked = checked(study.asked, sys.argv[1:])  # Snakemake learns of its targets only later
needed = checked(pending.pending, asked.jobs, asked.states, is_current)


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/tickets.smk"
include: "workflow/rules/observe.smk"
include: "workflow/rules/summary.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/preview.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/budget.smk"
include: "workflow/rules/scale.smk"


onstart:
    if workflow.is_main_process:
        digests.plan()
    require_results(writable=True)
    require_sources()
    require_throughput()
    require_device()
    require_parents()
    advise_limit()
    forget_refusals()
    lift_rate_limit()
    shorten_slurm_logs()


rule all:
    default_target: True
    input:
        [
            layout.figure(study.name, figure.name, suffix)
            for figure in study.targets
            for suffix in layout.FIGURE_SUFFIXES
        ],
        layout.gap_table(study.name),
        layout.claims(study.name, "html"),
    localrule: True
