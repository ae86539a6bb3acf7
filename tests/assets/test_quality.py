"""What the checks on incoming data pass and what they do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from analytics_assets.events.catalogue import load_catalogue
from analytics_assets.events.quality import freshness, rejected_share, row_count_anomaly
from analytics_assets.settings import Settings
from analytics_assets.sources.load import load_window
from analytics_assets.store.database import Database
from analytics_assets.windows import Window

MONDAY = date(2026, 3, 2)
TODAY = date(2026, 6, 8)
NOW = datetime(2026, 6, 8, 12, tzinfo=UTC)
WINDOW = Window(TODAY - timedelta(days=2), TODAY + timedelta(days=1))


@pytest.fixture
def pipeline(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        connection.execute(
            """
            create table raw.platform_events_action partition of raw.platform_events
                for values in ('action') partition by range (day);
            create table raw.some_events partition of raw.platform_events_action
                for values from ('2026-01-01') to ('2027-01-01');
            create table raw.some_rejected partition of raw.rejected_events
                for values from ('2026-01-01') to ('2027-01-01')
            """
        )
        yield connection


def store_events(connection: psycopg.Connection[Any], at: datetime, rows: int = 1) -> None:
    connection.execute(
        """
        insert into raw.platform_events
            (event_category, day, event_id, event_type, "timestamp", source)
        select 'action', %(day)s, gen_random_uuid(), 'download', %(at)s, 'test'
        from generate_series(1, %(rows)s)
        """,
        {"day": at.astimezone(UTC).date(), "at": at, "rows": rows},
    )


def reject(
    connection: psycopg.Connection[Any],
    rows: int,
    code: str = "unknown_event_type",
    status: str = "rejected",
    day: date = TODAY,
) -> None:
    connection.execute(
        """
        insert into raw.rejected_events (
            received_day, rejected_id, received_at, kind, source, payload, event_type,
            processing_status, error_code, error_message
        )
        select %(day)s::date, gen_random_uuid(), %(day)s::date, 'event', 'test',
            '{"user_id": "ada@example.org"}', 'ada@example.org', %(status)s, %(code)s,
            'no such type: ada@example.org'
        from generate_series(1, %(rows)s)
        """,
        {"day": day, "rows": rows, "status": status, "code": code},
    )


def log_load(connection: psycopg.Connection[Any], rows: int, at: datetime) -> None:
    connection.execute(
        """
        insert into ops.load_log (source, fingerprint, chunk, lane, rows_loaded, loaded_at)
        values ('history', 'f', 0, 0, %s, %s)
        """,
        [rows, at],
    )


def test_up_to_one_rejected_row_in_twenty_passes(pipeline: psycopg.Connection[Any]) -> None:
    store_events(pipeline, NOW, 190)
    reject(pipeline, 10)
    outcome = rejected_share(pipeline, WINDOW)
    assert outcome.passed
    assert outcome.facts["share"] == 0.05

    reject(pipeline, 1)
    assert not rejected_share(pipeline, WINDOW).passed
    assert rejected_share(pipeline, WINDOW, limit=0.06).passed


def test_the_reasons_are_listed_by_number_and_nothing_of_the_rows_is_told(
    pipeline: psycopg.Connection[Any],
) -> None:
    reject(pipeline, 2, "not_json")
    reject(pipeline, 7)
    outcome = rejected_share(pipeline, WINDOW)
    assert not outcome.passed
    assert outcome.facts["top_error_codes"] == "unknown_event_type 7, not_json 2"
    assert "9 of 9 rows received were rejected (100.0%)" in outcome.explanation
    assert "ada" not in f"{outcome}"


def test_replayed_discarded_and_earlier_rows_do_not_count(
    pipeline: psycopg.Connection[Any],
) -> None:
    reject(pipeline, 20, status="replayed")
    reject(pipeline, 20, status="discarded")
    reject(pipeline, 20, day=WINDOW.start - timedelta(days=1))
    assert rejected_share(pipeline, WINDOW).explanation == "nothing was rejected"


def test_a_few_rejected_rows_among_few_pass(pipeline: psycopg.Connection[Any]) -> None:
    store_events(pipeline, NOW, 6)
    reject(pipeline, 4)
    assert rejected_share(pipeline, WINDOW).passed
    reject(pipeline, 1)
    assert not rejected_share(pipeline, WINDOW).passed


def test_rejections_of_a_history_loaded_today_stand_against_the_whole_history(
    pipeline: psycopg.Connection[Any],
) -> None:
    store_events(pipeline, NOW, 10)
    reject(pipeline, 100)
    log_load(pipeline, 9_900, NOW)
    outcome = rejected_share(pipeline, WINDOW)
    assert outcome.passed
    assert outcome.facts["received"] == 10_000
    earlier = Window(WINDOW.start, TODAY)
    reject(pipeline, 100, day=WINDOW.start)
    assert not rejected_share(pipeline, earlier).passed


def test_a_files_rows_count_once_and_on_the_day_of_the_platforms_clock(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    events = "\n".join(
        json.dumps({"event_type": "download", "timestamp": "2026-05-05T10:00:00Z", "user_id": "u"})
        for _ in range(50)
    )
    (tmp_path / "events.jsonl").write_text(events + "\nnot json\n" * 6, encoding="utf-8")
    sources = tmp_path / "sources.yaml"
    sources.write_text(
        "sources: [{name: file, type: files, table: platform_events, path: events.jsonl,"
        ' select: "select event_type, timestamp, user_id,'
        " {'media_id': 'm'} as event_data from source\"}]",
        encoding="utf-8",
    )
    today = settings.now().date()
    load_window(
        database,
        settings.model_copy(update={"sources_file": sources}),
        load_catalogue([]),
        Window.of_day(today),
    )
    with database.connect("analytics_pipeline") as connection:
        outcome = rejected_share(connection, Window.of_day(today))
    assert (outcome.facts["rejected"], outcome.facts["received"]) == (6, 56)


def test_events_of_the_last_26_hours_are_fresh(pipeline: psycopg.Connection[Any]) -> None:
    store_events(pipeline, NOW - timedelta(hours=26))
    outcome = freshness(pipeline, NOW)
    assert outcome.passed
    assert outcome.facts["age_hours"] == 26.0
    stale = freshness(pipeline, NOW + timedelta(minutes=1))
    assert not stale.passed
    assert freshness(pipeline, NOW + timedelta(minutes=1), timedelta(hours=27)).passed


def test_the_age_is_that_of_the_newest_event_however_old_and_whenever_loaded(
    pipeline: psycopg.Connection[Any],
) -> None:
    store_events(pipeline, NOW - timedelta(days=70))
    store_events(pipeline, NOW - timedelta(days=50))
    outcome = freshness(pipeline, NOW)
    assert not outcome.passed
    assert outcome.facts["age_hours"] == 50 * 24
    assert outcome.facts["newest_day"] == "2026-04-19"


def test_an_event_of_a_clock_that_runs_ahead_is_fresh(pipeline: psycopg.Connection[Any]) -> None:
    store_events(pipeline, NOW + timedelta(minutes=4))
    outcome = freshness(pipeline, NOW)
    assert outcome.passed
    assert "0.0 h old" in outcome.explanation


def test_a_platform_without_events_is_not_fresh(pipeline: psycopg.Connection[Any]) -> None:
    outcome = freshness(pipeline, NOW)
    assert not outcome.passed
    assert "no events yet" in outcome.explanation


Aggregate = Callable[[int, Callable[[int], int]], None]


@pytest.fixture
def aggregate(pipeline: psycopg.Connection[Any]) -> Aggregate:
    """Fill daily aggregates for so many days from MONDAY on, by the day's number."""
    pipeline.execute(
        """
        create table marts.event_aggregations (
            event_type text, event_category text, aggregation_type text,
            period_start timestamptz, total_events bigint, unique_users bigint, day date
        )
        """
    )

    def fill(days: int, events: Callable[[int], int]) -> None:
        with pipeline.cursor() as cursor:
            cursor.executemany(
                """
                insert into marts.event_aggregations
                values (%(type)s, 'action', %(kind)s, null, %(n)s, 1, %(day)s)
                """,
                [
                    {"type": name, "kind": kind, "n": n, "day": MONDAY + timedelta(days=day)}
                    for day in range(days)
                    for name, kind, n in (
                        ("download", "daily", events(day) // 2),
                        ("share", "daily", events(day) - events(day) // 2),
                        # Sums of the same events, which must not be counted twice.
                        ("download", "hourly", 10**6 * (day % 2)),
                        ("download", "weekly", 10**7 * (day % 3)),
                    )
                    if events(day)
                ],
            )

    return fill


def usual(day: int) -> int:
    """1000 events on weekdays, 100 at weekends, some noise."""
    return (100 if day % 7 > 4 else 1000) + (day * 37) % 50


def days(first: int, after: int) -> Window:
    return Window(MONDAY + timedelta(days=first), MONDAY + timedelta(days=after))


def test_quiet_weekends_are_no_anomaly(
    pipeline: psycopg.Connection[Any], aggregate: Aggregate
) -> None:
    aggregate(42, usual)
    outcome = row_count_anomaly(pipeline, days(0, 42))
    assert outcome.passed
    assert outcome.facts["days_judged"] == 42 - 14


@pytest.mark.parametrize("strange", [0, 300, 2500])
def test_a_weekday_like_a_weekend_or_a_doubled_one_is(
    strange: int, pipeline: psycopg.Connection[Any], aggregate: Aggregate
) -> None:
    aggregate(42, lambda day: strange if day == 38 else usual(day))
    outcome = row_count_anomaly(pipeline, days(30, 42))
    assert not outcome.passed
    assert outcome.facts["strange_days"] == 1
    assert outcome.facts["worst_day"] == "2026-04-09"
    assert "2026-04-09 has" in outcome.explanation
    assert row_count_anomaly(pipeline, days(30, 38)).passed


def test_one_strange_day_does_not_make_the_days_after_it_strange(
    pipeline: psycopg.Connection[Any], aggregate: Aggregate
) -> None:
    aggregate(60, lambda day: 20_000 if day == 30 else usual(day))
    assert row_count_anomaly(pipeline, days(31, 60)).passed


def test_a_small_deployments_noise_is_no_anomaly(
    pipeline: psycopg.Connection[Any], aggregate: Aggregate
) -> None:
    aggregate(42, lambda day: 1 + (day * 5) % 7)
    assert row_count_anomaly(pipeline, days(0, 42)).passed


def test_without_two_weeks_of_history_nothing_is_judged(
    pipeline: psycopg.Connection[Any], aggregate: Aggregate
) -> None:
    aggregate(14, lambda day: 10_000 if day == 13 else 10)
    outcome = row_count_anomaly(pipeline, days(0, 14))
    assert outcome.passed
    assert "not enough history" in outcome.explanation


def test_the_open_day_may_have_few_events_but_not_many(
    pipeline: psycopg.Connection[Any], aggregate: Aggregate
) -> None:
    aggregate(43, lambda day: 3 if day == 42 else usual(day))
    noon = datetime.combine(MONDAY, datetime.min.time(), tzinfo=UTC) + timedelta(days=42.5)
    assert row_count_anomaly(pipeline, days(42, 43), noon).passed
    assert not row_count_anomaly(pipeline, days(42, 43), noon + timedelta(days=1)).passed
    assert not row_count_anomaly(pipeline, days(42, 43)).passed
    pipeline.execute(
        "update marts.event_aggregations set total_events = 9000 where total_events = 2"
    )
    assert not row_count_anomaly(pipeline, days(42, 43), noon).passed


def test_days_that_nothing_has_reached_yet_are_left_to_freshness(
    pipeline: psycopg.Connection[Any], aggregate: Aggregate
) -> None:
    aggregate(40, usual)
    assert row_count_anomaly(pipeline, days(38, 50)).passed
    assert row_count_anomaly(pipeline, days(45, 50)).facts == {"days_judged": 0}


def test_before_the_first_build_there_is_nothing_to_judge(
    pipeline: psycopg.Connection[Any],
) -> None:
    assert "not built yet" in row_count_anomaly(pipeline, WINDOW).explanation
