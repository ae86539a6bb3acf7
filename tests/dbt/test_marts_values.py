"""What the marts say about a small set of raw rows whose answers are worked out by hand.

Invariant: built once, read by every test of the module; nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import jinja2
import psycopg
import pytest
from dbt_runs import PROJECT_DIR, DbtBuilder
from raw_rows import RawRows

from analytics_assets.privacy.buckets import bucket
from analytics_assets.store.database import Database

SUNDAY = date(2026, 5, 3)
TUESDAY = date(2026, 5, 5)
THURSDAY = date(2026, 5, 7)
NEXT_TUESDAY = date(2026, 5, 12)
WINDOW = (TUESDAY, date(2026, 5, 13))
Rows = psycopg.Connection[Any]


def at(day: date, hour: int, minute: int = 0, second: float = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC) + timedelta(
        seconds=second
    )


def event(
    event_type: str, category: str, moment: datetime, user: str | None, **event_data: Any
) -> dict[str, Any]:
    return {
        "event_type": event_type,
        "event_category": category,
        "timestamp": moment,
        "user_id": user,
        "event_data": event_data,
    }


PROJECT = {"title": "secret", "budget": 5, "nobody_declared": "secret"}
EVENTS = [
    event("project.created", "transaction", at(SUNDAY, 23, 59, 59.999), "u1"),
    event("project.created", "transaction", at(TUESDAY, 10, 5), "u1", **PROJECT)
    | {"metadata": {"title": "secret", "referrer": "secret", "app": "web"}},
    event("project.created", "transaction", at(TUESDAY, 10, 50), "u1"),
    event("project.created", "transaction", at(TUESDAY, 10, 20), "u2"),
    event("project.created", "transaction", at(TUESDAY, 23, 59, 59.999), None),
    event("project.created", "transaction", at(THURSDAY, 0), "u1"),
    event("project.created", "transaction", at(NEXT_TUESDAY, 9), "u3"),
    event(
        "search.performed",
        "interaction",
        at(TUESDAY, 10),
        "u1",
        query="  Hello \t World ",
        results_count=0,
    ),
    event(
        "search.performed",
        "interaction",
        at(TUESDAY, 11),
        "u2",
        query="hello world",
        results_count=5,
    ),
    event("search_performed", "registry", at(TUESDAY, 11), "u2", query="HELLO world", results=0),
    event("search_performed", "registry", at(TUESDAY, 12), None, query="mcp", results=3),
    event("server_installed", "registry", at(TUESDAY, 10), "u1", server_id="s1"),
    event("server_installed", "registry", at(TUESDAY, 11), "u1", server_id="s1"),
    event("server_installed", "registry", at(TUESDAY, 11), "u2", server_id="s1"),
    event("server_installed", "registry", at(TUESDAY, 12), None, server_id="s2"),
    event("server_installed", "registry", at(THURSDAY, 12), "u1", server_id="s1"),
    event("download", "action", at(TUESDAY, 13), "u1", media_id="m1"),
    event("download", "action", at(TUESDAY, 14), "u1", media_id="m2"),
    event("share", "action", at(TUESDAY, 14), "u1"),
    event("credit_limit", "action", at(THURSDAY, 14), "u2"),
]
CONVERSATIONS = [
    {"conversation_id": "c1", "user_id": "u1", "started_at": at(TUESDAY, 9)},
    {"conversation_id": "c2", "user_id": "u5", "started_at": at(TUESDAY, 9)},
    {"conversation_id": "c3", "user_id": "u6", "started_at": at(TUESDAY, 9)},
    {"conversation_id": "c4", "user_id": "u1", "started_at": at(TUESDAY, 20)},
]
MESSAGES = [
    ("m1", "c1", "u1", "user", None, at(TUESDAY, 9)),
    ("m2", "c1", "u1", "tool", "search", at(TUESDAY, 9, 1)),
    ("m3", "c1", "u1", "tool", "search", at(TUESDAY, 9, 2)),
    ("m4", "c1", "u1", "tool", "browse", at(TUESDAY, 9, 2)),
    ("m5", "c1", "u1", "assistant", None, at(TUESDAY, 9, 3)),
    ("m6", "c1", "u1", "user", None, at(TUESDAY, 9, 4)),
    ("m7", "c4", "u1", "user", None, at(TUESDAY, 20)),
    # The next two do not name their user.
    ("m8", "c2", None, "user", None, at(TUESDAY, 9)),
    ("m9", "c1", None, "user", None, at(THURSDAY, 0)),
]
SERVERS = [
    {
        "server_id": "s1",
        "name": "Old",
        "status": "active",
        "valid_from": at(SUNDAY, 0),
        "valid_to": at(TUESDAY, 0),
    },
    {
        "server_id": "s1",
        "name": "New",
        "category": "tools",
        "status": "deprecated",
        "valid_from": at(TUESDAY, 0),
    },
    {"server_id": "s9", "name": "Unused", "status": "active", "valid_from": at(SUNDAY, 0)},
]


@pytest.fixture(scope="module")
def rows(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rows]:
    with module_database.connect("analytics_pipeline", autocommit=True) as connection:
        raw = RawRows(connection)
        raw.events(EVENTS)
        raw.table("conversations", CONVERSATIONS, "started_at")
        names = ("message_id", "conversation_id", "user_id", "role", "tool_name", "created_at")
        messages = [dict(zip(names, row, strict=True)) | {"content": "text"} for row in MESSAGES]
        raw.table("messages", messages, "created_at")
        job = {
            "job_id": "j1",
            "user_id": "u7",
            "job_type": "render",
            "status": "succeeded",
            "created_at": at(TUESDAY, 1),
        }
        raw.table("service_jobs", [job], "created_at")
        raw.history("servers", SERVERS)
        connection.execute(
            """
            insert into ops.event_schemas values
            ('project.created', 'transaction', '{"title": {}, "budget": {}}', '{}', '{title}',
                2555, '', ''),
            ('download', 'action', '{"media_id": {}}', '{}', '{}', 365, '', '')
            """
        )
        builder = DbtBuilder(module_database, tmp_path_factory.mktemp("dbt"))
        builder.build(*WINDOW).check()
        yield connection


def aggregations(rows: Rows, event_type: str, kind: str) -> list[tuple[Any, ...]]:
    return rows.execute(
        """
        select period_start, total_events, unique_users from marts.event_aggregations
        where event_type = %s and aggregation_type = %s order by 1
        """,
        [event_type, kind],
    ).fetchall()


def activity(rows: Rows, user: str, day: date) -> tuple[Any, ...]:
    (row,) = rows.execute(
        """
        select total_conversations, average_depth, tool_usage_pattern, jobs, downloads, shares,
               credit_limits, returned
        from insights.user_activity where user_id = %s and day = %s
        """,
        [user, day],
    ).fetchall()
    return tuple(row)


def test_an_hour_counts_each_user_once_and_events_of_nobody_as_events(rows: Rows) -> None:
    assert aggregations(rows, "project.created", "hourly") == [
        (at(TUESDAY, 10), 3, 2),
        (at(TUESDAY, 23), 1, 0),
        (at(THURSDAY, 0), 1, 1),
        (at(NEXT_TUESDAY, 9), 1, 1),
    ]


def test_a_day_and_a_week_count_a_user_once_however_often_seen(rows: Rows) -> None:
    assert aggregations(rows, "project.created", "daily") == [
        (at(TUESDAY, 0), 4, 2),
        (at(THURSDAY, 0), 1, 1),
        (at(NEXT_TUESDAY, 0), 1, 1),
    ]
    # The Sunday before lies in the week of April 27, which the window does not touch.
    assert aggregations(rows, "project.created", "weekly") == [
        (at(date(2026, 5, 4), 0), 5, 2),
        (at(date(2026, 5, 11), 0), 1, 1),
    ]


def test_quarter_hours_hold_every_event_in_its_slot(rows: Rows) -> None:
    slots = rows.execute(
        """
        select slot, total_events from marts.int_event_counts_15min
        where event_type = 'project.created' and day = %s order by 1
        """,
        [TUESDAY],
    ).fetchall()
    assert slots == [
        (at(TUESDAY, 10), 1),
        (at(TUESDAY, 10, 15), 1),
        (at(TUESDAY, 10, 45), 1),
        (at(TUESDAY, 23, 45), 1),
    ]


def test_a_users_day_holds_their_events_by_type(rows: Rows) -> None:
    assert rows.execute(
        """
        select * from marts.user_days
        where day = %s and event_category in ('transaction', 'registry') order by 3, 4
        """,
        [TUESDAY],
    ).fetchall() == [
        (TUESDAY, "transaction", "project.created", "u1", 2),
        (TUESDAY, "transaction", "project.created", "u2", 1),
        (TUESDAY, "transaction", "project.created", None, 1),
        (TUESDAY, "registry", "search_performed", "u2", 1),
        (TUESDAY, "registry", "search_performed", None, 1),
        (TUESDAY, "registry", "server_installed", "u1", 2),
        (TUESDAY, "registry", "server_installed", "u2", 1),
        (TUESDAY, "registry", "server_installed", None, 1),
    ]


def test_every_day_of_the_window_has_every_metric(rows: Rows) -> None:
    metrics: dict[date, dict[str, Decimal]] = {}
    for day, name, value in rows.execute("select * from marts.daily_metrics").fetchall():
        metrics.setdefault(day, {})[name] = value
    nothing = dict.fromkeys(metrics[TUESDAY], 0)
    assert metrics[TUESDAY] == {
        "total_searches": 4,
        "unique_searches": 2,
        "installation_count": 4,
        "active_servers": 2,
        "active_users": 2,
        # 7 + 5 events of known users over 2 users
        "user_engagement": 6,
    }
    assert metrics[THURSDAY] == nothing | {
        "installation_count": 1,
        "active_servers": 1,
        "active_users": 2,
        "user_engagement": Decimal("1.5"),
    }
    assert metrics[date(2026, 5, 6)] == nothing
    assert sorted(metrics) == [TUESDAY + timedelta(days=n) for n in range(8)]


def test_searches_are_counted_by_normalised_query_and_kind(rows: Rows) -> None:
    assert rows.execute("select * from marts.search_usage order by 2, 3").fetchall() == [
        (TUESDAY, "interaction", "hello world", 2, 2, 1),
        (TUESDAY, "registry", "hello world", 1, 1, 1),
        (TUESDAY, "registry", "mcp", 1, 0, 0),
    ]


def test_a_server_s_install_count_is_the_sum_of_its_days(rows: Rows) -> None:
    assert rows.execute("select * from marts.server_installs order by 1, 2").fetchall() == [
        (TUESDAY, "s1", 3, 2),
        (TUESDAY, "s2", 1, 0),
        (THURSDAY, "s1", 1, 1),
    ]
    assert rows.execute("select * from marts.servers order by 1").fetchall() == [
        ("s1", "New", "tools", "deprecated", 4, SUNDAY, THURSDAY),
        ("s2", "s2", None, None, 1, TUESDAY, TUESDAY),
        ("s9", "Unused", None, "active", 0, SUNDAY, SUNDAY),
    ]


def test_registry_activity_is_laid_out_by_weekday_and_hour(rows: Rows) -> None:
    assert rows.execute("select * from marts.server_activity order by 1, 2").fetchall() == [
        (1, 10, 1, 0, 1),
        (1, 11, 2, 1, 3),
        (1, 12, 1, 1, 2),
        (3, 12, 1, 0, 1),
    ]


def test_actions_are_the_downloads_shares_and_credit_limits(rows: Rows) -> None:
    assert rows.execute(
        "select user_id, action, metadata, created_at from marts.user_actions order by 4, 2"
    ).fetchall() == [
        ("u1", "download", {"media_id": "m1"}, at(TUESDAY, 13)),
        ("u1", "download", {"media_id": "m2"}, at(TUESDAY, 14)),
        ("u1", "share", {}, at(TUESDAY, 14)),
        ("u2", "credit_limit", {}, at(THURSDAY, 14)),
    ]


def test_the_event_log_shows_declared_fields_that_are_not_personal_and_no_others(
    rows: Rows,
) -> None:
    def event_data(event_type: str) -> list[tuple[Any, ...]]:
        return rows.execute(
            "select event_data, metadata from marts.event_log where event_type = %s and day = %s "
            "order by timestamp limit 1",
            [event_type, TUESDAY],
        ).fetchall()

    assert event_data("project.created") == [({"budget": 5}, {"app": "web"})]
    assert event_data("server_installed") == [({}, {})], "a type the catalogue does not know"


def test_an_analyst_reads_marts_but_not_raw_through_them(
    rows: Rows, module_database: Database
) -> None:
    with module_database.connect("analytics_analyst", autocommit=True) as analyst:
        for table in ("event_log", "user_actions", "servers", "event_aggregations"):
            assert analyst.execute(f"select count(*) > 0 from marts.{table}").fetchone() == (True,)
        for table in ("stg_events", "stg_messages", "stg_users"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                analyst.execute(f"select * from marts.{table}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            analyst.execute("select * from insights.user_activity")


def test_user_activity_tells_what_a_user_did_on_a_day(rows: Rows) -> None:
    tools = {"search": 2, "browse": 1}
    # Sunday's event is no return: that day has not been built.
    assert activity(rows, "u1", TUESDAY) == (2, 2, tools, 0, 2, 1, 0, False)
    assert activity(rows, "u1", THURSDAY) == (1, 1, {}, 0, 0, 0, 0, True)
    assert activity(rows, "u2", THURSDAY) == (0, 0, {}, 0, 0, 0, 1, True)


def test_user_activity_has_everyone_active_by_event_conversation_or_job(rows: Rows) -> None:
    assert rows.execute(
        "select day, array_agg(user_id order by user_id) from insights.user_activity group by 1 "
        "order by 1"
    ).fetchall() == [
        (TUESDAY, ["u1", "u2", "u5", "u6", "u7"]),
        (THURSDAY, ["u1", "u2"]),
        (NEXT_TUESDAY, ["u3"]),
    ]
    assert activity(rows, "u5", TUESDAY)[:2] == (1, 1)
    assert activity(rows, "u6", TUESDAY)[:2] == (1, 0)
    assert activity(rows, "u7", TUESDAY)[3] == 1
    assert activity(rows, "u3", NEXT_TUESDAY)[-1] is False


def test_every_table_has_a_description_in_the_database(rows: Rows) -> None:
    undescribed = rows.execute(
        """
        select c.relname, a.attname from pg_class as c
        join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
        where c.relnamespace in ('marts'::regnamespace, 'insights'::regnamespace)
            and c.relkind in ('r', 'v')
            and (obj_description(c.oid) is null or col_description(c.oid, a.attnum) is null)
            and c.relname not like 'stg_%' and c.relname not like 'int_%'
        """
    ).fetchall()
    assert undescribed == []


def test_the_macro_and_its_python_twin_agree_on_buckets(rows: Rows) -> None:
    sources = PROJECT_DIR / "macros" / "buckets.sql"
    scores: list[float | None] = [
        None,
        -5,
        -0.01,
        0,
        0.01,
        4.99,
        5,
        9.99,
        9.999,
        10,
        50,
        99.99,
        100,
        250,
    ]
    scores += [29.999999999999996, 0.1 + 0.2, 99.99999999999999, 100.00000000000001]
    scores += [n / 7 for n in range(-14, 735, 9)]
    for step in (5, 10, 20):
        macro = render_macro(sources, "bucket", "score", step)
        found = rows.execute(
            f"select {macro} from unnest(%s::numeric[]) with ordinality as s (score, position) "
            "order by position",
            [[None if score is None else Decimal(repr(score)) for score in scores]],
        ).fetchall()
        assert [value for (value,) in found] == [bucket(score, step) for score in scores]
        assert rows.execute(f"select {macro} from (values (97)) as s (score)").fetchone() == (
            bucket(97, step),
        )
    with pytest.raises(ValueError, match="must divide 100"):
        bucket(50, 7)


def render_macro(path: Path, name: str, *arguments: Any) -> str:
    """A macro that calls no other, as SQL."""
    source = path.read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, extensions=["jinja2.ext.do"])
    module = environment.from_string(source).module
    return str(getattr(module, name)(*arguments))
