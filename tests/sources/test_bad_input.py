"""Whatever is wrong with a record, it waits in quarantine with a reason, and the rest is loaded."""

from __future__ import annotations

import gzip
import json
import logging
import os
from pathlib import Path

import pytest
from source_world import (
    NOON,
    World,
    conversation,
    csv_text,
    event,
    event_id,
    lines,
    message,
)

from analytics_assets.sources.errors import LoadError, LoadInterrupted

SECRET = "ann.secret@example.org"

# line: (record, code, words of the reason that say what to do)
BAD_EVENTS = {
    "malformed JSON": ('{"event_id": ', "malformed_json", "one object per line"),
    "no object": ('["a"]', "malformed_json", "one object per line"),
    "unknown type": (event(1, event_type="no.such"), "unknown_event_type", "catalogue"),
    "missing type": (event(1, event_type=...), "missing_event_type", "send the name"),
    "wrong type": (
        event(1, event_data={"project_id": "p", "duration_seconds": SECRET}),
        "wrong_type",
        "duration_seconds must be a number",
    ),
    "structure for text": (event(1, user_id={"name": SECRET}), "wrong_type", "user_id must be"),
    "missing field": (event(1, event_data={}), "missing_field", "project_id"),
    "future": (event(1, "2026-06-08T00:05:01Z"), "future_timestamp", "clock right"),
    "ancient": (event(1, "2026-04-26T23:59:59Z"), "before_start_day", "ANALYTICS_START_DAY"),
    "no time": (event(1, timestamp="soon"), "invalid_timestamp", "2026-01-31T12:34:56Z"),
    "oversized payload": (
        event(1, event_data={"project_id": "p", "x": SECRET * 1700}),
        "oversized",
        "send less",
    ),
    "NUL in a value": (event(1, user_id=f"{SECRET}\0"), "nul_byte", "remove it"),
    "NUL in JSON": (
        event(1, event_data={"project_id": f"{SECRET}\0"}),
        "nul_byte",
        "remove it",
    ),
    "half a surrogate": ('{"user_id": "\\ud800"}', "malformed_json", "one object per line"),
    "NaN": ('{"event_id": "x", "event_data": {"a": NaN}}', "invalid_json", "mend it"),
    "not a UUID": (event(1, event_id=SECRET), "invalid_event_id", "such as 0b7d1c1e"),
    "junk user": (event(1, user_id="undefined"), "junk_user_id", "leave user_id out"),
    "data is no object": (event(1, event_data=[SECRET]), "not_an_object", "event_data must be"),
    "place is no object": (event(1, geo_location=SECRET), "not_an_object", "geo_location must"),
    "long session": (event(1, session_id=SECRET * 30), "too_long", "at most 512 bytes"),
}
BAD_LINES = {
    "NUL byte": (b'{"event_id": "\0"}\n', "nul_byte", "damaged or binary"),
    "invalid UTF-8": (b'{"event_id": "\xff"}\n', "invalid_utf8", "byte 15 of the line"),
    "oversized line": (b'{"a": "' + b"x" * 1_100_000 + b'"}\n', "oversized", "1024 KB"),
    "enormous line": (b'{"a": "' + b"x" * 5_000_000 + b'"}\n', "oversized", "1024 KB"),
}


def test_each_bad_event_of_a_file_waits_with_its_reason_and_the_rest_is_loaded(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    expected = {}
    content = lines([event("first")])
    for number, (record, code, words) in enumerate(BAD_EVENTS.values(), start=2):
        content += lines([record])
        expected[f"events.jsonl:{number}"] = (code, words)
    for number, (line, code, words) in enumerate(BAD_LINES.values(), start=2 + len(BAD_EVENTS)):
        content += line
        expected[f"events.jsonl:{number}"] = (code, words)
    found = world.load_events(content + b"\n  \r\n" + lines([event("last")]))

    assert sorted(world.events()) == sorted([event_id("first"), event_id("last")])
    rejected = world.rejected()
    assert {place: code for place, (code, _) in rejected.items()} == {
        place: code for place, (code, _) in expected.items()
    }
    for place, (_, words) in expected.items():
        assert words in rejected[place][1], place
    assert (found.read, found.loaded) == (2 + len(expected), 2)
    assert found.rejected_rows == len(expected)
    # What a person wrote is where it can be mended, and nowhere else.
    assert SECRET not in str([text for _, text in rejected.values()])
    assert SECRET not in str(world.rows("select to_jsonb(l) from ops.load_log as l"))
    assert SECRET not in caplog.text
    kept = world.rows("select coalesce(raw_text, payload::text) from raw.rejected_events")
    assert sum(SECRET in str(text) for text in kept) >= 8
    assert max(len(str(text)) for text in kept) < 70_000


@pytest.mark.parametrize("kind", BAD_LINES)
def test_one_unreadable_line_alone_costs_that_line(world: World, kind: str) -> None:
    line, code, _ = BAD_LINES[kind]
    found = world.load_events(lines([event(1)]) + line + lines([event(2)]))
    assert (found.loaded, found.rejected) == (2, {code: 1})
    assert world.codes() == {"events.jsonl:2": code}


def test_the_same_bad_events_from_the_inbox_wait_likewise(world: World) -> None:
    sent = {
        name: (record, code)
        for name, (record, code, _) in BAD_EVENTS.items()
        # The collector cannot store what jsonb cannot hold.
        if isinstance(record, dict) and not name.startswith("NUL")
    }
    world.send("event", *(record for record, _ in sent.values()), ["no", "object"], event("good"))
    found = world.load().tables["platform_events"]
    assert (found.read, found.loaded) == (len(sent) + 2, 1)
    codes = list(world.codes().values())
    assert sorted(codes) == sorted([*(code for _, code in sent.values()), "not_an_object"])
    assert world.rows("select count(*) from inbox.entries") == [0]
    assert world.rows("select distinct source from raw.rejected_events") == ["collector"]


def test_bad_records_of_the_other_tables_wait_with_their_reason(world: World) -> None:
    world.write("conversations.jsonl", [
        conversation("c1"),
        conversation("c2", started_at="yesterday"),
        conversation("c3", ended_at="never"),
        conversation("c4", metadata=7),
        conversation("c5", user_id=" NULL "),
        conversation("c6", "2026-07-01T00:00:00Z"),
        conversation("c7", "2020-01-01T00:00:00Z"),
    ])  # fmt: skip
    world.write("messages.jsonl", [
        message("m1"), message("m2", role="robot"), message("m3", conversation_id=None),
    ])  # fmt: skip
    job = {"job_type": "t", "status": "failed", "created_at": NOON}
    world.write("jobs.jsonl", [
        {"job_id": "j1", **job}, {"job_id": "j2", **job, "credits": SECRET},
        {"job_id": "x" * 300, **job},
    ])  # fmt: skip
    world.write("users.jsonl", [
        {"user_id": "u1"}, {"user_id": "u2", "is_internal": SECRET}, {"role": "dev"},
        {"user_id": "u3", "signup_at": SECRET},
    ])  # fmt: skip
    report = world.load(
        world.files("conversations.jsonl", "conversations"),
        world.files("messages.jsonl", "messages"),
        world.files("jobs.jsonl", "service_jobs"),
        world.files("users.jsonl", "users"),
    )
    loaded = {t: (c.read, c.loaded) for t, c in report.tables.items() if c.read}
    assert loaded == {
        "conversations": (7, 1), "messages": (3, 1), "service_jobs": (3, 1), "users": (4, 1),
    }  # fmt: skip
    assert world.codes() == {
        "conversations.jsonl:2": "invalid_timestamp",
        "conversations.jsonl:3": "invalid_timestamp",
        "conversations.jsonl:4": "not_an_object",
        "conversations.jsonl:5": "junk_user_id",
        "conversations.jsonl:6": "future_timestamp",
        "conversations.jsonl:7": "before_start_day",
        "messages.jsonl:2": "not_in_enum",
        "messages.jsonl:3": "missing_field",
        "jobs.jsonl:2": "wrong_type",
        "jobs.jsonl:3": "too_long",
        "users.jsonl:2": "wrong_type",
        "users.jsonl:3": "missing_field",
        "users.jsonl:4": "invalid_timestamp",
    }
    assert SECRET not in str(world.rejected())


def test_a_ragged_csv_costs_its_broken_lines_only(world: World) -> None:
    head = b"event_id,event_type,timestamp,event_data\n"
    data = '"{""project_id"": ""p""}"'
    good = [f"{event_id(n)},project.viewed,{NOON},{data}\n".encode() for n in range(4)]
    world.write("a.csv", b"".join([
        head, good[0],
        b"too,few\n",
        good[1][:-1] + b",more\n",
        b'x,y,"a quote that never ends,z\n',
        good[2],
        b"\xff\xfe,project.viewed,,\n",
        good[3],
    ]))  # fmt: skip
    found = world.load(world.files("a.csv")).tables["platform_events"]
    assert (found.read, found.loaded) == (7, 3)
    rejected = world.rejected()
    assert world.codes() == {
        "a.csv:3": "malformed_csv",
        "a.csv:4": "malformed_csv",
        "a.csv:5": "malformed_csv",
        "a.csv:7": "invalid_utf8",
    }
    assert "has 2 values where the header has 4" in rejected["a.csv:3"][1]
    assert "quote" in rejected["a.csv:5"][1]


def test_a_file_without_a_needed_column_names_it_and_others_load(world: World) -> None:
    world.write("no_time.csv", csv_text(["event_type", "user_id"], [["project.viewed", SECRET]]))
    world.write("no_type.jsonl", [{"timestamp": NOON, "user_id": SECRET}])
    world.write("good.jsonl", [event(1)])
    with pytest.raises(LoadError) as found:
        world.load(
            world.files("no_time.csv", name="comma"),
            world.files("no_type.jsonl", name="json"),
            world.files("good.jsonl", name="good"),
        )
    told = str(found.value)
    assert "comma: no_time.csv: there is no column 'timestamp', which platform_events" in told
    assert "The file has event_type, user_id; rename or map them with `select`" in told
    assert "json: no_type.jsonl: there is no column 'event_type'" in told
    assert "2 of the sources" in told
    assert SECRET not in told
    assert world.events() == [event_id(1)]


def unreadable(path: Path) -> None:
    """A file that is there and cannot be read, also for root."""
    path.write_text("{}")
    path.chmod(0)
    if os.access(path, os.R_OK):
        path.unlink()
        path.symlink_to("/proc/self/mem")


def test_files_that_are_missing_unreadable_or_damaged_are_named_and_others_load(
    world: World,
) -> None:
    whole = gzip.compress(lines([event(n) for n in range(2000)]))
    (world.folder / "a_cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    broken = whole[:10] + b"\xff" * 40 + whole[50:]
    (world.folder / "b_broken.jsonl.gz").write_bytes(broken)
    (world.folder / "c_no_gzip.jsonl.gz").write_bytes(b"{}")
    (world.folder / "d_cut.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfd\x04")
    (world.folder / "e_text.parquet").write_bytes(lines([event(1)]))
    unreadable(world.folder / "f_forbidden.jsonl")
    world.write("good.jsonl", [event("good")])
    with pytest.raises(LoadError) as found:
        world.load(
            world.files("nowhere/*.jsonl", name="missing"),
            world.files("perhaps/*.jsonl", name="optional", optional=True),
            world.files("[a-f]_*", name="damaged", format="jsonl"),
            world.files("e_text.parquet", name="columns"),
            world.files("good.jsonl", name="good"),
        )
    told = str(found.value)
    for words in (
        "source missing: no file matches",
        "`optional: true`",
        "a_cut.jsonl.gz cannot be read to its end",
        "b_broken.jsonl.gz cannot be read to its end",
        "c_no_gzip.jsonl.gz cannot be read to its end",
        "d_cut.jsonl.zst cannot be read to its end",
        "e_text.parquet is no readable Parquet file",
        "f_forbidden.jsonl cannot be read",
    ):
        assert words in told
    assert "source optional" not in told
    assert event_id("good") in world.events()
    assert "Traceback" not in told

    # Whole again, each is loaded to its end, and what came of it before is not doubled.
    for name in ("a_cut.jsonl.gz", "b_broken.jsonl.gz"):
        (world.folder / name).write_bytes(whole)
        report = world.load(world.files(name, name="damaged"))
        assert (report.files, report.tables["platform_events"].read % 2000) == (1, 0)
    assert len(world.events()) == 2001


def test_an_empty_file_is_no_error(world: World) -> None:
    world.write("empty.jsonl", b"")
    world.write("head.csv", csv_text(["event_type", "timestamp"], []))
    world.write("empty.csv", b"")
    report = world.load(world.files("empty.jsonl", name="a"), world.files("*.csv", name="b"))
    assert (report.files, report.tables["platform_events"].read) == (3, 0)


# --- duplicates -----------------------------------------------------------------------------------


def test_an_id_is_loaded_once_and_the_first_valid_one_wins(world: World) -> None:
    found = world.load_events([
        event(1, event_data={}),  # not valid: what follows is the first
        event(1, user_id="first"),
        event(1, user_id="second"),
        event(1, "2026-06-02T00:10:00Z", user_id="the day after"),
        event(1, "2026-05-31T23:50:00Z", user_id="the day before"),
        event(1, "2026-06-03T00:10:00Z", user_id="two days after"),
    ])  # fmt: skip
    assert (found.rejected_rows, found.loaded + found.duplicate) == (1, 5)
    assert world.rows(
        "select user_id from raw.platform_events where day between '2026-05-31' and '2026-06-02'"
    ) == ["first"]


def test_an_id_is_compared_as_a_uuid_whatever_its_letters(world: World) -> None:
    shout = event(1) | {"event_id": event_id(1).upper()}
    assert world.load_events([event(1), shout]).duplicate == 1


def test_an_id_is_loaded_once_across_files_sources_and_the_inbox(world: World) -> None:
    midnight = ("2026-06-01T23:59:59Z", "2026-06-02T00:00:01Z")
    world.write("a.jsonl", [event("same day"), event("neighbour", midnight[0])])
    world.write("b.jsonl", [event("same day"), event("neighbour", midnight[1]), event("b")])
    world.write(
        "other/c.jsonl", [event("neighbour", midnight[1]), event("b", "2026-05-31T01:00:00Z")]
    )
    world.send("event", event("neighbour", midnight[1]), event("b", "2026-05-31T23:00:00Z"))
    report = world.load(
        world.files("*.jsonl", name="one"), world.files("other/*.jsonl", name="other")
    )
    found = report.tables["platform_events"]
    rejected = world.codes()
    assert rejected == {}
    assert (found.read, found.loaded, found.duplicate) == (9, 3, 6)
    assert sorted(world.events()) == sorted(map(event_id, ("same day", "neighbour", "b")))


def test_two_sources_may_send_the_same_file(world: World) -> None:
    world.write("a.jsonl", [event(1)])
    report = world.load(world.files("a.jsonl", name="one"), world.files("a.jsonl", name="two"))
    found = report.tables["platform_events"]
    assert (found.loaded, found.duplicate) == (1, 1)


def test_a_row_past_its_retention_is_counted_as_expired_and_takes_no_place(world: World) -> None:
    early = event(1, "2026-06-01T12:00:00Z", event_type="download", event_data={"media_id": "m"})
    world.execute(
        "insert into ops.retention_floor (event_category, kept_from)"
        " values ('action', '2026-06-02')"
    )
    later = [{**early, "timestamp": f"2026-06-0{day}T00:00:00Z"} for day in (2, 3)]
    found = world.load_events([early, *later])
    assert (found.loaded, found.expired, found.duplicate) == (1, 1, 1)
    assert world.events("day::text") == ["2026-06-02"]


def test_a_statement_that_postgres_refuses_is_told_without_the_row(world: World) -> None:
    world.execute(
        "alter table raw.platform_events add constraint odd check (user_id <> %s)".replace(
            "%s", f"'{SECRET}'"
        )
    )
    with pytest.raises(LoadInterrupted) as found:
        world.load_events([event(1, user_id=SECRET)])
    assert "SQLSTATE 23514" in str(found.value)
    assert SECRET not in str(found.value)
    assert found.value.__suppress_context__
    world.execute("alter table raw.platform_events drop constraint odd")
    assert world.load(world.files("events.jsonl")).tables["platform_events"].loaded == 1


def test_a_rejected_record_is_kept_as_it_was_sent(world: World) -> None:
    record = event(1, event_type="no.such", more={"a": 1})
    world.load_events([json.dumps(record), "{broken"])
    world.send("event", record)
    world.load()
    assert world.rows(
        "select payload, raw_text, event_type, kind from raw.rejected_events order by location"
    )[1:] == [
        (None, "{broken", None, "event"),
        (record, None, "no.such", "event"),
    ]
