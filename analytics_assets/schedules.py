"""Schedules: hourly over the open day, retention at 02:00 UTC, the daily run after it.

Belongs here: times and the day each tick is for. Does not: late data (see sensors.py). Invariant:
the day comes from the platform's clock, so that a pinned clock schedules its own days.
https://docs.dagster.io/guides/automate/schedules
"""

from datetime import date, datetime, timedelta

import dagster as dg

from analytics_assets.jobs import EVERYTHING, REFRESH, RETENTION
from analytics_assets.settings import Settings

RUNNING = dg.DefaultScheduleStatus.RUNNING


def build_schedules(
    settings: Settings, daily: dg.DailyPartitionsDefinition
) -> list[dg.ScheduleDefinition]:
    def today(context: dg.ScheduleEvaluationContext) -> date:
        if settings.as_of is not None:
            return settings.as_of.date()
        return context.scheduled_execution_time.date()

    def run_for(day: date, at: datetime) -> dg.RunRequest | dg.SkipReason:
        key = day.isoformat()
        if not daily.has_partition_key(key):
            return dg.SkipReason(f"{key} is not a day of this deployment")
        return dg.RunRequest(run_key=f"{key}@{at.isoformat()}", partition_key=key)

    @dg.schedule(
        name="hourly",
        cron_schedule="0 * * * *",
        execution_timezone="UTC",
        job_name=REFRESH,
        default_status=RUNNING,
    )
    def hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Load what has come in and rebuild the open day."""
        return run_for(today(context), context.scheduled_execution_time)

    @dg.schedule(
        name="retention",
        cron_schedule="0 2 * * *",
        execution_timezone="UTC",
        job_name=RETENTION,
        default_status=RUNNING,
    )
    def retention(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Prune what has passed its cut-off."""
        return run_for(today(context), context.scheduled_execution_time)

    @dg.schedule(
        name="daily",
        cron_schedule="30 2 * * *",
        execution_timezone="UTC",
        job_name=EVERYTHING,
        default_status=RUNNING,
    )
    def daily_run(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Rebuild yesterday, release what has closed, ask the model, sum the day up."""
        return run_for(today(context) - timedelta(days=1), context.scheduled_execution_time)

    return [hourly, retention, daily_run]
