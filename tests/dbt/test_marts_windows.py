"""How the marts behave when windows are built again: over late, vanished and pruned rows.

Invariant: the tests share one database and keep to a month of their own, so that dbt parses its
project once; only the first three prune, the earliest month first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from dbt_runs import DbtBuilder
from raw_rows import RawRows

from analytics_assets.store.database import Database
from analytics_assets.windows import Window

OUTLIVE_RAW = (
    "marts.int_event_counts_15min",
    "marts.event_aggregations",
    "marts.daily_metrics",
    "marts.server_installs",
    "marts.search_usage",
)
PERSONAL = ("marts.int_user_hours", "marts.user_days", "insights.user_activity")
TABLES = (*OUTLIVE_RAW, *PERSONAL)
Rows = dict[str, list[tuple[Any, ...]]]


class World:
    """A database with raw rows, dbt to build it and a way to look at all its marts."""

    def __init__(self, connection: psycopg.Connection[Any], builder: DbtBuilder) -> None:
        self.connection = connection
        self.raw = RawRows(connection)
        self.builder = builder

    def event(
        self, event_type: str, category: str, day: date, user: str | None, **data: Any
    ) -> None:
        self.raw.events(
            [
                {
                    "event_type": event_type,
                    "event_category": category,
                    "timestamp": noon(day),
                    "user_id": user,
                    "event_data": data,
                }
            ]
        )

    def a_bit_of_everything(self, days: Sequence[date]) -> None:
        """Two users and nobody in particular, every kind of source, on each of the days."""
        for day in days:
            for user in ("u1", "u2", None):
                self.event("project.created", "transaction", day, user)
                self.event("server_installed", "registry", day, user, server_id="s1")
                self.event("search.performed", "interaction", day, user, query="a query")
            self.event("profile_analyzed", "analytics", day, "u3")
            self.event("download", "action", day, "u1", media_id="m")
            self.talk(f"c-{day}", day, "u4")
            job = {"job_id": f"j-{day}", "user_id": "u5", "job_type": "x", "status": "failed"}
            self.raw.table("service_jobs", [job | {"created_at": noon(day)}], "created_at")

    def talk(self, name: str, day: date, user: str) -> None:
        conversation = {"conversation_id": name, "user_id": user, "started_at": noon(day)}
        self.raw.table("conversations", [conversation], "started_at")
        message = {
            "message_id": name,
            "conversation_id": name,
            "user_id": user,
            "role": "user",
            "content": "text",
            "created_at": noon(day),
        }
        self.raw.table("messages", [message], "created_at")

    def build(self, window: Window, select: str = "tag:marts") -> None:
        self.builder.build(window.start, window.end, select=select).check()

    def marts(self, month: Window, tables: Sequence[str] = TABLES) -> Rows:
        """All rows of the month, as sorted lists."""
        rows: Rows = {}
        for table in tables:
            day = "date" if table == "marts.daily_metrics" else "day"
            rows[table] = self.connection.execute(
                f"select * from {table} as t where {day} >= %s and {day} < %s order by t::text",
                [month.start, month.end],
            ).fetchall()
        return rows

    def total(self, kind: str, event_type: str, start: date) -> list[tuple[Any, ...]]:
        return self.connection.execute(
            """
            select total_events, unique_users from marts.event_aggregations
            where aggregation_type = %s and event_type = %s and period_start = %s
            """,
            [kind, event_type, datetime(start.year, start.month, start.day, tzinfo=UTC)],
        ).fetchall()

    def returned(self, user: str, day: date) -> bool | None:
        row = self.connection.execute(
            "select returned from insights.user_activity where user_id = %s and day = %s",
            [user, day],
        ).fetchone()
        return None if row is None else bool(row[0])


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def month(number: int) -> Window:
    return Window(date(2026, number, 1), date(2026, number + 1, 1))


@pytest.fixture(scope="module")
def world(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with module_database.connect("analytics_pipeline", autocommit=True) as connection:
        world = World(connection, DbtBuilder(module_database, tmp_path_factory.mktemp("dbt")))
        # Every table is there from now on, so that each test runs alone, too.
        world.build(month(9))
        yield world


def test_a_day_below_the_floor_is_left_alone_though_its_rows_are_still_there(
    world: World,
) -> None:
    """Retention raises the floor before it drops anything, and may die in between."""
    november = Window(date(2025, 11, 1), date(2025, 12, 1))
    day = date(2025, 11, 4)
    world.a_bit_of_everything([day])
    world.build(november)
    tables = [table for table in TABLES if table != "marts.search_usage"]
    before = world.marts(november, tables)
    assert all(before.values())
    classes = ("transaction", "registry", "interaction", "analytics", "action")
    for name in (*classes, "conversations", "messages", "service_jobs"):
        world.raw.raise_floor(name, day)
    for user in ("u1", "u8"):
        world.event("server_installed", "registry", day, user, server_id="s1")
    world.build(november)
    assert world.marts(november, tables) == before


def test_rare_queries_go_with_the_raw_searches_and_the_totals_stay(world: World) -> None:
    december = Window(date(2025, 12, 1), date(2026, 1, 1))
    pruned, kept = date(2025, 12, 2), date(2025, 12, 9)
    for day in (pruned, kept):
        for user in range(11):
            world.event("search_performed", "registry", day, f"u{user}", query="popular")
            world.event("search.performed", "interaction", day, f"u{user}", query="jane roe")
        for user in range(10):
            world.event("search_performed", "registry", day, f"u{user}", query="rare", results=0)
        world.event("search_performed", "registry", day, None, query="of nobody known")
        world.event("search_performed", "registry", day, "u1")
    usage, metrics = "marts.search_usage", "marts.daily_metrics"
    world.build(december)
    before = world.marts(december)
    assert len(before[usage]) == 10
    for category in ("registry", "interaction"):
        world.raw.drop_events_of(category, pruned)
    # Any later run finds them, whatever its window; another finds nothing more to do.
    for window in (Window.of_day(kept), december):
        world.build(window)
        after = world.marts(december)
        assert [row for row in after[usage] if row[0] == pruned] == [
            (pruned, "interaction", "", 11, None, 0),
            (pruned, "registry", "", 12, None, 10),
            (pruned, "registry", "popular", 11, 11, 0),
        ]
        assert [row for row in after[usage] if row[0] == kept] == [
            row for row in before[usage] if row[0] == kept
        ]
        assert after[metrics] == before[metrics]


def test_a_rebuild_after_pruning_shrinks_nothing_and_still_takes_late_rows(world: World) -> None:
    january = month(1)
    tuesday, sunday = date(2026, 1, 6), date(2026, 1, 11)
    world.a_bit_of_everything([tuesday, sunday])
    world.build(january)
    before = world.marts(january)
    assert all(before.values())
    # What retention does: floor, drop, and delete person-level rows built from what is dropped.
    for category in ("transaction", "registry", "analytics", "action"):
        world.raw.drop_events_of(category, tuesday)
        for table in ("marts.int_user_hours", "marts.user_days"):
            world.connection.execute(
                f"delete from {table} where event_category = %s and day <= %s", [category, tuesday]
            )
    world.build(january)
    after = world.marts(january)
    for table in (*OUTLIVE_RAW, "insights.user_activity"):
        assert after[table] == before[table], table
    # Of the pruned day, only what is not pruned can still come late.
    world.event("search.performed", "interaction", tuesday, "u9", query="another")
    world.talk("late", tuesday, "u3")
    world.build(Window.of_day(tuesday))
    late = world.marts(january)
    assert late["marts.server_installs"] == before["marts.server_installs"]
    assert world.total("daily", "search.performed", tuesday) == [(4, 3)]
    assert world.total("daily", "project.created", tuesday) == [(3, 2)]
    assert world.total("weekly", "project.created", date(2026, 1, 5)) == [(6, 2)]
    metrics = {name: value for day, name, value in late["marts.daily_metrics"] if day == tuesday}
    assert metrics["total_searches"] == 4
    # u3 is known from the pruned profile event and u9 would be new: it is no longer to be counted.
    assert metrics["active_users"] == 3
    users = {row[0] for row in late["insights.user_activity"] if row[1] == tuesday}
    assert users == {"u1", "u2", "u3", "u4", "u5", "u9"}


def test_materializing_a_window_twice_leaves_identical_tables(world: World) -> None:
    february = month(2)
    world.a_bit_of_everything([date(2026, 2, 2), date(2026, 2, 3), date(2026, 2, 9)])
    world.build(february)
    once = world.marts(february)
    assert all(once.values())
    world.build(february)
    assert world.marts(february) == once
    # Nor does it matter in how many windows it is built.
    world.build(Window(date(2026, 2, 3), date(2026, 2, 10)))
    assert world.marts(february) == once


def test_a_rebuild_leaves_no_row_of_what_has_vanished(world: World) -> None:
    march = month(3)
    monday = date(2026, 3, 2)
    world.a_bit_of_everything([monday])
    world.build(march)
    world.connection.execute(
        "delete from raw.platform_events where day = %s and event_type <> 'project.created'",
        [monday],
    )
    for table in ("conversations", "messages", "service_jobs"):
        world.connection.execute(f"delete from raw.{table} where day = %s", [monday])
    world.build(Window.of_day(monday))
    marts = world.marts(march)
    assert marts["marts.server_installs"] == marts["marts.search_usage"] == []
    assert {row[0] for row in marts["marts.event_aggregations"]} == {"project.created"}
    assert {row[0] for row in marts["insights.user_activity"]} == {"u1", "u2"}
    # And where nothing at all is left, nothing stays.
    world.connection.execute("delete from raw.platform_events where day = %s", [monday])
    world.build(Window.of_day(monday))
    marts = world.marts(march)
    assert {value for *_, value in marts.pop("marts.daily_metrics")} == {0}
    assert not any(marts.values())


def test_a_late_row_changes_its_day_its_week_and_who_returned_after_it(world: World) -> None:
    april = month(4)
    monday, wednesday, friday = date(2026, 4, 6), date(2026, 4, 8), date(2026, 4, 10)
    world.event("project.created", "transaction", monday, "u1")
    world.event("project.created", "transaction", friday, "u2")
    world.build(april)
    before = world.marts(april)
    assert world.total("weekly", "project.created", monday) == [(2, 2)]
    assert world.returned("u2", friday) is False
    world.event("project.created", "transaction", wednesday, "u2")
    world.build(Window.of_day(wednesday))
    after = world.marts(april)
    assert world.total("daily", "project.created", wednesday) == [(1, 1)]
    assert world.total("weekly", "project.created", monday) == [(3, 2)]
    assert world.returned("u2", wednesday) is False
    assert world.returned("u2", friday) is True
    for table in ("marts.int_user_hours", "marts.user_days", "marts.int_event_counts_15min"):
        assert [row for row in after[table] if row[0] != wednesday] == before[table]


def test_a_failed_insert_leaves_the_rows_it_would_have_replaced(world: World) -> None:
    may = month(5)
    day = date(2026, 5, 5)
    world.event("server_installed", "registry", day, "u1", server_id="s1")
    world.build(may, "server_installs")
    before = world.marts(may, ["marts.server_installs"])
    world.event("server_installed", "registry", day, "u2", server_id="s1")
    world.connection.execute(
        "alter table marts.server_installs add constraint one check (installs < 2) not valid"
    )
    try:
        outcome = world.builder.build(may.start, may.end, select="server_installs")
    finally:
        world.connection.execute("alter table marts.server_installs drop constraint one")
    assert outcome.statuses["server_installs"] == "error"
    assert world.marts(may, ["marts.server_installs"]) == before
    world.build(may, "server_installs")
    assert world.marts(may, ["marts.server_installs"]) == {
        "marts.server_installs": [(day, "s1", 2, 2)]
    }


def test_a_run_without_a_window_is_an_error_and_touches_nothing(world: World) -> None:
    june = month(6)
    world.a_bit_of_everything([date(2026, 6, 2)])
    world.build(june)
    before = world.marts(june)
    for window in ((june.start, None), (None, june.end), (june.end, june.start)):
        outcome = world.builder.build(*window, select="int_user_hours daily_metrics")
        assert not outcome.success
        assert outcome.statuses["int_user_hours"] == "error"
        expected = "empty window" if all(window) else "is not set; give it to the session"
        assert expected in outcome.messages["int_user_hours"]
    assert world.marts(june) == before


def test_rows_that_cannot_be_are_found_in_the_window_and_only_there(world: World) -> None:
    october = Window(date(2026, 10, 1), date(2026, 11, 1))
    wrong = {
        "int_event_counts_15min": "'{0}', '{0} 10:07+00', 'registry', 'x', 1",
        "int_user_hours": "'{0}', '{0} 10:30+00', 'registry', 'x', 'u1', 1",
        "user_days": "'{0}', 'registry', 'x', 'u1', 0",
        "event_aggregations": "'x', 'registry', 'daily', '{0} 00:00+00', 1, 2, '{0}'",
        "daily_metrics": "'{0}', 'total_searches', -1",
        "server_installs": "'{0}', 's1', 1, 2",
        "search_usage": "'{0}', 'registry', 'two', 1, 0, 2",
        "int_subject_searches": "'{0}', 'p', 'UPPER', 1",
    }
    day = october.start
    for table, row in wrong.items():
        world.connection.execute(f"insert into marts.{table} values ({row.format(day)})")
    found = world.builder.build(day, date(2026, 10, 2), command="test")
    for table in wrong:
        assert any(table in test and status == "fail" for test, status in found.statuses.items()), (
            table
        )
    world.builder.build(date(2026, 10, 5), october.end, command="test").check()


def test_two_overlapping_rebuilds_at_once_double_nothing(world: World) -> None:
    july = month(7)
    days = [date(2026, 7, 6), date(2026, 7, 7), date(2026, 7, 8)]
    models = "int_user_hours user_days server_installs"
    tables = ["marts.int_user_hours", "marts.user_days", "marts.server_installs"]
    world.a_bit_of_everything(days)
    world.build(july, models)
    once = world.marts(july, tables)
    table = "marts.int_user_hours"
    world.connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [table])
    first = world.builder.start(days[0], days[2], select=models, lane="first")
    second = world.builder.start(days[1], july.end, select=models, lane="second")
    try:
        wait_until_two_queue_behind(world.connection)
    finally:
        world.connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", [table])
        outputs = [run.communicate()[0] for run in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert world.marts(july, tables) == once


def wait_until_two_queue_behind(connection: psycopg.Connection[Any]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        row = connection.execute(
            """
            select count(*) from pg_locks as waiting
            join pg_locks as mine using (locktype, database, classid, objid, objsubid)
            where waiting.locktype = 'advisory' and not waiting.granted
                and mine.granted and mine.pid = pg_backend_pid()
            """
        ).fetchone()
        if row is not None and row[0] == 2:
            return
        time.sleep(0.1)
    raise AssertionError("two rebuilds of a table did not queue for its lock")


def test_a_window_touches_only_the_partitions_of_its_days(
    world: World, module_database: Database
) -> None:
    august = month(8)
    days = [august.start + timedelta(days=offset) for offset in range(3)]
    for day in days:
        world.event("server_installed", "registry", day, "u1", server_id="s1")
    with module_database.connect("analytics_pipeline") as other:
        other.execute(
            "lock table raw.platform_events_registry_20260801, "
            "raw.platform_events_registry_20260803 in access exclusive mode"
        )
        outcome = world.builder.build(
            days[1],
            days[2],
            select="server_installs int_user_hours int_event_counts_15min",
            session={"lock_timeout": "5s"},
        )
    outcome.check()
    assert world.marts(august)["marts.server_installs"] == [(days[1], "s1", 1, 1)]


def test_a_view_is_replaced_in_place_and_made_anew_only_when_its_columns_change(
    world: World, module_database: Database
) -> None:
    september = month(9)
    world.connection.execute(
        "create view marts.mine as select sum(events) from marts.server_activity"
    )
    world.connection.execute("grant select on marts.server_activity to analytics_reader")
    world.build(september, "server_activity")
    assert world.connection.execute("select * from marts.mine").fetchall()
    assert world.connection.execute(
        "select has_table_privilege('analytics_reader', 'marts.server_activity', 'select')"
    ).fetchone() == (True,)
    world.connection.execute("drop view marts.mine, marts.server_activity")
    world.connection.execute("create view marts.server_activity as select 1 as weekday, '' as hour")
    world.build(september, "server_activity")
    columns = world.connection.execute("select * from marts.server_activity limit 0").description
    assert [column.name for column in columns or ()][:3] == ["weekday", "hour", "installs"]
