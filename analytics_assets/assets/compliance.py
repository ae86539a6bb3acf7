"""The asset ``retention/compliance_report``: the privacy report of the day, kept.

Belongs here: the report as Dagster sees it. Does not: what it says (privacy/compliance.py).
Invariant: it is made after the pruning, and its metadata count tables and periods, never people.
"""

import dagster as dg

from analytics_assets.assets.specs import OWNERS, column_schema
from analytics_assets.partitions import SINGLE_RUN
from analytics_assets.privacy.plan import shipped_plan
from analytics_assets.resources import Platform


def compliance_assets(daily: dg.DailyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    @dg.asset(
        key=["retention", "compliance_report"],
        group_name="retention",
        description=(
            "What is collected, why, where and for how long, who may read it, what was released "
            "and withheld, and how the attacks on it went; the newest row of ops.privacy_reports."
        ),
        owners=OWNERS,
        kinds={"postgres", "python"},
        metadata={"dagster/column_schema": column_schema("ops", "privacy_reports")},
        deps=[dg.AssetKey(["retention", "retention_pruned_partitions"])],
        partitions_def=daily,
        backfill_policy=SINGLE_RUN,
        pool="warehouse",
    )
    def compliance_report(platform: dg.ResourceParam[Platform]) -> dg.MaterializeResult[None]:
        from analytics_assets.privacy.compliance import keep_report, make_report, summary

        as_of = platform.settings.now()
        made = make_report(platform.database, platform.catalogue, shipped_plan(), as_of)
        with platform.connect() as connection:
            keep_report(connection, made, as_of)
        return dg.MaterializeResult(metadata=summary(made))

    return [compliance_report]
