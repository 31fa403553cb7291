"""Judge the paper's claims from the study's tables."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from plasticity import files, summary
from plasticity.claims.evidence import Evidence
from plasticity.claims.page import Picture, claims_page
from plasticity.claims.paper import CLAIMS
from plasticity.claims.verdict import judge, table
from plasticity.jobs import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]) as log:
    figures = json.loads(snakemake.params.figures)
    evidence = Evidence.of(
        pd.read_parquet(snakemake.input.runs),
        pd.read_parquet(snakemake.input.curves),
        {name: figure["roles"] for name, figure in figures.items()},
    )
    judgements = judge(CLAIMS, evidence)
    pictures = {
        name: Picture(figure["title"], figure["caption"], path)
        for (name, figure), path in zip(figures.items(), snakemake.input.pictures, strict=True)
    }
    page = claims_page(snakemake.params.study, judgements, pictures)
    summary.write_table(snakemake.output.table, table(judgements))
    with files.whole(snakemake.output.page) as partial:
        Path(partial).write_text(page, encoding="utf-8")
    for one in judgements:
        log(f"{one.id}: {one.verdict}. {one.reason}")
