"""Pruning on a real Postgres: what goes, what stays, and that a crash leaves nothing half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from analytics_assets.events.catalogue import Catalogue, load_catalogue
from analytics_assets.retention.person_tables import DERIVED_TABLES
from analytics_assets.retention.policy import profile_releases
from analytics_assets.retention.prune import prune
from analytics_assets.retention.report import (
    PruneReport,
    RetentionBlockedError,
    RetentionIncompleteError,
)
from analytics_assets.store.database import Database
from analytics_assets.windows import Window

START_DAY = date(2019, 1, 1)
NOW = datetime(2026, 6, 8, 2, tzinfo=UTC)
TODAY = NOW.date()
SOON = timedelta(milliseconds=200)


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture
def pipeline(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        yield connection


def store_events(
    connection: psycopg.Connection[Any],
    category: str,
    *days: date,
    rows: int = 3,
    name: str | None = None,
) -> None:
    """Events of a category, each day in a partition; ``name`` to show that names mean nothing."""
    parent = sql.Identifier("raw", f"platform_events_{category}")
    connection.execute(
        sql.SQL(
            "create table if not exists {} partition of raw.platform_events for values in ({}) "
            "partition by range (day)"
        ).format(parent, sql.Literal(category))
    )
    for day in days:
        add_partition(
            connection, parent, name or f"platform_events_{category}_{day:%Y%m%d}", day, day
        )
        insert_events(connection, category, day, rows)


def insert_events(connection: psycopg.Connection[Any], category: str, day: date, rows: int) -> None:
    connection.execute(
        """
        insert into raw.platform_events
            (event_category, day, event_id, event_type, "timestamp", user_id, source)
        select %s, %s::date, gen_random_uuid(), 'any.type', %s::date::timestamp at time zone 'UTC',
            'u' || n, 'test'
        from generate_series(1, %s) as n
        """,
        [category, day, day, rows],
    )


def store_messages(connection: psycopg.Connection[Any], *days: date) -> None:
    for day in days:
        add_partition(
            connection, sql.Identifier("raw", "messages"), f"messages_{day:%Y%m%d}", day, day
        )
        connection.execute(
            """
            insert into raw.messages
                (day, message_id, conversation_id, role, content, created_at, source)
            values (%s, 'm', 'c', 'user', 'hello', %s::date::timestamp at time zone 'UTC', 'test')
            """,
            [day, day],
        )


def add_partition(
    connection: psycopg.Connection[Any], parent: sql.Identifier, name: str, first: date, last: date
) -> None:
    connection.execute(
        sql.SQL("create table {} partition of {} for values from ({}) to ({})").format(
            sql.Identifier("raw", name),
            parent,
            sql.Literal(first),
            sql.Literal(last + timedelta(days=1)),
        )
    )


def close_releases(connection: psycopg.Connection[Any], month: Window) -> None:
    for table, kind in profile_releases():
        connection.execute(
            """
            insert into ops.release_ledger (
                release_table, period_kind, period, state, released_classes, released_people,
                plan_version
            )
            select distinct %s, %s, date_trunc(%s, day)::date, 'closed', 1, 20, 'test'
            from generate_series(%s::timestamp, %s::timestamp, interval '1 day') as day
            """,
            [table, kind, kind, month.start, month.last_day],
        )


MIGRATED = (
    "insights.analysis_cache",
    "insights.conversation_facets",
    "insights.payment_signals",
    "insights.return_predictions",
    "insights.facet_vectors",
    "insights.segments",
)


def make_derived_tables(connection: psycopg.Connection[Any]) -> None:
    """The person-level tables, as far as pruning reads them."""
    for table in DERIVED_TABLES:
        if table.name in MIGRATED:
            continue
        connection.execute(
            sql.SQL("create table {} ({} date, event_category text, user_id text)").format(
                sql.Identifier(*table.name.split(".")), sql.Identifier(table.day_column)
            )
        )


def days_left(connection: psycopg.Connection[Any], category: str) -> list[date]:
    return [
        day
        for (day,) in connection.execute(
            "select distinct day from raw.platform_events where event_category = %s order by day",
            [category],
        )
    ]


def partitions_left(connection: psycopg.Connection[Any]) -> int:
    return number(
        connection,
        "select count(*) from pg_partition_tree('raw.platform_events') as tree "
        "join pg_class as leaf on leaf.oid = tree.relid and leaf.relkind = 'r'",
    )


def number(connection: psycopg.Connection[Any], query: Any) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def floors(connection: psycopg.Connection[Any]) -> dict[str, date]:
    return dict(
        connection.execute("select event_category, kept_from from ops.retention_floor").fetchall()
    )


def logged(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return connection.execute(
        """
        select event_category, table_name, day, rows_dropped, survivors, cutoff, dry_run, run_id
        from ops.retention_log
        order by log_id
        """
    ).fetchall()


def run(database: Database, catalogue: Catalogue, **options: Any) -> PruneReport:
    return prune(database, catalogue, NOW, START_DAY, **options)


def test_each_class_is_pruned_at_its_own_age(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    old = [ago(800), ago(400), ago(46), ago(45)]
    for category in ("transaction", "analytics", "interaction", "user_activity"):
        store_events(pipeline, category, *old)

    report = run(database, catalogue, run_id="run-1")

    assert days_left(pipeline, "transaction") == old
    assert days_left(pipeline, "user_activity") == old[1:]
    assert days_left(pipeline, "interaction") == old[2:]
    assert days_left(pipeline, "analytics") == old[3:]
    assert report.partitions_dropped == {"analytics": 3, "interaction": 2, "user_activity": 1}
    assert report.raw_rows.total() == 18
    assert report.complete
    assert ("interaction", "raw.platform_events", ago(400), 3, 0, ago(365), False, "run-1") in (
        logged(pipeline)
    )
    assert len(logged(pipeline)) == 6
    assert partitions_left(pipeline) == 16 - 6


def test_a_second_pruning_finds_nothing_to_do(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    store_events(pipeline, "interaction", ago(400), ago(1))
    run(database, catalogue)
    before = logged(pipeline), floors(pipeline)

    report = run(database, catalogue)

    assert report.partitions_dropped.total() == report.raw_rows.total() == 0
    assert (logged(pipeline), floors(pipeline)) == before


def test_what_a_partition_holds_is_read_from_its_bounds(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    store_events(pipeline, "interaction", ago(1), name="platform_events_interaction_20190101")
    store_events(pipeline, "analytics", ago(100), name="kept_forever_29990101")
    run(database, catalogue)
    assert days_left(pipeline, "interaction") == [ago(1)]
    assert days_left(pipeline, "analytics") == []


def test_a_category_name_may_hold_a_quote(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    category = "o'hara"
    own = Catalogue({**catalogue.categories, category: catalogue.categories["action"]}, {})
    store_events(pipeline, category, ago(400), ago(2))
    assert prune(database, own, NOW, START_DAY).partitions_dropped == {category: 1}
    assert days_left(pipeline, category) == [ago(2)]


def test_other_raw_tables_are_pruned_too(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    store_messages(pipeline, ago(366), ago(365))
    add_partition(
        pipeline, sql.Identifier("raw", "rejected_events"), "rejected_1", ago(91), ago(91)
    )
    add_partition(
        pipeline, sql.Identifier("raw", "rejected_events"), "rejected_2", ago(90), ago(90)
    )
    report = run(database, catalogue)
    assert report.partitions_dropped == {"messages": 1, "rejected_events": 1}
    assert floors(pipeline) == {"messages": ago(365), "rejected_events": ago(90)}
    assert number(pipeline, "select count(*) from raw.messages") == 1


def test_profile_events_go_once_their_month_is_released(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    may = Window(date(2026, 5, 1), date(2026, 6, 1))
    profile_days = [date(2026, 4, 28), date(2026, 5, 1), date(2026, 5, 31), date(2026, 6, 1)]
    store_events(pipeline, "analytics", *profile_days)
    store_events(pipeline, "interaction", *profile_days)

    assert run(database, catalogue).partitions_dropped.total() == 0

    close_releases(pipeline, may)
    report = run(database, catalogue)
    # April is not in the ledger: its days wait for the age limit.
    assert days_left(pipeline, "analytics") == [date(2026, 4, 28), date(2026, 6, 1)]
    assert days_left(pipeline, "interaction") == profile_days
    assert report.raw_rows == {"analytics": 6}
    assert floors(pipeline) == {"analytics": date(2026, 6, 1)}


def test_person_level_rows_go_with_what_they_were_built_from(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    make_derived_tables(pipeline)
    pipeline.execute("create table marts.server_installs (day date, installs bigint)")
    pipeline.execute("insert into marts.server_installs values (%s, 5)", [ago(5000)])
    for table in DERIVED_TABLES:
        if table.name in MIGRATED:
            continue
        pipeline.execute(
            sql.SQL(
                "insert into {} select day, category, 'u1' "
                "from unnest(%s::date[]) as day, unnest(%s::text[]) as category"
            ).format(sql.Identifier(*table.name.split("."))),
            [[ago(400), ago(60), ago(10)], ["transaction", "interaction", "analytics"]],
        )
    pipeline.execute(
        """
        insert into insights.analysis_cache
            (user_id, analysis_date, insights, cache_key, model, prompt_version)
        select 'u1', day, '{}', 'k', 'm', '1' from unnest(%s::date[]) as day
        """,
        [[ago(366), ago(365)]],
    )
    pipeline.execute(
        """
        insert into insights.conversation_facets (
            day, conversation_id, user_id, task, topic, outcome, friction, sentiment,
            feature_request, summary, wish, user_messages, source, behind_since, text_digest,
            cache_key, model, prompt_version
        )
        select
            day, 'c1', 'u1', 'other', 'other', 'unclear', 'none', 3, 'none', '', '', 1, 'rules',
            day, 'd', 'k', 'm', '1'
        from unnest(%s::date[]) as day
        """,
        [[ago(366), ago(365)]],
    )
    pipeline.execute(
        "insert into insights.facet_vectors (user_id, text_digest, embedder, vector, day) "
        "select 'u1', day::text, 'e', '', day from unnest(%s::date[]) as day",
        [[ago(366), ago(365)]],
    )
    pipeline.execute(
        "insert into insights.segments "
        "(user_id, month, segment, persona, conversations, active_days) "
        "select 'u1', day, 'new', 'mixed', 1, 1 from unnest(%s::date[]) as day",
        [[ago(366), ago(365)]],
    )

    pipeline.execute(
        """
        insert into insights.payment_signals (
            day, user_id, credit_limits, conversations_after, jobs_after, downloads_after,
            shares_after
        )
        select day, 'u1', 1, 0, 0, 0, 0 from unnest(%s::date[]) as day
        """,
        [[ago(366), ago(365)]],
    )
    monday = ago(366) - timedelta(days=ago(366).weekday())
    pipeline.execute(
        """
        insert into insights.return_predictions (
            as_of_day, user_id, horizon_days, probability, calibrated, reasons, model_version
        )
        select day, 'u1', 7, 0.5, true, '{}', 'm' from unnest(%s::date[]) as day
        """,
        [[monday, monday + timedelta(days=7)]],
    )

    report = run(database, catalogue)

    def left(table: str) -> dict[tuple[int, str], int]:
        return {
            ((TODAY - found).days, category): n
            for found, category, n in pipeline.execute(
                sql.SQL("select day, event_category, count(*) from {} group by 1, 2").format(
                    sql.Identifier(*table.split("."))
                )
            )
        }

    by_category = {
        (400, "transaction"): 1,
        (60, "transaction"): 1,
        (60, "interaction"): 1,
        (10, "transaction"): 1,
        (10, "interaction"): 1,
        (10, "analytics"): 1,
    }
    for name in ("marts.user_days", "marts.int_user_hours", "marts.int_subject_days"):
        assert left(name) == by_category
    assert {age for age, _ in left("marts.int_profile_days")} == {10}
    for name in ("marts.int_subject_installs", "insights.user_activity"):
        assert {age for age, _ in left(name)} == {60, 10}
    for name in MIGRATED:
        assert number(pipeline, f"select count(*) from {name}") == 1, name
    assert number(pipeline, "select sum(installs) from marts.server_installs") == 5
    assert report.derived_rows["marts.user_days"] == 3
    # What was deleted is never rebuilt, even where raw had no partition to drop.
    assert floors(pipeline)["messages"] == ago(365)
    assert run(database, catalogue).derived_rows.total() == 0


def test_a_dry_run_says_what_would_go_and_touches_nothing(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    make_derived_tables(pipeline)
    store_events(pipeline, "analytics", ago(50), ago(46), ago(1), rows=4)
    pipeline.execute("insert into marts.user_days values (%s, 'analytics', 'u1')", [ago(50)])

    report = run(database, catalogue, dry_run=True, run_id="trial")

    assert report.partitions_dropped == {"analytics": 2}
    assert (report.raw_rows.total(), report.derived_rows.total()) == (8, 1)
    assert report.survivors.total() == 0
    assert days_left(pipeline, "analytics") == [ago(50), ago(46), ago(1)]
    assert number(pipeline, "select count(*) from marts.user_days") == 1
    assert floors(pipeline) == {}
    assert all(dry_run and run_id == "trial" for *_, dry_run, run_id in logged(pipeline))
    assert len(logged(pipeline)) == 3

    real = run(database, catalogue)
    assert (real.raw_rows, real.partitions_dropped) == (report.raw_rows, report.partitions_dropped)


def test_rows_that_no_drop_reaches_fail_the_pruning(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    store_events(pipeline, "interaction", ago(400))
    add_partition(
        pipeline,
        sql.Identifier("raw", "platform_events_interaction"),
        "a_month",
        ago(380),
        ago(350),
    )
    insert_events(pipeline, "interaction", ago(380), 7)
    insert_events(pipeline, "interaction", ago(351), 7)

    assert run(database, catalogue, dry_run=True).survivors == {"raw.platform_events": 7}
    with pytest.raises(RetentionIncompleteError, match="still holds 7 rows") as failure:
        run(database, catalogue)

    assert failure.value.report.raw_rows == {"interaction": 3}
    assert failure.value.report.metadata()["survivors"] == 7
    assert logged(pipeline)[-1][3:5] == (0, 7)
    assert days_left(pipeline, "interaction") == [ago(380), ago(351)]


def test_rows_in_a_default_partition_are_found(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    pipeline.execute("create table raw.anything partition of raw.messages default")
    pipeline.execute(
        """
        insert into raw.messages
            (day, message_id, conversation_id, role, content, created_at, source)
        values (%s, 'm', 'c', 'user', 'x', %s::date::timestamp at time zone 'UTC', 'test')
        """,
        [ago(400), ago(400)],
    )
    with pytest.raises(RetentionIncompleteError, match=r"raw\.messages still holds 1 rows"):
        run(database, catalogue)


def test_a_category_that_left_the_catalogue_is_named(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    store_events(pipeline, "forgotten", ago(1))
    store_events(pipeline, "interaction", ago(400))
    with pytest.raises(RetentionIncompleteError, match="events of forgotten, which no catalogue"):
        run(database, catalogue)
    assert days_left(pipeline, "interaction") == []
    assert days_left(pipeline, "forgotten") == [ago(1)]


def test_an_empty_category_that_left_the_catalogue_is_no_problem(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    store_events(pipeline, "forgotten")
    assert run(database, catalogue).complete


def test_the_floor_never_goes_back(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    store_events(pipeline, "interaction", ago(400))
    run(database, catalogue)
    store_events(pipeline, "interaction", ago(600))
    prune(database, catalogue, NOW - timedelta(days=100), START_DAY)
    assert days_left(pipeline, "interaction") == []
    assert floors(pipeline) == {"interaction": ago(365)}


def test_a_class_with_nothing_to_drop_has_no_floor(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    store_events(pipeline, "interaction", ago(1))
    run(database, catalogue)
    assert floors(pipeline) == {}


def test_a_locked_partition_stops_the_pruning_and_a_second_one_completes_it(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    store_events(pipeline, "interaction", ago(420), ago(410), ago(400))
    with database.connect("analytics_pipeline") as reader:
        reader.execute("select from raw.platform_events_interaction_20250424 limit 1")
        assert ago(410) == date(2025, 4, 24)
        with pytest.raises(RetentionBlockedError, match=r"interaction_20250424 could not be"):
            run(database, catalogue, lock_timeout=SOON)
        # The first went, with its record and its floor; of the second nothing happened.
        assert days_left(pipeline, "interaction") == [ago(410), ago(400)]
        assert [(row[2], row[3]) for row in logged(pipeline)] == [(ago(420), 3)]
        assert floors(pipeline) == {"interaction": ago(365)}
    assert run(database, catalogue).partitions_dropped == {"interaction": 2}
    assert days_left(pipeline, "interaction") == []
    assert len(logged(pipeline)) == 3


def test_a_mart_being_rebuilt_holds_the_pruning_off(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    """A rebuild holds the floor in share mode from before it deletes until it has appended."""
    store_events(pipeline, "interaction", ago(400))
    with database.connect("analytics_pipeline") as rebuild:
        rebuild.execute("lock table ops.retention_floor in share mode")
        with pytest.raises(RetentionBlockedError, match="run the pruning again"):
            run(database, catalogue, lock_timeout=SOON)
        assert days_left(pipeline, "interaction") == [ago(400)]
    run(database, catalogue)
    assert days_left(pipeline, "interaction") == []


@pytest.mark.parametrize("ledger", ["retention_floor", "retention_log"])
def test_a_drop_that_cannot_be_recorded_does_not_happen(
    ledger: str, database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    store_events(pipeline, "interaction", ago(400))
    with database.connect_as_admin(database.name) as admin:
        admin.execute(
            sql.SQL("revoke insert on {} from analytics_pipeline").format(
                sql.Identifier("ops", ledger)
            )
        )
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(database, catalogue)
    assert days_left(pipeline, "interaction") == [ago(400)]
    assert (floors(pipeline), logged(pipeline)) == ({}, [])


KILLED = """
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from analytics_assets.events.catalogue import load_catalogue
from analytics_assets.retention.prune import prune
from analytics_assets.store.database import Database

database = Database.from_url(sys.stdin.readline().strip(), Path(sys.argv[1]))
now = datetime.fromisoformat(sys.argv[2])
prune(database, load_catalogue(), now, date(2019, 1, 1), lock_timeout=timedelta(minutes=5))
"""


@pytest.mark.parametrize(
    "moment",
    [
        # The floor of the transaction is raised, the drop waits for a reader.
        ("lock table raw.platform_events_interaction_20250424 in access share mode", 1),
        # Everything dropped and recorded, deleting derived rows waits.
        ("lock table marts.user_days in share mode", 3),
    ],
)
def test_killed_in_the_middle_it_leaves_no_drop_without_its_floor(
    moment: tuple[str, int],
    database: Database,
    database_url: str,
    catalogue: Catalogue,
    pipeline: psycopg.Connection[Any],
) -> None:
    held, gone = moment
    make_derived_tables(pipeline)
    store_events(pipeline, "interaction", ago(420), ago(410), ago(400), ago(1))
    pipeline.execute("insert into marts.user_days values (%s, 'interaction', 'u1')", [ago(400)])
    with database.connect("analytics_pipeline") as holder:
        holder.execute(held.encode())
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(database.secrets_dir), NOW.isoformat()],
            stdin=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdin is not None
            process.stdin.write(database_url + "\n")
            process.stdin.close()
            wait_for_a_blocked_session(pipeline, process)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

    # Only now does the dead process's session learn that nobody waits for it, and end.
    assert len(days_left(pipeline, "interaction")) == 4 - gone
    assert [row[3] for row in logged(pipeline)] == [3] * gone
    assert floors(pipeline) == {"interaction": ago(365)}
    assert number(pipeline, "select count(*) from marts.user_days") == 1

    report = run(database, catalogue)
    assert report.partitions_dropped.total() == 3 - gone
    assert report.derived_rows == {"marts.user_days": 1}
    assert days_left(pipeline, "interaction") == [ago(1)]
    assert sum(row[3] for row in logged(pipeline)) == 3 * 3 + 1
    assert floors(pipeline) == {"interaction": ago(365)}


def wait_for_a_blocked_session(
    connection: psycopg.Connection[Any], process: subprocess.Popen[str]
) -> None:
    deadline = time.monotonic() + 60
    while not number(
        connection,
        "select count(*) from pg_locks where not granted and database = "
        "(select oid from pg_database where datname = current_database())",
    ):
        assert process.poll() is None, "the pruning ended before it was to be killed"
        assert time.monotonic() < deadline, "the pruning never came to the lock"
        time.sleep(0.05)


def test_the_metadata_are_small_facts_about_whole_classes(
    database: Database, catalogue: Catalogue, pipeline: psycopg.Connection[Any]
) -> None:
    store_events(pipeline, "interaction", ago(400))
    facts = run(database, catalogue).metadata()
    assert facts["partitions_dropped_by_class"] == {"interaction": 1}
    assert facts["raw_rows_dropped"] == 3
    assert facts["survivors"] == 0
    assert facts["first_day_kept_by_class"]["interaction"] == ago(365).isoformat()
    assert set(facts["first_day_kept_by_class"]) == {
        *catalogue.categories,
        "conversations",
        "messages",
        "rejected_events",
        "service_jobs",
    }
