"""The application's own database is read by window over COPY, and never written to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from source_world import World

from analytics_assets.sources.config import PostgresSource
from analytics_assets.sources.errors import LoadError
from analytics_assets.windows import Window

_SCHEMA = """
create table users (
    id bigint primary key, role text, created_at timestamptz, consent boolean, mail text,
    person uuid
);
create table conversations (
    conversation_id text primary key, user_id bigint, started_at timestamptz, ended_at timestamp,
    title text, metadata json
);
create table messages (
    message_id bigint primary key, conversation_id text, user_id bigint, role text, content text,
    created_at timestamptz, updated_at timestamptz
);
create table service_jobs (
    job_id uuid primary key, job_type text, status text, created_at timestamptz, credits float8,
    user_id bigint
);
insert into users values
    (1, 'dev', '2026-04-01', true, 'ann@example.org', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
insert into conversations values
    ('c1', 1, '2026-06-01 12:00+00', '2026-06-01 13:00', 'quoted "title", with\nlines', '{"a": 1}'),
    ('c2', null, '2026-05-20 12:00+00', null, 'before the window', null);
insert into messages
select n, 'c1', 1, case when n % 2 = 0 then 'user' else 'assistant' end, 'text ' || n,
    '2026-05-25'::timestamptz + n * interval '1 hour', '2026-06-05 12:00+00'
from generate_series(0, 335) as n;
insert into service_jobs values
    ('0b7d1c1e-5a0e-4a53-9d3c-2f1d1f0a9b11', 'render', 'succeeded', '2026-06-02 08:00+02', 1.5, 1);
create role reader_of_{name} login password 'read';
grant select on all tables in schema public to reader_of_{name};
"""
USERS = (
    "select id as user_id, role, created_at as signup_at, consent as insights_consent,"
    " mail as email, person as subject from users;"
)


class Application:
    """Another database, as an application has it, and the source that reads it."""

    def __init__(self, world: World) -> None:
        self.database = world.database.named(f"app_{world.database.name}")
        self.role = f"reader_of_{self.database.name}"
        with world.database.connect_as_admin("postgres") as admin:
            admin.execute(sql.SQL("create database {}").format(sql.Identifier(self.database.name)))
        self.execute(_SCHEMA.replace("{name}", self.database.name))

    @property
    def url(self) -> str:
        place = f"{self.database.host}:{self.database.port}/{self.database.name}"
        return f"postgresql://{self.role}:read@{place}"

    def source(self, **changes: Any) -> PostgresSource:
        tables = {
            "users": {"query": USERS},
            "conversations": {"table": "public.conversations"},
            "messages": {"table": "messages"},
            "service_jobs": {"query": "select * from service_jobs"},
        }
        options = {"url": self.url, "tables": tables, **changes}
        return PostgresSource(type="postgres", name="app", **options)

    def execute(self, statement: str) -> None:
        with self.database.connect_as_admin(self.database.name) as connection:
            connection.execute(statement.encode())

    def drop(self, world: World) -> None:
        with world.database.connect_as_admin("postgres") as admin:
            admin.execute(
                sql.SQL("drop database {} with (force)").format(sql.Identifier(self.database.name))
            )
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(self.role)))


@pytest.fixture
def application(world: World) -> Iterator[Application]:
    made = Application(world)
    yield made
    made.drop(world)


def test_a_window_of_every_table_is_read_and_read_again_without_a_change(
    world: World, application: Application
) -> None:
    report = world.load(application.source())
    counts = {t: (c.read, c.loaded) for t, c in report.tables.items() if c.read}
    assert counts == {
        "users": (1, 1), "conversations": (1, 1), "messages": (336, 336), "service_jobs": (1, 1),
    }  # fmt: skip
    assert world.rows("select title, metadata, ended_at = '2026-06-01 13:00+00'"
                      " from raw.conversations") == [
        ('quoted "title", with\nlines', {"a": 1}, True)
    ]  # fmt: skip
    person = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    assert world.rows("select distinct user_id, subject, role from raw.messages order by 3") == [
        ("1", person, "assistant"), ("1", person, "user"),
    ]  # fmt: skip
    assert world.rows("select credits::float8, created_at = '2026-06-02 06:00+00'"
                      " from raw.service_jobs") == [(1.5, True)]  # fmt: skip
    assert world.rows("select value from vault.known_identifiers") == ["ann@example.org"]

    before = world.content()
    again = world.load(application.source())
    assert (again.days, world.content(), world.dirty()) == (set(), before, [])


def test_changes_and_deletions_in_the_application_arrive_with_the_next_load(
    world: World, application: Application
) -> None:
    world.load(application.source())
    application.execute(
        "update messages set content = 'edited' where message_id = 5;"
        "delete from messages where message_id = 30;"
        "update messages set created_at = created_at + interval '1 day' where message_id = 7;"
        "insert into messages values (900, 'c1', 1, 'robot', 'x', '2026-06-01', null)"
    )
    first = Window(date(2026, 5, 25), date(2026, 5, 28))
    report = world.load(application.source(), window=first)
    assert report.days == {date(2026, 5, 25), date(2026, 5, 26)}
    assert world.rows(
        "select message_id, content, day::text from raw.messages"
        " where message_id in ('5', '7', '30') order by 1"
    ) == [("5", "edited", "2026-05-25"), ("7", "text 7", "2026-05-26")]
    assert world.rows("select count(*) from raw.messages") == [335]


def test_a_bad_row_of_the_application_waits_once_and_the_rest_is_loaded(
    world: World, application: Application
) -> None:
    application.execute("update messages set role = 'robot', content = 'secret' where message_id=3")
    for rows in (336, 335):
        found = world.load(application.source()).tables["messages"]
        assert (found.read, found.rejected) == (rows, {"not_in_enum": 1})
        # It is the same row, though its number is another one now.
        application.execute("delete from messages where message_id = 1")
    [(place, (_, text))] = world.rejected().items()
    assert place.startswith("app row ")
    assert "role must be one of user" in text
    assert "secret" not in text


def test_rows_read_by_the_time_of_their_change_delete_nothing(
    world: World, application: Application
) -> None:
    world.load(application.source())
    application.execute("update messages set updated_at = '2026-06-06', content = 'new'"
                        " where message_id = 1")  # fmt: skip
    source = application.source(
        tables={"messages": {"table": "messages", "time_column": "updated_at"}}
    )
    report = world.load(source, window=Window.of_day(date(2026, 6, 6)))
    assert report.tables["messages"].loaded == 1
    assert world.rows("select count(*) from raw.messages") == [336]
    # Its own day lies outside the window, so it is to be rebuilt.
    assert world.dirty() == [(date(2026, 5, 25), "late_data")]
    world.load(source, window=Window.of_day(date(2026, 5, 25)))
    assert world.rows("select count(*) from raw.messages") == [336]


def test_a_year_is_read_in_parts(world: World, application: Application) -> None:
    application.execute("update messages set created_at = created_at - interval '20 days'")
    window = Window(date(2026, 4, 27), date(2026, 6, 8))
    found = world.load(application.source(), window=window).tables["messages"]
    assert found.loaded == 336
    assert (
        date(2026, 4, 27) + timedelta(days=8)
        == world.rows("select min(day) from raw.messages").pop()
    )


WRONG_QUERIES: list[tuple[dict[str, Any], str]] = [
    ({"messages": {"table": "nowhere"}}, 'messages fails: relation "nowhere" does not exist'),
    ({"messages": {"query": "select nothing from messages"}}, '"nothing" does not exist'),
    (
        {"messages": {"query": "select message_id, role, content from messages"}},
        "gives no column 'conversation_id', 'created_at'; it gives message_id, role, content",
    ),
    ({"users": {"table": "users"}}, "the query for users gives no column 'user_id'"),
    ({"messages": {"table": "messages", "time_column": "changed"}}, "no column 'changed'"),
    (
        {"messages": {"query": "select m.*, content::int::text as tool_name from messages as m"}},
        "reading messages broke off: a value cannot be converted",
    ),
    ({"messages": {"query": "delete from messages returning *"}}, "fails"),
]


def test_what_is_wrong_with_a_query_is_named_and_the_rest_is_loaded(
    world: World, application: Application
) -> None:
    for number, (tables, said) in enumerate(WRONG_QUERIES):
        world.send("user", {"user_id": f"u{number}"})
        with pytest.raises(LoadError) as found:
            world.load(application.source(tables=tables))
        assert said in str(found.value)
        assert "source app" in str(found.value)
        assert "text 1" not in str(found.value)
        assert world.rows("select count(*) from raw.users") == [number + 1]


def test_a_database_that_cannot_be_reached_is_named_without_its_password(
    world: World, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.send("user", {"user_id": "u1"})
    tables = {"messages": {"table": "messages"}}
    cases = {
        "postgresql://ann:pass-word@127.0.0.1:1/app": "cannot be reached",
        application.url.replace(":read@", ":pass-word@"): "cannot be reached",
        "postgresql:/ann:pass-word@@[": "cannot be reached",
    }
    for url, said in cases.items():
        with pytest.raises(LoadError) as found:
            world.load(application.source(url=url, tables=tables))
        assert said in str(found.value)
        assert "`url` is right" in str(found.value)
        assert "pass-word" not in str(found.value)
    unset = application.source(url=None, url_env="THE_APPLICATION_URL", tables=tables)
    with pytest.raises(LoadError, match="THE_APPLICATION_URL is not set"):
        world.load(unset)
    assert world.rows("select user_id from raw.users") == ["u1"]
    monkeypatch.setenv("THE_APPLICATION_URL", application.url)
    assert world.load(unset).tables["messages"].loaded == 336


def test_nothing_can_be_written_through_a_source(world: World, application: Application) -> None:
    application.execute(
        "create function sneak() returns table (user_id text) language plpgsql as"
        " $$ begin delete from messages; return query select 'u1'; end $$;"
        f"grant delete on messages to {application.role}"
    )
    source = application.source(tables={"users": {"query": "select * from sneak()"}})
    with pytest.raises(LoadError, match="read-only transaction"):
        world.load(source)
    with psycopg.connect(application.url) as connection:
        assert connection.execute("select count(*) from messages").fetchone() == (336,)
