"""Judge the papers' claims from the study's tables."""

import json
from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    import pandas as pd

    from plasticity.analysis import storage
    from plasticity.analysis.claims.early import TELEMETRY
    from plasticity.analysis.claims.evidence import Evidence
    from plasticity.analysis.claims.ledger import read_from
    from plasticity.analysis.claims.page import Picture, claims_page
    from plasticity.analysis.claims.verdict import judge, table

with logged(snakemake.log[0]) as log:
    figures = json.loads(snakemake.params.figures)
    # The telemetry, where the rule gives it: a path, or a list of one or none.
    given = snakemake.input.get("observations") or ()
    observed = given if isinstance(given, str) else next(iter(given), None)
    evidence = Evidence.of(
        pd.read_parquet(snakemake.input.runs),
        pd.read_parquet(snakemake.input.curves),
        {name: figure["roles"] for name, figure in figures.items()},
        {TELEMETRY: pd.read_parquet(observed)} if observed else {},
    )
    judgements = judge(read_from(figures), evidence)
    pictures = {
        name: Picture(figure["title"], figure["caption"], path)
        for (name, figure), path in zip(figures.items(), snakemake.input.pictures, strict=True)
    }
    page = claims_page(snakemake.params.study, judgements, pictures)
    storage.write_table(snakemake.output.table, table(judgements))
    storage.write_page(snakemake.output.page, page)
    for one in judgements:
        log(f"{one.id}: {one.verdict}. {one.reason}")
