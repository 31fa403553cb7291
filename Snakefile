"""Warm starts, plasticity and the early phase of training: from a configuration to figures."""

import gc
import json

from snakemake.utils import min_version

min_version("9.27")

# A graph of jobs is a million objects that stay, and Python would look through all of them for
# garbage again and again as it grows: a fifth of the time of a dry run.
gc.freeze()
gc.set_threshold(50_000, 50, 100)


configfile: f"{workflow.basedir}/config.yaml"  # found also with --directory


# Whoever ends a job signals all of its processes, also the shell that started it. An older bash
# would be waiting for its command, end at once and take the job along before its state is saved.
shell.prefix("set -euo pipefail; exec ")


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/tickets.smk"
include: "workflow/rules/observe.smk"
include: "workflow/rules/summary.smk"
include: "workflow/rules/remedies.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/preview.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/budget.smk"
include: "workflow/rules/words.smk"


snakemake_internals.check_scripts_once()


rule all:
    default_target: True
    input:
        lambda wildcards: inputs.shown(study, study.targets),
        layout.gap_table(study.name),
        layout.claims(study.name, "html"),
    localrule: True


# Snakemake alone would only say that it has no rule for what is misspelt.
rule misspelt:
    input:
        lambda wildcards: checked(invocation.refuse, wildcards.target),
    output:
        "{target}",
    wildcard_constraints:
        target=misspelt_targets(),
    localrule: True
