"""Assets of zone ``marts`` (and the SQL part of ``insights``): one dbt invocation.

Belongs here: the stage as Dagster sees it. Does not: SQL, which is in dbt/models. Invariant: each
table's window is deleted and rebuilt in one transaction, and dirty days are closed by the run that
has rebuilt all of them.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from analytics_assets.assets.dbt_models import dbt_stage
from analytics_assets.partitions import window_of
from analytics_assets.resources import Dbt, Platform, run_dbt
from analytics_assets.settings import Settings


def marts_assets(
    settings: Settings, daily: dg.DailyPartitionsDefinition
) -> list[dg.AssetsDefinition]:
    @dbt_stage("marts", settings, daily)
    def marts(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], dbt: Dbt
    ) -> Iterator[Any]:
        from analytics_assets.store import dirty_days

        window = window_of(context)
        with platform.connect() as connection:
            # Read before building: what is dirtied meanwhile stays open for another run.
            revision = dirty_days.newest_revision(connection)
        yield from run_dbt(dbt, platform, context, window)
        if not context.is_subset:
            with platform.connect() as connection:
                dirty_days.close(connection, revision, window, context.run_id)

    return [marts]
