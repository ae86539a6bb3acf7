"""What a load leaves behind: once each, on its own day, with what was known at its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from source_world import NOON, World, conversation, event, event_id, message, shipped_catalogue

from analytics_assets.events.catalogue import Catalogue
from analytics_assets.retention.policy import RetentionGuardError
from analytics_assets.sources.config import Sources
from analytics_assets.sources.load import load_raw
from analytics_assets.sources.seen_ids import SeenIds
from analytics_assets.store import dirty_days
from analytics_assets.store.partitions import (
    ensure_day_partitions,
    ensure_event_partitions,
    event_partition_name,
    event_partitions,
)
from analytics_assets.windows import Window

BEFORE_MIDNIGHT, AFTER_MIDNIGHT = "2026-06-01T23:59:59Z", "2026-06-02T00:00:01Z"


def test_loading_twice_changes_nothing(world: World) -> None:
    world.write("events.jsonl", [event(1), event("-", event_id=...), event(2, event_data={}), "{"])
    world.write("users.jsonl", [{"user_id": "u1", "role": "dev", "email": "a@b.example"}])
    world.write("conversations.jsonl", [conversation("c1"), conversation("c2", started_at="-")])
    world.send("message", message("m1"), message("m2", role="-"))
    sources = [
        world.files("events.jsonl"),
        world.files("users.jsonl", "users"),
        world.files("conversations.jsonl", "conversations"),
    ]
    world.load(*sources)
    before = world.content()
    again = world.load(*sources)
    assert (again.files, again.files_skipped, again.days) == (3, 3, set())
    assert world.content() == before

    # Nor does it where the files look new, and where the collector is sent everything again.
    for path in world.folder.iterdir():
        path.write_bytes(path.read_bytes() + b"\n")
    world.send("message", message("m1"))
    report = world.load(*sources)
    assert sum(counts.loaded for counts in report.tables.values()) == 0
    changed = [r for r in world.content()[6] if '"discarded"' not in r]
    assert len(changed) == len(before[6])
    assert [rows for n, rows in enumerate(world.content()) if n != 6] == [
        rows for n, rows in enumerate(before) if n != 6
    ]


def test_a_record_that_is_sent_again_changed_replaces_its_older_self(world: World) -> None:
    world.send("conversation", conversation("c1", BEFORE_MIDNIGHT, title="old"))
    world.load()
    world.send("conversation", conversation("c1", AFTER_MIDNIGHT, title="new"))
    report = world.load(window=Window.of_day(date(2026, 6, 2)))
    assert world.rows("select title, day::text from raw.conversations") == [("new", "2026-06-02")]
    assert report.days == {date(2026, 6, 1), date(2026, 6, 2)}
    assert world.dirty() == [(date(2026, 6, 1), "late_data")]


# --- partitions and days --------------------------------------------------------------------------


def test_partitions_are_made_for_the_days_that_have_valid_rows(world: World) -> None:
    world.load_events([
        event(1, "2026-05-03T00:00:00Z"),
        event(2, "2026-06-07T23:59:59+02:00", event_type="download", event_data={"media_id": "m"}),
        event(3, "2026-05-04T12:00:00Z", event_data={}),
        event(4, "2020-01-01T12:00:00Z"),
    ])  # fmt: skip
    with world.database.connect("analytics_pipeline") as connection:
        assert event_partitions(connection) == {
            ("interaction", date(2026, 5, 3)),
            ("action", date(2026, 6, 7)),
        }
    # `day` is the UTC date, whatever the zone of the sender and of the session.
    assert world.events("day::text, tableoid::regclass::text") == [
        ("2026-05-03", "raw.platform_events_interaction_20260503"),
        ("2026-06-07", "raw.platform_events_action_20260607"),
    ]


def test_two_processes_may_make_the_same_partitions_at_once(world: World) -> None:
    first = date(2026, 1, 1)
    pairs = {("cafe's", first + timedelta(days=n)) for n in range(110)}
    made: list[int] = []

    def make() -> None:
        with world.database.connect("analytics_pipeline", autocommit=True) as connection:
            made.append(ensure_event_partitions(connection, pairs))

    both = [threading.Thread(target=make) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sum(made) == len(pairs) + 1
    with world.database.connect("analytics_pipeline", autocommit=True) as connection:
        assert event_partitions(connection) == pairs
        assert ensure_event_partitions(connection, pairs) == 0
        assert ensure_day_partitions(connection, "messages", [first, first]) == 1
        with connection.transaction(), pytest.raises(RuntimeError, match="outside of any other"):
            ensure_event_partitions(connection, pairs)


def test_long_names_of_categories_stay_apart() -> None:
    day = date(2026, 6, 1)
    names = {event_partition_name("x" * 60 + end, day) for end in "ab"}
    assert len(names) == 2
    assert all(len(name) <= 63 and name.endswith("_20260601") for name in names)


def test_a_late_row_goes_to_its_own_day_and_makes_it_dirty(world: World) -> None:
    world.write("events.jsonl", [event("late"), event("today", "2026-06-07T12:00:00Z")])
    world.send("message", message("m1", "2026-06-03T12:00:00Z"))
    report = world.load(world.files("events.jsonl"), window=Window.of_day(date(2026, 6, 7)))
    assert world.events("day::text") == ["2026-06-01", "2026-06-07"]
    assert report.days == {date(2026, 6, 1), date(2026, 6, 3), date(2026, 6, 7)}
    assert world.dirty() == [(date(2026, 6, 1), "late_data"), (date(2026, 6, 3), "late_data")]
    # The same rows once more are no news.
    world.send("event", event("late"))
    world.load(window=Window.of_day(date(2026, 6, 7)))
    assert len(world.rows("select from ops.dirty_days")) == 2


def test_a_dirty_day_stays_open_until_a_run_that_saw_it_has_rebuilt_it(world: World) -> None:
    first, second, window = date(2026, 6, 1), date(2026, 6, 2), Window.of_day(date(2026, 6, 1))
    with world.database.connect("analytics_pipeline", autocommit=True) as connection:
        dirty_days.mark(connection, {first, second}, "late_data")
        seen = dirty_days.newest_revision(connection)
        dirty_days.mark(connection, {first}, "late_data")
        assert dirty_days.close(connection, seen, window, "run 1") == 1
        assert [day for _, day in dirty_days.open_days(connection)] == [second, first]
        waiting = dirty_days.days_waiting(connection)
        assert waiting.days == (first, second)
        # What waits in the inbox names its days as well; without a usable time, the day it came.
        world.send("event", event(1, "2026-05-30T12:00:00Z"), event(2, timestamp="soon"))
        more = dirty_days.days_waiting(connection)
        assert set(more.days) == {
            date(2026, 5, 30), first, second, *world.rows("select now()::date"),
        }  # fmt: skip
        assert more.marker != waiting.marker


def test_a_window_of_which_nothing_may_be_kept_is_refused(world: World) -> None:
    world.send("event", event(1))
    with pytest.raises(RetentionGuardError):
        world.load(window=Window.of_day(date(2015, 1, 1)))
    assert world.rows("select count(*) from inbox.entries") == [1]


# --- people as of the event's time ----------------------------------------------------------------


HISTORY = [
    {"user_id": "u1", "valid_from": "2026-05-01T00:00:00Z", "role": "dev",
     "signup_at": "2026-04-30T12:00:00Z"},
    {"user_id": "u1", "valid_from": "2026-06-01T12:00:00Z", "role": "lead",
     "signup_at": "2026-04-30T12:00:00Z"},
]  # fmt: skip
EVENTS = [
    event("before the history", "2026-04-30T23:00:00Z"),
    event("dev", "2026-06-01T11:59:59.999Z"),
    event("lead", NOON),
    event("stranger", NOON, user_id="u2"),
    event("nobody", NOON, user_id=...),
]
ENRICHED = {
    ("before the history", None, None),
    ("dev", "dev", 31),
    ("lead", "lead", 32),
    ("stranger", None, None),
    ("nobody", None, None),
}


def enriched(world: World) -> set[Any]:
    names = {event_id(name): name for name, *_ in ENRICHED}
    return {
        (names[identity], role, days)
        for identity, role, days in world.events("event_id::text, user_role, user_tenure_days")
    }


def test_role_and_tenure_are_those_of_the_events_time(world: World) -> None:
    world.write("users.jsonl", HISTORY)
    world.write("events.jsonl", EVENTS)
    world.load(world.files("events.jsonl"), world.files("users.jsonl", "users"))
    assert enriched(world) == ENRICHED
    assert world.rows("select valid_from < valid_to from raw.users order by valid_from") == [
        True, None,
    ]  # fmt: skip


def test_a_history_that_comes_later_mends_the_events_and_makes_their_days_dirty(
    world: World,
) -> None:
    world.load_events(EVENTS)
    for row in reversed(HISTORY):  # in the wrong order, too
        world.send("user", row)
        world.load(window=Window.of_day(date(2026, 6, 7)))
    assert enriched(world) == ENRICHED
    assert [day for day, reason in world.dirty() if reason == "history"] == [date(2026, 6, 1)]


def test_a_snapshot_of_users_holds_from_now_on_where_it_differs(world: World) -> None:
    one = {"user_id": "u1", "role": "dev", "insights_consent": True}
    world.send("user", one)
    world.load(as_of=datetime(2026, 6, 1, tzinfo=UTC))
    world.send("user", one, {"user_id": "u1", "role": "dev"})
    world.load(as_of=datetime(2026, 6, 2, tzinfo=UTC))
    world.send("user", {"user_id": "u1", "role": "lead"})
    world.load(as_of=datetime(2026, 6, 3, tzinfo=UTC))
    assert world.rows(
        "select role, valid_from::date::text, valid_to::date::text, insights_consent"
        " from raw.users order by valid_from"
    ) == [("dev", "2026-04-27", "2026-06-03", True), ("lead", "2026-06-03", None, True)]


# --- replay ---------------------------------------------------------------------------------------


def without(catalogue: Catalogue, event_type: str) -> Catalogue:
    return replace(
        catalogue,
        schemas=MappingProxyType(
            {name: found for name, found in catalogue.schemas.items() if name != event_type}
        ),
    )


def test_rejected_events_are_replayed_after_the_catalogue_is_fixed(world: World) -> None:
    world.catalogue = without(shipped_catalogue(), "project.viewed")
    world.write("events.jsonl", [event(1), event(2, event_data={}), event(3, event_type="never")])
    world.send("event", event(4), source="app")
    world.load(world.files("events.jsonl"))
    assert set(world.codes().values()) == {"unknown_event_type"}

    world.catalogue = shipped_catalogue()
    report = world.load(window=Window.of_day(date(2026, 6, 7)))
    assert (report.replay.tried, report.replay.replayed) == (4, 2)
    assert world.rows("select event_id::text, source from raw.platform_events order by source") == [
        (event_id(4), "app"),
        (event_id(1), "files_platform_events"),
    ]
    assert world.dirty() == [(date(2026, 6, 1), "replay")]
    assert world.rows(
        "select processing_status, error_code, retry_count, payload is null"
        " from raw.rejected_events order by 1, 2"
    ) == [
        ("rejected", "missing_field", 1, False),
        ("rejected", "unknown_event_type", 1, False),
        ("replayed", "unknown_event_type", 1, True),
        ("replayed", "unknown_event_type", 1, True),
    ]
    # Nothing changed since, so nothing is tried again, and what was replayed is not rejected anew.
    again = world.load(world.files("events.jsonl"))
    assert again.replay.tried == 0
    assert len(world.events()) == 2


def test_an_event_from_the_future_is_replayed_when_its_time_has_come(world: World) -> None:
    world.load_events([event(1, "2026-06-09T12:00:00Z")])
    assert world.load().replay.tried == 0
    report = world.load(as_of=datetime(2026, 6, 10, tzinfo=UTC))
    assert (report.replay.replayed, world.events()) == (1, [event_id(1)])


def test_events_before_the_first_day_are_replayed_when_it_is_set_earlier(world: World) -> None:
    world.load_events([event(1, "2026-04-20T12:00:00Z")])
    world.load(start_day=date(2026, 4, 1))
    assert world.events("day::text") == ["2026-04-20"]


def test_rejections_of_a_file_are_discarded_when_it_is_corrected(world: World) -> None:
    world.load_events([event(1, event_data={})])
    world.load_events([event(1)])
    assert world.rows("select processing_status from raw.rejected_events") == ["discarded"]
    assert world.events() == [event_id(1)]


# --- the same id on neighbouring days, whatever comes between -------------------------------------


def loading(world: World, *sources: Any, **options: Any) -> Any:
    return load_raw(
        world.database, world.settings, world.window, Sources(sources=sources), world.catalogue,
        **options,
    )  # fmt: skip


class Stop(Exception):
    """Ends a load between two chunks."""


def stop_after(rows: int) -> Callable[[str, str, int], None]:
    def progress(source: str, name: str, done: int) -> None:
        if done >= rows:
            raise Stop

    return progress


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics_assets.sources.formats.CHUNK_ROWS", 10)


def neighbours(start: int, end: int, time: str) -> list[Any]:
    return [event(n, time) for n in range(start, end)]


@pytest.mark.usefixtures("small_chunks")
def test_chunks_of_one_file_know_of_each_other(world: World) -> None:
    found = world.load_events(
        neighbours(0, 25, BEFORE_MIDNIGHT) + neighbours(0, 30, AFTER_MIDNIGHT)
    )
    assert (found.loaded, found.duplicate) == (30, 25)
    assert len(set(world.events())) == 30


@pytest.mark.usefixtures("small_chunks")
def test_a_resumed_load_knows_what_its_crashed_attempt_has_loaded(world: World) -> None:
    world.write(
        "events.jsonl", neighbours(0, 25, BEFORE_MIDNIGHT) + neighbours(0, 30, AFTER_MIDNIGHT)
    )
    source = world.files("events.jsonl")
    with pytest.raises(Stop):
        loading(world, source, progress=stop_after(30))
    begun = len(world.events())
    assert 0 < begun < 30
    report = world.load(source)
    assert len(world.events()) == len(set(world.events())) == 30
    assert report.tables["platform_events"].loaded == 30 - begun
    # The ledger counts the whole file, not what was left of it.
    assert world.rows(
        "select rows_read, rows_loaded, rows_duplicate from ops.load_log"
        " where finished and source = 'files_platform_events'"
    ) == [(55, 30, 25)]


@pytest.mark.usefixtures("small_chunks")
def test_a_chunk_that_is_tried_again_loads_its_rows_once(world: World) -> None:
    """Pruning takes a partition away that the load has made: its chunk is tried again."""
    rows = neighbours(0, 20, BEFORE_MIDNIGHT)
    for n in range(20, 40):
        rows += [event(n, BEFORE_MIDNIGHT), event(n, AFTER_MIDNIGHT)]
    world.write("events.jsonl", rows)
    dropped = []

    def drop(source: str, name: str, done: int) -> None:
        if done == 20:
            wait_for(lambda: world.rows("select count(*) > 15 from raw.platform_events")[0])
            world.execute("drop table raw.platform_events_interaction_20260601")
            dropped.append(done)

    report = loading(world, world.files("events.jsonl"), progress=drop)
    assert dropped == [20]
    counts = report.tables["platform_events"]
    assert (counts.loaded, counts.duplicate) == (40, 20)
    kept = world.events()
    assert len(kept) == len(set(kept))
    assert {event_id(n) for n in range(20, 40)} <= set(kept)
    assert world.events("distinct day::text") == ["2026-06-01"]


@pytest.mark.parametrize("first", ["file", "inbox", "replay"])
def test_the_inbox_a_replay_and_a_file_know_of_each_other(world: World, first: str) -> None:
    earlier, later = event(1, BEFORE_MIDNIGHT), event(1, AFTER_MIDNIGHT)
    world.write("events.jsonl", [later])
    if first == "replay":
        # Replayed and loaded from a file in one load: the replay made the partition just now.
        world.catalogue = without(shipped_catalogue(), "project.viewed")
        world.send("event", earlier)
        world.load()
        world.catalogue = shipped_catalogue()
    elif first == "inbox":
        world.send("event", earlier)
        world.load()
    world.load(world.files("events.jsonl"))
    world.send("event", earlier, later)
    world.load()
    assert world.events("event_id::text, day::text") == [
        (event_id(1), "2026-06-02" if first == "file" else "2026-06-01")
    ]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def test_a_load_that_waited_for_another_knows_what_that_one_has_loaded(world: World) -> None:
    world.write("first.jsonl", neighbours(0, 5, BEFORE_MIDNIGHT))
    world.write("second.jsonl", neighbours(0, 6, AFTER_MIDNIGHT))
    loaded: list[int] = []

    def load_second() -> None:
        report = loading(world, world.files("second.jsonl", name="second"))
        loaded.append(report.tables["platform_events"].loaded)

    second = threading.Thread(target=load_second)

    def start_second(source: str, name: str, done: int) -> None:
        second.start()
        wait_for(
            lambda: world.rows(
                "select count(*) > 0 from pg_locks where locktype = 'advisory' and not granted"
            )[0]
        )

    loading(world, world.files("first.jsonl", name="first"), progress=start_second)
    second.join()
    assert loaded == [1]
    assert world.events("event_id::text, day::text") == sorted(
        [(event_id(n), "2026-06-01") for n in range(5)] + [(event_id(5), "2026-06-02")]
    )


def test_ids_that_were_added_are_always_recognised_and_others_seldom() -> None:
    rng = np.random.default_rng(7)
    hashes = rng.integers(0, 2**63, 60_000, dtype=np.uint64)
    seen = SeenIds()
    assert not seen.add(hashes[:1]).any()
    assert seen.add(np.repeat(hashes[1:3], 2)).all()
    assert seen.add(hashes[:50_000]).sum() < 100
    assert seen.add(hashes[:50_000]).all()
    assert seen.add(hashes[50_000:]).mean() < 0.001
    assert seen.add(hashes[:0]).tolist() == []
