"""Sensors: days to rebuild, runs that failed, how long runs took.

Belongs here: turning what the database or Dagster reports into run requests and messages. Does
not: deciding what is dirty (store/dirty_days.py). Invariant: the ledger is the truth, not the
cursor: a day is offered until a run has rebuilt it.
https://docs.dagster.io/guides/automate/sensors
"""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from analytics_assets.jobs import EVERYTHING
from analytics_assets.notify import NotPosted, post_to_webhook
from analytics_assets.partitions import RANGE_END_TAG, RANGE_START_TAG, range_tags
from analytics_assets.resources import Platform
from analytics_assets.windows import Window, coalesce

DIRTY_TAG = "analytics/dirty"
PARTITION_TAG = "dagster/partition"
# Islands of dirty days closer than this become one range: a run costs more than a clean day.
MAX_GAP_DAYS = 31
MAX_ATTEMPTS = 5
RETRY_PAUSE = timedelta(minutes=5)


def build_sensors(daily: dg.DailyPartitionsDefinition) -> list[dg.SensorDefinition]:
    @dg.sensor(
        name="dirty_days",
        job_name=EVERYTHING,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def dirty_days(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
    ) -> dg.SensorResult | dg.SkipReason:
        """Rebuild the days in the inbox and those that loads, replays and deletions dirtied."""
        from analytics_assets.store.dirty_days import days_waiting

        with platform.connect() as connection:
            waiting = days_waiting(connection)
        known = [day for day in waiting.days if daily.has_partition_key(day.isoformat())]
        if not known:
            return dg.SkipReason("no day waits to be rebuilt")
        requests = []
        for window in coalesce(known, max_gap=MAX_GAP_DAYS):
            marker = f"{window.start}:{window.last_day}:{waiting.marker}"
            attempt = _next_attempt(context.instance, marker)
            if attempt is not None:
                requests.append(_rebuild(window, marker, attempt, daily))
        return dg.SensorResult(run_requests=requests)

    @dg.run_failure_sensor(
        name="run_failed",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
    )
    def run_failed(
        context: dg.RunFailureSensorContext, platform: dg.ResourceParam[Platform]
    ) -> None:
        """Tell the team which run failed, and keep how long it took."""
        _record(context, platform)
        url = platform.settings.slack_webhook_url
        if url is None:
            return
        run = context.dagster_run
        steps = ", ".join(
            sorted({event.step_key or "?" for event in context.get_step_failure_events()})
        )
        text = (
            f":rotating_light: {run.job_name} failed for {_days(run)[0]} to {_days(run)[1]}"
            f" (run {run.run_id[:8]}), in: {steps or 'start-up'}"
        )
        try:
            post_to_webhook(url, {"text": text})
        except NotPosted as error:
            context.log.error(str(error))

    def durations(name: str, status: dg.DagsterRunStatus) -> dg.SensorDefinition:
        @dg.run_status_sensor(
            name=name,
            run_status=status,
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=30,
            description="Keep how long the run took in ops.run_durations.",
        )
        def record(
            context: dg.RunStatusSensorContext, platform: dg.ResourceParam[Platform]
        ) -> None:
            _record(context, platform)

        return record

    return [
        dirty_days,
        run_failed,
        durations("run_succeeded", dg.DagsterRunStatus.SUCCESS),
        durations("run_canceled", dg.DagsterRunStatus.CANCELED),
    ]


def _rebuild(
    window: Window, marker: str, attempt: int, daily: dg.DailyPartitionsDefinition
) -> dg.RunRequest:
    return dg.RunRequest(
        # Keys are remembered for ever: the revision and the attempt keep a re-dirtied or failed
        # window from being skipped silently.
        run_key=f"dirty:{marker}:{attempt}",
        tags={**range_tags(window, daily), DIRTY_TAG: marker},
    )


def _next_attempt(instance: dg.DagsterInstance, marker: str) -> int | None:
    """Number of the next try, or None while one runs, rests or all have been used."""
    records = instance.get_run_records(dg.RunsFilter(tags={DIRTY_TAG: marker}))
    if any(not record.dagster_run.is_finished for record in records):
        return None
    if len(records) >= MAX_ATTEMPTS:
        return None
    newest = max((record.end_time or 0 for record in records), default=0)
    if newest and datetime.now(UTC) - datetime.fromtimestamp(newest, UTC) < RETRY_PAUSE:
        return None
    return len(records) + 1


def _days(run: dg.DagsterRun) -> tuple[str | None, str | None]:
    only = run.tags.get(PARTITION_TAG)
    return run.tags.get(RANGE_START_TAG, only), run.tags.get(RANGE_END_TAG, only)


def _record(context: dg.RunStatusSensorContext, platform: Platform) -> None:
    from analytics_assets.store.run_durations import RunDuration, record_run

    run = context.dagster_run
    record = context.instance.get_run_record_by_id(run.run_id)
    if record is None:
        return
    first, last = _days(run)
    with platform.connect() as connection:
        record_run(
            connection,
            RunDuration(
                run_id=run.run_id,
                job_name=run.job_name,
                status=run.status.value,
                started_at=_moment(record.start_time),
                finished_at=_moment(record.end_time),
                partition_start=date.fromisoformat(first) if first else None,
                partition_end=date.fromisoformat(last) if last else None,
            ),
        )


def _moment(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
