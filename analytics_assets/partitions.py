"""The one partitions definition of every windowed asset, and ranges of it as run tags.

Belongs here: what ties Dagster's partitions to our windows. Does not: windows themselves (see
windows.py). Invariant: start and end come from settings, never from the clock, so that keys are
the same in every process. https://docs.dagster.io/guides/build/partitions-and-backfills
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import dagster as dg

from analytics_assets.settings import Settings
from analytics_assets.windows import Window

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
SINGLE_RUN = dg.BackfillPolicy.single_run()


def daily_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Every UTC day of the deployment, today included; up to the clock's day where it is pinned."""
    end = None
    if settings.as_of is not None:
        end = datetime.combine(settings.as_of.date() + timedelta(days=1), time.min, tzinfo=UTC)
    start = datetime.combine(settings.start_day, time.min, tzinfo=UTC)
    # Without the offset, today would become a partition only when it is over.
    return dg.DailyPartitionsDefinition(start_date=start, end_date=end, end_offset=1)


def window_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Window:
    """The window a run materializes, however many partitions it has."""
    spanned = context.partition_time_window
    return Window(spanned.start.date(), spanned.end.date())


def range_tags(window: Window, daily: dg.DailyPartitionsDefinition) -> dict[str, str]:
    """Tags that make one run of a whole window.

    Raises ValueError for days outside the deployment: Dagster itself would silently run fewer.
    """
    first, last = window.start.isoformat(), window.last_day.isoformat()
    for key in (first, last):
        if not daily.has_partition_key(key):
            known = daily.get_partition_keys()
            raise ValueError(
                f"{key} is not a day of this deployment, which has {known[0]} to {known[-1]}; "
                "set ANALYTICS_START_DAY to the first day that has data"
            )
    return {RANGE_START_TAG: first, RANGE_END_TAG: last}


def deployment_window(settings: Settings) -> Window:
    """All days of the deployment, up to and including the clock's."""
    return Window(settings.start_day, settings.now().date() + timedelta(days=1))
