"""Assets of zone ``raw``: records moved in from the inbox, files and other databases.

One multi-asset, because a record leaves its source for its table or for quarantine in one
transaction. Invariant: materializing any of them loads whatever waits; nothing is read twice.
"""

from collections.abc import Iterator

import dagster as dg

from analytics_assets.assets.specs import table_spec
from analytics_assets.partitions import SINGLE_RUN, window_of
from analytics_assets.resources import Platform

TABLES = (
    "platform_events",
    "rejected_events",
    "conversations",
    "messages",
    "service_jobs",
    "users",
    "servers",
)


# Ledgers that models read; loads and pruning write them, and nothing materializes them alone.
LEDGERS = ("event_schemas", "retention_floor")


def raw_assets(
    daily: dg.DailyPartitionsDefinition,
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    @dg.multi_asset(
        name="raw",
        specs=[table_spec("raw", table, kinds={"python"}, skippable=True) for table in TABLES],
        partitions_def=daily,
        backfill_policy=SINGLE_RUN,
        can_subset=True,
        pool="warehouse",
        retry_policy=dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL),
    )
    def raw(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult[None]]:
        from analytics_assets.sources.load import load_window

        report = load_window(
            database=platform.database,
            settings=platform.settings,
            catalogue=platform.catalogue,
            window=window_of(context),
        )
        for key in sorted(context.selected_asset_keys):
            yield dg.MaterializeResult(asset_key=key, metadata=report.metadata(key.path[-1]))

    return [raw, *(table_spec("ops", ledger, kinds={"python"}) for ledger in LEDGERS)]
