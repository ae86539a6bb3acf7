"""Who was erased does not come back, whatever way a source sends them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from source_world import NOON, World, conversation, event, event_id, message
from test_application_database import Application

from analytics_assets.privacy.erasure import erase
from analytics_assets.privacy.suppression import ensure_key, readmit, suppress

AT = datetime(2026, 6, 7, tzinfo=UTC)
JOB = {"job_type": "t", "status": "running", "created_at": NOON}
UNREADABLE = '{"event_id": "x", "user_id": "gone", '
PEOPLE = (
    "select user_id from raw.platform_events union all select user_id from raw.conversations"
    " union all select user_id from raw.messages union all select user_id from raw.service_jobs"
    " union all select user_id from raw.users"
)


@pytest.fixture
def application(world: World) -> Iterator[Application]:
    made = Application(world)
    yield made
    made.drop(world)


def keep_out(world: World, *names: str) -> None:
    """Suppress somebody without deleting anything."""
    with world.database.connect("analytics_pipeline") as connection:
        ensure_key(connection)
        suppress(connection, names, AT)


def everything_of(who: str) -> dict[str, list[Any]]:
    """One record of each kind about a person, and those that name nobody in their conversation."""
    talk = f"talk of {who}"
    return {
        "users": [{"user_id": who, "role": "dev", "email": f"{who}@mail.example"}],
        "conversations": [conversation(talk, user_id=who)],
        "messages": [
            message(f"by {who}", conversation_id=talk, user_id=who),
            message(f"to {who}", conversation_id=talk, user_id=None, role="assistant"),
        ],
        "service_jobs": [
            {**JOB, "job_id": f"of {who}", "user_id": who},
            {**JOB, "job_id": f"for {who}", "conversation_id": talk},
        ],
        "platform_events": [
            event(who, user_id=who),
            event(f"bad {who}", user_id=who, event_data={}),
            event(f"as subject {who}", user_id=..., subject=who),
            event(f"late {who}", "2026-05-01T12:00:00Z", user_id=who),
        ],
    }


def write(world: World, *people: str, more: tuple[Any, ...] = ()) -> list[Any]:
    """A file for each kind; the sources that read them."""
    sources = []
    for table, first in everything_of(people[0]).items():
        records = [*first, *(r for who in people[1:] for r in everything_of(who)[table])]
        if table == "platform_events":
            records += [UNREADABLE, *more]
        world.write(f"{table}.jsonl", records)
        sources.append(world.files(f"{table}.jsonl", table))
    return sources


def names_left(world: World) -> str:
    """Everything personal there is, as one text."""
    return json.dumps([world.rows(PEOPLE), world.content()], default=str)


def test_the_erased_do_not_return_from_files_the_inbox_or_quarantine(world: World) -> None:
    sources = write(world, "gone", "stays")
    world.load(*sources)
    assert "gone" in names_left(world)
    world.send("message", message("waits", conversation_id="talk of gone", user_id=None))
    with world.database.connect("analytics_pipeline", autocommit=True) as connection:
        erasure = erase(connection, "gone", AT)
    assert erasure.complete
    assert erasure.deleted == {
        "inbox.entries": 1, "raw.rejected_events": 2, "raw.messages": 2, "raw.service_jobs": 2,
        "raw.conversations": 1, "raw.platform_events": 3, "raw.users": 1,
        "vault.known_identifiers": 1,
    }  # fmt: skip
    after = world.content()
    assert "gone" not in names_left(world)

    world.load(*sources)
    assert world.content() == after, "its load was logged: nothing is read again"

    more = [event("new", user_id="gone"), event("newer", user_id="stays")]
    changed = write(world, "stays", "gone", more=tuple(more))
    report = world.load(*changed)
    counts = report.tables
    assert {table: counts[table].suppressed for table in everything_of("gone")} == {
        "users": 1, "conversations": 1, "messages": 2, "service_jobs": 2, "platform_events": 6,
    }  # fmt: skip
    assert report.metadata("platform_events")["rows_suppressed"] == 6
    logged = "select sum(rows_suppressed) from ops.load_log where chunk = -1"
    assert world.rows(f"{logged} and source = 'files_platform_events'") == [6]
    assert world.events("event_id::text") == sorted(
        event_id(name) for name in ("stays", "as subject stays", "late stays", "newer")
    )
    assert "gone" not in names_left(world)

    for table, kind in (
        ("users", "user"), ("conversations", "conversation"), ("messages", "message"),
        ("service_jobs", "service_job"), ("platform_events", "event"),
    ):  # fmt: skip
        world.send(kind, *everything_of("gone")[table])
    world.send("event", UNREADABLE, event("odd", user_id={"id": "gone"}))
    report = world.load()
    assert sum(c.suppressed for c in report.tables.values()) == 1 + 1 + 2 + 2 + 4 + 2
    assert sum(c.loaded for c in report.tables.values()) == 0
    assert "gone" not in names_left(world)

    world.send("event", event("unknown type", event_type="no.such", user_id="meanwhile"))
    world.load()
    keep_out(world, "meanwhile")
    world.execute("update raw.rejected_events set replay_requested_at = now()")
    report = world.load()
    assert report.metadata("rejected_events")["rows_suppressed"] == 1
    assert "meanwhile" not in names_left(world)


def test_the_erased_do_not_return_from_the_applications_database(
    world: World, application: Application
) -> None:
    with world.database.connect("analytics_pipeline", autocommit=True) as connection:
        world.load(application.source())
        assert erase(connection, "1", AT).complete
    assert world.rows(PEOPLE) == []
    report = world.load(application.source())
    assert world.rows(PEOPLE) == []
    assert {table: c.suppressed for table, c in report.tables.items() if c.read} == {
        "users": 1, "conversations": 1, "messages": 336, "service_jobs": 1,
    }  # fmt: skip


def test_what_turns_out_to_be_theirs_is_left_out_as_well(world: World) -> None:
    """A second account, and a conversation of which messages came first."""
    keep_out(world, "gone")
    world.send("message", message("first", conversation_id="talk", user_id=None))
    world.send("service_job", {**JOB, "job_id": "j", "conversation_id": "talk", "user_id": "u2"})
    world.load()
    assert len(world.rows("select 1 from raw.messages")) == 1
    world.send("user", {"user_id": "second", "subject": "gone"}, {"user_id": "u2", "subject": "-"})
    world.send("conversation", conversation("talk", user_id="gone"))
    world.send("message", message("next", conversation_id="talk", user_id=None))
    world.send("message", message("other", conversation_id="talk", user_id="u2"))
    world.send("event", event("of second", user_id="second"), event("of u2", user_id="u2"))
    world.load()
    assert world.rows("select message_id from raw.messages") == ["other"]
    assert world.rows("select job_id from raw.service_jobs") == ["j"]
    assert world.events("user_id") == ["u2"]
    assert (datetime(2026, 6, 1, tzinfo=UTC).date(), "deletion") in world.dirty()


def test_somebody_who_comes_back_starts_anew(world: World) -> None:
    keep_out(world, "gone")
    with world.database.connect("analytics_pipeline") as connection:
        assert readmit(connection, ["gone", "nobody"], AT) == 1
    world.send("user", {"user_id": "gone", "role": "dev"})
    world.send("event", event("before", user_id="gone"))
    world.send("event", event("after", "2026-06-07T00:00:00Z", user_id="gone"))
    world.load()
    assert world.events() == [event_id("after")]
    assert world.rows("select user_id from raw.users") == ["gone"]
    keep_out(world, "gone")
    world.send("event", event("again", "2026-06-07T01:00:00Z", user_id="gone"))
    assert world.load().tables["platform_events"].suppressed == 1
