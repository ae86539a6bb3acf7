"""``sources check`` says what is missing or of the wrong type, and loads nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from source_world import NOON, World, csv_text, event, lines

from analytics_assets.settings import load_settings
from analytics_assets.sources.check import SAMPLE_ROWS, SourceFinding, check_sources
from analytics_assets.store.database import Database

SECRET = "ann.secret@example.org"


def described(world: World, *sources: dict[str, Any]) -> Path:
    """A sources file; JSON is YAML."""
    path = world.folder / "sources.yaml"
    path.write_text(json.dumps({"sources": sources}))
    return path


def files(name: str, path: str, table: str = "platform_events", **options: Any) -> dict[str, Any]:
    return {"type": "files", "name": name, "table": table, "path": path, **options}


def check(world: World, *sources: dict[str, Any]) -> list[SourceFinding]:
    before = world.rows("select count(*) from pg_class")
    found = check_sources(described(world, *sources), world.settings)
    assert world.events() == world.rows("select from ops.load_log") == []
    assert world.rows("select count(*) from pg_class") == before
    assert SECRET not in str(found)
    return found


def test_sources_that_can_be_loaded_give_no_finding(world: World) -> None:
    world.write("a.jsonl.gz", [event(1), event("-", event_id=...)])
    world.write("b.csv", csv_text(["t", "who"], [[NOON, "u1"], [NOON, "u1"]]))
    world.write("empty.jsonl", b"")
    late = [{"at": NOON, "n": 1}] * SAMPLE_ROWS + [{"at": NOON, "n": 1, "who": "u1"}]
    world.write("late.jsonl", late)
    shape = "select 'project.viewed' as event_type, {time} as timestamp, who as user_id,"
    shape += " {{'project_id': 'p'}} as event_data from source"
    assert check(
        world,
        {"type": "inbox"},
        files("a", "*.jsonl.gz"),
        files("b", "b.csv", select=shape.format(time="t")),
        files("whole", "b.csv", select=shape.format(time="max(t)") + " group by who"),
        files("empty", "empty.jsonl"),
        files("none", "none/*.jsonl", optional=True),
        files("late", "late.jsonl", select=shape.format(time='"at"')),
    ) == []  # fmt: skip


def test_each_finding_names_source_table_place_and_what_is_wrong(world: World) -> None:
    world.write("bad.jsonl", [
        event(1),
        event(2, timestamp=SECRET),
        event(3, event_data={"project_id": "p", "duration_seconds": SECRET}),
        event(4, event_data={"project_id": "p", "duration_seconds": SECRET}),
        event(5, event_type="no.such"),
        "{",
    ])  # fmt: skip
    world.write("jobs.csv", csv_text(
        ["job_id", "job_type", "status", "created_at"], [["1", "t", SECRET, NOON]]
    ))  # fmt: skip
    world.write("narrow.csv", csv_text(["event_type"], [["project.viewed"]]))
    world.write("cut.jsonl.zst", lines([event(1)]))
    (world.folder / "cut.jsonl.zst").write_bytes(b"no zstd")
    found = check(
        world,
        files("bad", "bad.jsonl"),
        files("jobs", "jobs.csv", "service_jobs"),
        files("narrow", "narrow.csv"),
        files("missing", "missing.jsonl"),
        files("wrong", "narrow.csv", select="select nothing from source"),
        files("cut", "cut.jsonl.zst"),
    )
    told = [(f.source, f.table, f.place, f.rows, f.problem.split(";")[0]) for f in found]
    assert told[:4] == [
        ("bad", "platform_events", "bad.jsonl:2", 1,
         "invalid_timestamp: timestamp is no RFC 3339 time"),
        ("bad", "platform_events", "bad.jsonl:3", 2, told[1][4]),
        ("bad", "platform_events", "bad.jsonl:5", 1, told[2][4]),
        ("bad", "platform_events", "bad.jsonl:6", 1,
         "malformed_json: the line is no JSON object"),
    ]  # fmt: skip
    assert told[1][4].startswith("wrong_type: event_data.duration_seconds must be a number")
    assert told[2][4].startswith("unknown_event_type")
    assert told[4][:4] == ("jobs", "service_jobs", "jobs.csv:2", 1)
    assert told[4][4].startswith("not_in_enum: status must be one of pending")
    assert [(f.source, f.place, f.rows) for f in found[5:]] == [
        ("narrow", "narrow.csv", None),
        ("missing", "missing.jsonl", None),
        ("wrong", "narrow.csv", None),
        ("cut", "cut.jsonl.zst", None),
    ]
    assert found[5].problem.startswith("there is no column 'timestamp', which platform_events need")
    assert found[6].problem.startswith("no file matches")
    assert found[7].problem.startswith("`select` cannot be run")
    assert "cannot be read to its end" in found[8].problem


def test_a_database_is_checked_query_by_query(world: World, database_url: str) -> None:
    with world.database.connect_as_admin(world.database.name) as connection:
        connection.execute(
            "create schema app create table chats (conversation_id text, started_at timestamptz)"
            " create table mess (message_id int, role text, content text, created_at timestamptz)"
        )
        connection.execute("insert into app.chats values ('c1', now() + interval '90 years')")
    tables = {
        "conversations": {"table": "app.chats"},
        "messages": {"table": "app.mess"},
        "users": {"table": "app.nowhere"},
    }
    found = check(
        world,
        {"type": "postgres", "name": "app", "url": database_url, "tables": tables},
        {"type": "postgres", "name": "gone", "url_env": "NOT_SET", "tables": tables},
    )
    assert [(f.source, f.table, f.place, f.rows) for f in found] == [
        ("app", "conversations", "row 1", 1),
        ("app", "messages", None, None),
        ("app", "users", None, None),
        ("gone", "conversations, messages, users", None, None),
    ]
    assert found[0].problem.startswith("future_timestamp")
    assert "gives no column 'conversation_id'" in found[1].problem
    assert 'relation "app.nowhere" does not exist' in found[2].problem
    assert "NOT_SET is not set" in found[3].problem
    assert database_url not in str(found)


def test_the_command_fails_when_something_is_wrong(world: World, database_url: str) -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("analytics-assets")
        settings = {
            "ANALYTICS_HOME": str(world.settings.home),
            "ANALYTICS_DATABASE_URL": database_url,
            "ANALYTICS_START_DAY": "2026-04-27",
            "ANALYTICS_AS_OF": "2026-06-08",
            "COLUMNS": "200",
        }
        return subprocess.run(
            [str(program), "sources", "check", *arguments],
            env={**os.environ, **settings}, capture_output=True, text=True, timeout=99, check=False,
        )  # fmt: skip

    world.write("a.jsonl", [event(1)])
    path = str(described(world, files("a", "a.jsonl")))
    fine = command(path)
    assert (fine.returncode, fine.stderr) == (0, "")
    assert "all sources can be read" in fine.stdout

    world.write("a.jsonl", [event(1, event_data={})])
    wrong = command("--json", path)
    assert wrong.returncode == 1
    [finding] = json.loads(wrong.stdout)
    assert (finding["source"], finding["place"], finding["rows"]) == ("a", "a.jsonl:1", 1)
    assert "missing_field" in finding["problem"]
    Path(path).write_text("sources: [{type: files}]")
    broken = command(path)
    assert broken.returncode == 1
    assert "sources.yaml:1: sources.0.name: is missing" in broken.stderr.replace("\n", " ")


def test_a_database_that_was_never_migrated_is_migrated_first(
    world: World, postgres_server: Database
) -> None:
    world.write("a.jsonl", [event(1)])
    fresh = postgres_server.named("never_migrated")
    url = (
        f"postgresql://{fresh.superuser}:{fresh.admin_password}"
        f"@{fresh.host}:{fresh.port}/{fresh.name}"
    )
    settings = load_settings(home=world.settings.home, start_day="2026-04-27", database_url=url)
    try:
        assert check_sources(described(world, files("a", "a.jsonl")), settings) == []
    finally:
        with fresh.connect_as_admin("postgres") as admin:
            for name in (fresh.name, fresh.dagster_name):
                admin.execute(f"drop database if exists {name} with (force)".encode())
