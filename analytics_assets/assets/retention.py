"""Assets of zone ``retention``: partitions past their class's cut-off, dropped and proven gone.

Belongs here: the stage as Dagster sees it. Does not: cut-offs and drops (retention/). Invariant:
pruning runs after the release of everything that still needed the rows.
"""

import dagster as dg

from analytics_assets.assets.specs import OWNERS, column_schema
from analytics_assets.partitions import SINGLE_RUN
from analytics_assets.privacy.plan import shipped_plan
from analytics_assets.resources import Platform

REBUILT = (
    ["marts", "event_aggregations"],
    ["marts", "daily_metrics"],
    ["marts", "server_installs"],
    ["insights", "user_activity"],
    ["insights", "analysis_cache"],
    ["insights", "payment_signals"],
    ["insights", "return_predictions"],
    ["insights", "daily_summary"],
)


class RetentionConfig(dg.Config):
    """Run config of the pruning asset."""

    dry_run: bool = False


def released_keys() -> list[dg.AssetKey]:
    """The tables of the release plan."""
    return [dg.AssetKey(name.split(".")) for name in shipped_plan().tables]


def retention_assets(daily: dg.DailyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    @dg.asset(
        key=["retention", "retention_pruned_partitions"],
        group_name="retention",
        description=(
            "Raw partitions older than their class's retention, dropped by DROP, survivors "
            "re-counted; one row each in ops.retention_log. Released days older than their table's "
            "keep_days become sums by month."
        ),
        owners=OWNERS,
        kinds={"postgres", "python"},
        metadata={"dagster/column_schema": column_schema("ops", "retention_log")},
        deps=[*released_keys(), *(dg.AssetKey(key) for key in REBUILT)],
        partitions_def=daily,
        backfill_policy=SINGLE_RUN,
        pool="warehouse",
    )
    def retention_pruned_partitions(
        context: dg.AssetExecutionContext,
        platform: dg.ResourceParam[Platform],
        config: RetentionConfig,
    ) -> dg.MaterializeResult[None]:
        from analytics_assets.retention.prune import prune
        from analytics_assets.retention.roll_up import roll_up

        report = prune(
            platform.database,
            platform.catalogue,
            platform.settings.now(),
            platform.settings.start_day,
            dry_run=config.dry_run,
            run_id=context.run_id,
        )
        months = {} if config.dry_run else roll_up(platform.database, platform.settings.now())
        return dg.MaterializeResult(
            metadata={**report.metadata(), "released_months_summed_up": sum(months.values())}
        )

    return [retention_pruned_partitions]
