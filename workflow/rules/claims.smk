"""Claims: what a study's tables, or those of a group of figures, say of the papers' claims."""


rule claims:
    input:
        unpack(lambda wildcards: inputs.claims(study, study.targets)),
    output:
        table=layout.claims(study.name, "parquet"),
        page=report(
            layout.claims(study.name, "html"),
            caption="../report/claims.rst",
            category="Claims",
            labels={"table": "the papers' claims", "study": study.name},
        ),
    log:
        f"results/logs/claims/{study.name}.log",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        study=study.name,
        # A function, because Snakemake takes words in braces in a text for wildcards.
        figures=lambda wildcards: inputs.judged_in_words(study.targets),
        code=digests.claims(),
        adapter=digests.script("claims.py"),
    script:
        "../scripts/claims.py"


use rule claims as group_claims with:
    input:
        unpack(
            lambda wildcards: inputs.claims(
                study, group_of(wildcards), wildcards.group
            )
        ),
    output:
        table=layout.claims(f"{study.name}-{{group}}", "parquet"),
        page=report(
            layout.claims(f"{study.name}-{{group}}", "html"),
            caption="../report/claims.rst",
            category="Claims",
            labels={
                "table": "the papers' claims",
                "study": f"{study.name}, {{group}}",
            },
        ),
    log:
        f"results/logs/claims/{study.name}-{{group}}.log",
    wildcard_constraints:
        group="[^/]+",
    params:
        study=f"{study.name}, {{group}}",
        figures=lambda wildcards: inputs.judged_in_words(group_of(wildcards)),
        code=digests.claims(),
        adapter=digests.script("claims.py"),
