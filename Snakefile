"""Warm starts, plasticity and the early phase of training: from a configuration to figures."""

import json
import sys


configfile: f"{workflow.basedir}/config.yaml"  # found also with --directory


include: "workflow/rules/common.smk"


study = checked(Study, config)
require_results(writable=False)
check_targets(sys.argv[1:])  # Snakemake itself learns of its targets only later


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/summary.smk"
include: "workflow/rules/figures.smk"


onstart:
    require_results(writable=True)
    require_device()


rule all:
    default_target: True
    input:
        [
            layout.figure(study.name, figure.name, suffix)
            for figure in study.targets
            for suffix in layout.FIGURE_SUFFIXES
        ],
        layout.gap_table(study.name),
    localrule: True
