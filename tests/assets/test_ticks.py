"""When schedules and sensors ask for runs, for which days, and whom they tell."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from servers.slack import SlackServer

from analytics_assets.definitions import build_definitions
from analytics_assets.jobs import EVERYTHING, REFRESH, RETENTION
from analytics_assets.partitions import range_tags, window_of
from analytics_assets.resources import Platform
from analytics_assets.sensors import DIRTY_TAG, MAX_ATTEMPTS
from analytics_assets.settings import Settings, load_settings
from analytics_assets.store import dirty_days
from analytics_assets.store.database import Database
from analytics_assets.windows import Window

FIRST, LAST = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
NO_PAUSE = "analytics_assets.sensors.RETRY_PAUSE"


# --- schedules ------------------------------------------------------------------------------------


def requested(
    repository: dg.RepositoryDefinition, name: str, at: datetime
) -> list[tuple[str | None, str | None]]:
    """(partition, run key) of what a schedule asks for at a moment."""
    context = dg.build_schedule_context(
        scheduled_execution_time=at, repository_def=repository, instance=None
    )
    data = repository.get_schedule_def(name).evaluate_tick(context)
    return [(request.partition_key, request.run_key) for request in data.run_requests or []]


@pytest.mark.parametrize(
    ("name", "cron", "job"),
    [
        ("hourly", "0 * * * *", REFRESH),
        ("retention", "0 2 * * *", RETENTION),
        ("daily", "30 2 * * *", EVERYTHING),
    ],
)
def test_schedules_run_by_utc_and_are_on_from_the_start(
    repository: dg.RepositoryDefinition, name: str, cron: str, job: str
) -> None:
    schedule = repository.get_schedule_def(name)
    assert (schedule.cron_schedule, schedule.execution_timezone) == (cron, "UTC")
    assert schedule.job_name == job
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_the_hour_is_for_the_open_day_and_the_night_for_yesterday(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, start_day="2026-01-01")
    repository = build_definitions(settings).get_repository_def()
    at = datetime(2026, 1, 31, 23, tzinfo=UTC)
    assert requested(repository, "hourly", at) == [("2026-01-31", f"2026-01-31@{at.isoformat()}")]

    at = datetime(2026, 2, 1, tzinfo=UTC)
    [(day, first)] = requested(repository, "hourly", at)
    [(again, second)] = requested(repository, "hourly", at.replace(hour=1))
    assert day == again == "2026-02-01"
    assert first != second, "a key is remembered for ever: the next hour would be skipped"

    at = datetime(2026, 2, 1, 2, 30, tzinfo=UTC)
    assert [day for day, _ in requested(repository, "daily", at)] == ["2026-01-31"]
    assert [day for day, _ in requested(repository, "retention", at)] == ["2026-02-01"]


def test_a_pinned_clock_schedules_its_own_days(repository: dg.RepositoryDefinition) -> None:
    at = datetime(2031, 1, 1, 2, 30, tzinfo=UTC)
    assert [day for day, _ in requested(repository, "hourly", at)] == ["2026-06-08"]
    assert [day for day, _ in requested(repository, "daily", at)] == ["2026-06-07"]


def test_there_is_no_yesterday_on_the_first_day(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, start_day="2026-04-27", as_of="2026-04-27T12:00:00Z")
    repository = build_definitions(settings).get_repository_def()
    at = datetime(2026, 4, 27, 2, 30, tzinfo=UTC)
    assert requested(repository, "daily", at) == []
    assert [day for day, _ in requested(repository, "hourly", at)] == ["2026-04-27"]


# --- days to rebuild ------------------------------------------------------------------------------


@pytest.fixture
def platform(settings: Settings) -> Platform:
    return Platform(settings)


def mark(platform: Platform, *days: date) -> None:
    with platform.connect() as connection:
        dirty_days.mark(connection, days, "late_data")


def tick(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, platform: Platform
) -> list[dg.RunRequest]:
    """What the sensor asks for now."""
    context = dg.build_sensor_context(
        instance=instance, repository_def=repository, resources={"platform": platform}
    )
    return list(repository.get_sensor_def("dirty_days").evaluate_tick(context).run_requests or [])


def launch(
    instance: dg.DagsterInstance, request: dg.RunRequest, status: dg.DagsterRunStatus
) -> None:
    """A run of that request, as the daemon would have made it, in a state."""
    run = instance.create_run_for_job(
        a_job, tags={**request.tags, "dagster/run_key": request.run_key or ""}
    )
    instance.report_engine_event("made by a test", run)
    if status == dg.DagsterRunStatus.FAILURE:
        instance.report_run_failed(run, "as asked")
    else:
        assert status == dg.DagsterRunStatus.NOT_STARTED


@dg.job
def a_job() -> None:
    """Nothing."""


def test_nothing_dirty_asks_for_nothing(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, platform: Platform
) -> None:
    assert tick(repository, instance, platform) == []
    mark(platform, date(2020, 1, 1))
    assert tick(repository, instance, platform) == [], "not a day of this deployment"


def test_near_islands_of_dirty_days_become_one_range(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, platform: Platform
) -> None:
    mark(platform, date(2026, 5, 3), date(2026, 5, 4), date(2026, 5, 20))
    [request] = tick(repository, instance, platform)
    assert (request.tags[FIRST], request.tags[LAST]) == ("2026-05-03", "2026-05-20")


def test_a_day_of_the_inbox_waits_too(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, platform: Platform
) -> None:
    with platform.database.connect("analytics_api") as connection:
        connection.execute(
            """
            insert into inbox.entries (kind, source, payload)
            values ('event', 'test', '{"timestamp": "2026-05-05T10:00:00Z"}')
            """
        )
    [request] = tick(repository, instance, platform)
    assert (request.tags[FIRST], request.tags[LAST]) == ("2026-05-05", "2026-05-05")


def test_a_day_is_not_offered_while_its_run_is_under_way_and_is_again_when_dirtied_anew(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, platform: Platform
) -> None:
    mark(platform, date(2026, 5, 3))
    [first] = tick(repository, instance, platform)
    assert [r.run_key for r in tick(repository, instance, platform)] == [first.run_key]
    launch(instance, first, dg.DagsterRunStatus.NOT_STARTED)
    assert tick(repository, instance, platform) == []

    mark(platform, date(2026, 5, 3))
    [second] = tick(repository, instance, platform)
    assert second.run_key != first.run_key


def test_a_failed_rebuild_rests_and_is_tried_again_a_few_times(
    repository: dg.RepositoryDefinition,
    instance: dg.DagsterInstance,
    platform: Platform,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark(platform, date(2026, 5, 3))
    [request] = tick(repository, instance, platform)
    launch(instance, request, dg.DagsterRunStatus.FAILURE)
    assert tick(repository, instance, platform) == [], "it rests first"

    monkeypatch.setattr(NO_PAUSE, timedelta(days=-1))
    keys = {request.run_key}
    for _ in range(MAX_ATTEMPTS - 1):
        [request] = tick(repository, instance, platform)
        keys.add(request.run_key)
        launch(instance, request, dg.DagsterRunStatus.FAILURE)
    assert len(keys) == MAX_ATTEMPTS
    assert tick(repository, instance, platform) == [], "a day that never works is left alone"


def test_a_rebuilt_day_is_not_offered_any_more(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, platform: Platform
) -> None:
    mark(platform, date(2026, 5, 3))
    [request] = tick(repository, instance, platform)
    assert request.tags[DIRTY_TAG]
    with platform.connect() as connection:
        newest = dirty_days.newest_revision(connection)
        dirty_days.close(connection, newest, Window.of_day(date(2026, 5, 3)), "run")
    assert tick(repository, instance, platform) == []


# --- runs that ended ------------------------------------------------------------------------------


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


@pytest.fixture
def failed_run(
    settings: Settings, instance: dg.DagsterInstance
) -> tuple[dg.DagsterRun, dg.DagsterEvent]:
    """A run over three days in which one step failed, and its failure event."""
    daily = dg.DailyPartitionsDefinition("2026-04-27")

    @dg.asset(partitions_def=daily, backfill_policy=dg.BackfillPolicy.single_run())
    def broken(context: dg.AssetExecutionContext) -> None:
        assert len(window_of(context)) == 3
        raise ValueError("octo@example.com has a broken row")

    job = dg.Definitions(
        assets=[broken], jobs=[dg.define_asset_job(EVERYTHING, "*")]
    ).resolve_job_def(EVERYTHING)
    tags = range_tags(Window(date(2026, 5, 1), date(2026, 5, 4)), daily)
    result = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
    assert not result.success
    [event] = [e for e in result.all_events if e.event_type == dg.DagsterEventType.RUN_FAILURE]
    return result.dagster_run, event


def tell(
    settings: Settings,
    instance: dg.DagsterInstance,
    failed: tuple[dg.DagsterRun, dg.DagsterEvent],
    name: str = "run_failed",
) -> None:
    sensor = build_definitions(settings).get_repository_def().get_sensor_def(name)
    context = dg.build_run_status_sensor_context(
        sensor_name=name,
        dagster_instance=instance,
        dagster_run=failed[0],
        dagster_event=failed[1],
        resources={"platform": Platform(settings)},
    )
    sensor(context.for_run_failure() if name == "run_failed" else context)


def with_webhook(settings: Settings, url: str) -> Settings:
    from pydantic import SecretStr

    return settings.model_copy(update={"slack_webhook_url": SecretStr(url)})


def test_a_failed_run_is_told_with_job_days_and_step_and_nothing_of_the_rows(
    settings: Settings,
    instance: dg.DagsterInstance,
    failed_run: tuple[dg.DagsterRun, dg.DagsterEvent],
    slack: SlackServer,
) -> None:
    tell(with_webhook(settings, slack.url), instance, failed_run)
    [post] = slack.posts
    for part in (EVERYTHING, "2026-05-01 to 2026-05-03", failed_run[0].run_id[:8], "in: broken"):
        assert part in post["text"]
    assert "octo" not in post["text"]


def test_how_long_a_run_took_is_kept_with_its_days(
    settings: Settings,
    database: Database,
    instance: dg.DagsterInstance,
    failed_run: tuple[dg.DagsterRun, dg.DagsterEvent],
) -> None:
    tell(settings, instance, failed_run)
    tell(settings, instance, failed_run, "run_canceled")
    with database.connect("analytics_pipeline") as connection:
        rows = connection.execute(
            """
            select run_id, job_name, status, partition_start, partition_end,
                seconds = extract(epoch from finished_at - started_at) and seconds >= 0
            from ops.run_durations
            """
        ).fetchall()
    assert rows == [
        (failed_run[0].run_id, EVERYTHING, "FAILURE", date(2026, 5, 1), date(2026, 5, 3), True)
    ]


def test_a_webhook_that_refuses_does_not_fail_the_sensor_and_the_run_is_kept(
    settings: Settings,
    database: Database,
    instance: dg.DagsterInstance,
    failed_run: tuple[dg.DagsterRun, dg.DagsterEvent],
    slack: SlackServer,
) -> None:
    slack.status = 500
    tell(with_webhook(settings, slack.url), instance, failed_run)
    tell(with_webhook(settings, "http://127.0.0.1:1/secret"), instance, failed_run)
    with database.connect("analytics_pipeline") as connection:
        assert connection.execute("select count(*) from ops.run_durations").fetchone() == (1,)
