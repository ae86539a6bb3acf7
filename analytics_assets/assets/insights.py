"""Assets of zone ``insights`` that need Python: facets, per-user insights, groups, the summary.

Belongs here: the stage as Dagster sees it. Does not: prompts, scrubbing, providers (insights/).
Invariant: a missing key or a failing model never fails a run; the summary says what is missing.
"""

from collections.abc import Iterator

import dagster as dg

from analytics_assets.assets.specs import table_spec
from analytics_assets.partitions import SINGLE_RUN, window_of
from analytics_assets.resources import Platform


def insights_assets(daily: dg.DailyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    facets_spec = table_spec(
        "insights",
        "conversation_facets",
        kinds={"python", "gemini"},
        deps=[["raw", "messages"], ["raw", "conversations"], ["raw", "users"]],
        partitions_def=daily,
    )
    cache_spec = table_spec(
        "insights",
        "analysis_cache",
        kinds={"python", "gemini"},
        deps=[["insights", "conversation_facets"], ["insights", "user_activity"], ["raw", "users"]],
        partitions_def=daily,
    )
    summary_spec = table_spec(
        "insights",
        "daily_summary",
        kinds={"python", "slack"},
        deps=[
            ["marts", "daily_metrics"],
            ["marts", "event_aggregations"],
            ["insights", "analysis_cache"],
            ["insights", "user_activity"],
            ["insights", "metric_anomalies"],
            ["insights", "success_metrics"],
            # It quotes them: before the release, a second run would write another text.
            ["published", "ai_usage_trends"],
            ["published", "archetype_distribution"],
        ],
        partitions_def=daily,
    )

    @dg.multi_asset(
        name="conversation_facets", specs=[facets_spec], backfill_policy=SINGLE_RUN, pool="llm"
    )
    def conversation_facets(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.MaterializeResult[None]:
        from analytics_assets.insights.conversations.facets import read_window

        outcome = read_window(platform.database, window_of(context), platform.settings)
        return dg.MaterializeResult(asset_key=facets_spec.key, metadata=outcome.metadata())

    @dg.multi_asset(
        name="analysis_cache", specs=[cache_spec], backfill_policy=SINGLE_RUN, pool="llm"
    )
    def analysis_cache(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.MaterializeResult[None]:
        from analytics_assets.insights.users.analysis import analyse_window

        outcome = analyse_window(platform.database, window_of(context), platform.settings)
        return dg.MaterializeResult(asset_key=cache_spec.key, metadata=outcome.metadata())

    def from_facets(*tables: str) -> list[dg.AssetSpec]:
        return [
            table_spec(
                "insights",
                table,
                kinds={"python", "gemini"},
                deps=[["insights", "conversation_facets"]],
                partitions_def=daily,
            )
            for table in tables
        ]

    group_specs = from_facets("clusters", "use_cases", "feature_requests", "friction_points")
    persona_specs = from_facets("segments", "personas")

    @dg.multi_asset(name="groups", specs=group_specs, backfill_policy=SINGLE_RUN, pool="llm")
    def groups(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult[None]]:
        from analytics_assets.insights.groups.facet_groups import TABLES, group_window

        outcome = group_window(platform.database, window_of(context), platform.settings)
        kinds = {table.split(".")[1]: kind for kind, table in TABLES.items()}
        for spec in group_specs:
            yield dg.MaterializeResult(
                asset_key=spec.key, metadata=outcome.metadata(kinds.get(spec.key.path[-1]))
            )

    @dg.multi_asset(name="personas", specs=persona_specs, backfill_policy=SINGLE_RUN, pool="llm")
    def personas(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult[None]]:
        from analytics_assets.insights.groups.personas import persona_window

        outcome = persona_window(platform.database, window_of(context), platform.settings)
        for spec in persona_specs:
            yield dg.MaterializeResult(asset_key=spec.key, metadata=outcome.metadata())

    @dg.multi_asset(name="daily_summary", specs=[summary_spec], backfill_policy=SINGLE_RUN)
    def daily_summary(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.MaterializeResult[None]:
        from analytics_assets.insights.summary.daily_summary import summarise_window

        outcome = summarise_window(platform.database, window_of(context), platform.settings)
        return dg.MaterializeResult(asset_key=summary_spec.key, metadata=outcome.metadata())

    return [conversation_facets, analysis_cache, groups, personas, daily_summary]
