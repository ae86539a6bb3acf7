"""Assets of zones ``anonymous`` and ``published``: the release, one dbt invocation.

Belongs here: the stage as Dagster sees it. Does not: the rule itself (dbt/macros/release.sql) or
its guard (store/sql/release_guard.sql). Invariant: a period is inserted once, when it closes; a
re-run changes nothing.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from analytics_assets.assets.dbt_models import dbt_stage
from analytics_assets.partitions import window_of
from analytics_assets.resources import Dbt, Platform, run_dbt
from analytics_assets.settings import Settings


def release_assets(
    settings: Settings, daily: dg.DailyPartitionsDefinition
) -> list[dg.AssetsDefinition]:
    @dbt_stage("release", settings, daily)
    def release(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], dbt: Dbt
    ) -> Iterator[Any]:
        from analytics_assets.privacy.laplace import ensure_noise
        from analytics_assets.privacy.period_keys import ensure_period_keys

        with platform.connect() as connection:
            ensure_period_keys(connection, platform.settings.start_day, platform.settings.now())
            ensure_noise(connection)
        yield from run_dbt(dbt, platform, context, window_of(context))

    return [release]
