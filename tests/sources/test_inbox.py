"""The inbox is moved: each entry is in it or in raw, never in both or in neither."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest
from source_world import NOON, World, conversation, event, event_id, message

from analytics_assets.sources import inbox
from analytics_assets.sources.inbox import move_inbox


def entries(world: World) -> int:
    return int(world.rows("select count(*) from inbox.entries")[0])


def test_every_kind_of_record_leaves_the_inbox_for_its_table(world: World) -> None:
    world.send("server", {"server_id": "s1", "name": "Weather", "status": "active"})
    world.send("user", {"user_id": "u1", "role": "dev", "insights_consent": True})
    world.send("conversation", conversation("c1"))
    world.send("message", message("m1"))
    world.send(
        "service_job", {"job_id": "j1", "job_type": "t", "status": "running", "created_at": NOON}
    )
    world.send("event", event(1), event(2, event_data={}))
    report = world.load()
    assert {t: (c.read, c.loaded) for t, c in report.tables.items()} == {
        "platform_events": (2, 1), "conversations": (1, 1), "messages": (1, 1),
        "service_jobs": (1, 1), "users": (1, 1), "servers": (1, 1),
    }  # fmt: skip
    assert entries(world) == 0
    assert world.events("user_role, source") == [("dev", "collector")]
    assert world.rows("select location like 'inbox %' from raw.rejected_events") == [True]
    # Empty means all is loaded: there is nothing more to come of it.
    again = world.load()
    assert sum(counts.read for counts in again.tables.values()) == 0


def test_addresses_and_fingerprints_stay_at_the_door(world: World) -> None:
    world.send("event", event(
        1,
        metadata={"ip_address": "192.0.2.7", "kept": 1, "user_agent": "x"},
        event_data={"project_id": "p", "ip": "192.0.2.7"},
        geo_location={"country": "NL", "lat": 52.1},
        device_info={"os": "Linux", "fingerprint": "f"},
    ))  # fmt: skip
    world.send("message", message("m1", metadata={"client_ip": "192.0.2.7", "kept": 1}))
    world.load()
    assert world.events("event_data, metadata, geo_location, device_info") == [
        ({"project_id": "p"}, {"kept": 1}, {"country": "NL"}, {"os": "Linux"})
    ]
    assert world.rows("select metadata from raw.messages") == [{"kept": 1}]


def test_many_entries_move_in_several_transactions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "ENTRIES_PER_TRANSACTION", 7)
    world.send("event", *(event(n) for n in range(20)), *(event(n) for n in range(5)))
    seen: list[int] = []
    outcome = move_inbox(
        world.database, "platform_events", world.rules(), world.partitions(),
        progress=lambda _source, _kind, rows: seen.append(rows),
    )  # fmt: skip
    assert (outcome.counts.loaded, outcome.counts.duplicate) == (20, 5)
    assert seen == [7, 14, 21, 25]
    assert entries(world) == 0


def test_entries_that_arrive_during_a_move_are_kept_and_moved_next_time(world: World) -> None:
    world.send("event", event("before"))
    with world.database.connect("analytics_api") as collector:
        collector.execute(
            "insert into inbox.entries (kind, source, payload) values ('event', 'slow', %s)",
            [psycopg.types.json.Jsonb(event("during"))],
        )
        world.load()
        assert world.events() == [event_id("before")]
        collector.commit()
    assert entries(world) == 1
    world.load()
    assert set(world.events()) == {event_id("before"), event_id("during")}
    assert entries(world) == 0


def test_movers_share_the_work_and_lose_or_double_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "ENTRIES_PER_TRANSACTION", 25)
    world.send("event", *(event(n) for n in range(300)))
    partitions = world.partitions()
    reads: list[int] = []
    more_sent = threading.Event()

    def send_more() -> None:
        for batch in range(4):
            world.send("event", *(event((batch, n)) for n in range(25)))
        more_sent.set()

    def move() -> None:
        while True:
            last_look = more_sent.is_set()
            outcome = move_inbox(world.database, "platform_events", world.rules(), partitions)
            reads.append(outcome.counts.read)
            if last_look and not outcome.counts.read:
                return

    workers = [threading.Thread(target=work) for work in (move, move, send_more)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(reads) == 400
    assert len(set(world.events())) == len(world.events()) == 400
    assert entries(world) == 0


def test_a_move_that_fails_leaves_everything_in_the_inbox(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.send("event", *(event(n) for n in range(5)), event(6, event_data={}))

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("analytics_assets.sources.staging.Stage.reject", fail)
        with pytest.raises(KeyboardInterrupt):
            world.load()
    assert (entries(world), world.events(), world.rejected()) == (6, [], {})
    world.load()
    assert (entries(world), len(world.events()), len(world.rejected())) == (0, 5, 1)
