"""Quarantined records that are no events, tried again: once, in order, never over newer ones."""

from __future__ import annotations

from datetime import UTC, date, datetime

from source_world import World, conversation, message

EARLY = "2026-04-20T12:00:00Z"  # before the first day
LATER = "2026-06-09T12:00:00Z"  # ahead of the clock
SETTLED = "select kind, processing_status, error_code, retry_count from raw.rejected_events"


def job(name: str, created_at: str) -> dict[str, str]:
    return {"job_id": name, "job_type": "report", "status": "failed", "created_at": created_at}


def test_records_of_every_kind_are_replayed_once(world: World) -> None:
    world.send("conversation", conversation("c1", EARLY))
    world.send("message", message("m1", EARLY), message("m2", role="-"))
    world.send("service_job", job("j1", EARLY), source="worker")
    world.send("user", {"user_id": "u9", "role": "client", "valid_from": LATER})
    world.send("server", {"server_id": "s9", "name": "Weather", "valid_from": LATER})
    world.load()
    assert sorted(set(world.codes().values())) == [
        "before_start_day", "future_timestamp", "not_in_enum",
    ]  # fmt: skip
    assert world.load().replay.tried == 0

    changed = {"as_of": datetime(2026, 6, 10, tzinfo=UTC), "start_day": date(2026, 4, 1)}
    report = world.load(**changed)
    assert (report.replay.tried, report.replay.replayed) == (6, 5)
    there = (
        "select conversation_id, source from raw.conversations"
        " union all select message_id, source from raw.messages"
        " union all select job_id, source from raw.service_jobs"
        " union all select user_id, source from raw.users"
        " union all select server_id, source from raw.servers"
    )
    once = [
        ("c1", "collector"), ("j1", "worker"), ("m1", "collector"), ("s9", "collector"),
        ("u9", "collector"),
    ]  # fmt: skip
    assert sorted(world.rows(there)) == once
    assert (date(2026, 4, 20), "replay") in world.dirty()
    assert sorted(world.rows(SETTLED)) == [
        ("conversation", "replayed", "before_start_day", 1),
        ("message", "rejected", "not_in_enum", 1),
        ("message", "replayed", "before_start_day", 1),
        ("server", "replayed", "future_timestamp", 1),
        ("service_job", "replayed", "before_start_day", 1),
        ("user", "replayed", "future_timestamp", 1),
    ]
    assert world.load(**changed).replay.tried == 0
    assert sorted(world.rows(there)) == once


def test_of_several_versions_the_one_received_last_counts(world: World) -> None:
    world.send("message", *(message("m1", LATER, content=str(n)) for n in range(12)))
    world.send("user", *({"user_id": "u9", "role": str(n), "valid_from": LATER} for n in range(12)))
    world.load()
    report = world.load(as_of=datetime(2026, 6, 10, tzinfo=UTC))
    assert report.replay.replayed == 24
    assert world.rows("select content from raw.messages") == ["11"]
    assert world.rows("select role from raw.users") == ["11"]


def test_a_replay_does_not_undo_what_came_later(world: World) -> None:
    world.send("message", message("m1", LATER, content="old"))
    world.send("server", {"server_id": "s9", "name": "Old", "valid_from": LATER})
    world.load()
    # The sender has set its clock right, and sent them again.
    world.send("message", message("m1", "2026-06-07T23:59:00Z", content="new"))
    world.load()
    world.execute(
        "insert into raw.servers (server_id, valid_from, name, source)"
        " values ('s9', %s, 'New', 'application')",
        LATER,
    )
    report = world.load(as_of=datetime(2026, 6, 10, tzinfo=UTC))
    assert report.replay.tried == 1, "the message lies two days away, so both are kept"
    assert world.rows("select name from raw.servers") == ["New"]
    assert ("server", "discarded", "superseded", 1) in world.rows(SETTLED)


def test_a_newer_version_of_the_same_day_is_kept(world: World) -> None:
    world.send("message", message("m1", "2026-06-08T00:20:00Z", content="old"))
    world.load()
    world.send("message", message("m1", "2026-06-08T00:01:00Z", content="new"))
    world.load()
    report = world.load(as_of=datetime(2026, 6, 10, tzinfo=UTC))
    assert (report.replay.tried, report.replay.replayed) == (0, 0)
    assert world.rows("select content from raw.messages") == ["new"]
    assert world.rows(SETTLED) == [("message", "discarded", "superseded", 1)]
    assert world.rows("select payload from raw.rejected_events") == [None]
