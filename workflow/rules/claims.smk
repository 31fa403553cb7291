"""Claims: what the study's tables say of each claim of the paper."""

from plasticity.claims import FIGURES

judged = {figure.name: figure for figure in study.targets if figure.name in FIGURES}


rule claims:
    input:
        runs=layout.summary(study.name, "runs"),
        curves=layout.summary(study.name, "curves"),
        pictures=[layout.figure(study.name, name, "png") for name in judged],
    output:
        table=layout.claims(study.name, "parquet"),
        page=report(
            layout.claims(study.name, "html"),
            caption="../report/claims.rst",
            category="Claims",
            labels={"table": "the paper's claims", "study": study.name},
        ),
    log:
        f"results/logs/claims/{study.name}.log",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        study=study.name,
        # A function, because Snakemake takes words in braces in a text for wildcards.
        figures=lambda wildcards: json.dumps(
            {
                name: {
                    "roles": figure.roles,
                    "title": figure.settings.title,
                    "caption": figure.settings.caption,
                }
                for name, figure in judged.items()
            }
        ),
        code=digest.claims(),
        adapter=digest.script("claims.py"),
    script:
        "../scripts/claims.py"
