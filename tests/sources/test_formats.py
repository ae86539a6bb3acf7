"""Files of every format, compressed or not, become the same rows; mapped where columns differ."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from source_world import NOON, World, conversation, csv_text, event, event_id, lines

from analytics_assets.sources.config import read_sources
from analytics_assets.sources.duck import NAMESPACE
from analytics_assets.sources.errors import LoadError, SourcesFileError

HEADER = ["event_id", "event_type", "timestamp", "user_id", "event_data"]
Write = Callable[[list[dict[str, Any]]], bytes]


def as_csv(records: list[dict[str, Any]]) -> bytes:
    return csv_text(
        HEADER,
        [[json.dumps(r[k]) if k == "event_data" else r.get(k) for k in HEADER] for r in records],
    )


def as_parquet(records: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    sink = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist(records), sink, row_group_size=2)
    return bytes(sink.getvalue())


def test_each_format_and_compression_gives_the_same_rows(world: World) -> None:
    formats: list[tuple[str, Write]] = [
        ("json/a.jsonl", lines),
        ("json/deep/down/b.jsonl.gz", lines),
        ("json/c.ndjson.zst", lines),
        ("comma/d.csv", as_csv),
        ("comma/e.csv.gz", as_csv),
        ("comma/f.csv.zst", as_csv),
        ("g.parquet", as_parquet),
    ]
    for number, (name, written) in enumerate(formats):
        records = [
            event((number, row), user_id=f"ü{row}", event_data={"project_id": f'p,\n"{row}"'})
            for row in range(3)
        ]
        world.write(name, written(records))
    report = world.load(
        world.files("json/**/*", name="json", format="jsonl"),
        world.files("comma/*", name="comma", format="csv"),
        world.files("*.parquet", name="columns"),
    )
    assert (report.files, report.tables["platform_events"].loaded) == (7, 21)
    assert world.codes() == {}
    found = world.events("user_id, event_data ->> 'project_id', count(*) over (partition by 1)")
    assert len(found) == 21
    assert {row[:2] for row in found} == {(f"ü{row}", f'p,\n"{row}"') for row in range(3)}
    again = world.load(world.files("json/**/*", name="json", format="jsonl"))
    assert (again.files_skipped, again.tables["platform_events"].read) == (3, 0)


def test_every_table_is_loaded_from_its_own_file(world: World) -> None:
    world.write("users.jsonl", [{"user_id": "u1", "role": "dev", "email": "a@b.example"}])
    world.write("servers.csv", csv_text(["server_id", "name"], [["s1", "Weather"]]))
    world.write("conversations.jsonl", [conversation("c1", title="T", metadata={"a": [1]})])
    world.write("messages.csv", csv_text(
        ["message_id", "conversation_id", "role", "content", "created_at", "user_id"],
        [["m1", "c1", "Assistant", "two\nlines", "2026-06-01 12:00:00+02", "u1"]],
    ))  # fmt: skip
    world.write("service_jobs.jsonl", [{
        "job_id": "j1", "job_type": "render", "status": "failed", "created_at": NOON,
        "finished_at": "2026-06-01T12:05:00Z", "credits": 1.25, "user_id": "u1",
    }])  # fmt: skip
    tables = ("users", "servers", "conversations", "messages", "service_jobs")
    report = world.load(
        *(world.files(f"{t}.*", t, format="csv" if t in ("servers", "messages") else "jsonl")
          for t in tables)
    )  # fmt: skip
    assert {table: report.tables[table].loaded for table in tables} == dict.fromkeys(tables, 1)
    assert world.rows("select role from raw.users") == ["dev"]
    assert world.rows("select name from raw.servers") == ["Weather"]
    assert world.rows("select metadata, day from raw.conversations") == [
        ({"a": [1]}, date(2026, 6, 1))
    ]
    assert world.rows(
        "select role, content, created_at = '2026-06-01T10:00:00Z' from raw.messages"
    ) == [("assistant", "two\nlines", True)]
    assert world.rows("select credits, finished_at - created_at from raw.service_jobs")[0][0] == (
        pytest.approx(1.25)
    )
    # Names and addresses are kept apart, for the scrubber.
    assert world.rows("select kind, value from vault.known_identifiers") == [
        ("email", "a@b.example")
    ]


def test_a_select_maps_foreign_columns_chunk_by_chunk(world: World) -> None:
    world.write("hits.csv", csv_text(
        ["When", "Who", "Slug"],
        [["01/06/2026 12:30", "u1", "p1"], ["02/06/2026 00:10", "u2", "p2"]],
    ))  # fmt: skip
    report = world.load(world.files("hits.csv", select="""
        select
            'project.viewed' as event_type,
            strptime("When", '%d/%m/%Y %H:%M') as timestamp,
            Who as user_id,
            {'project_id': Slug} as event_data
        from source where Who <> 'u3'
    """))  # fmt: skip
    assert report.tables["platform_events"].loaded == 2
    assert world.events("user_id, day::text, event_data ->> 'project_id'") == [
        ("u1", "2026-06-01", "p1"),
        ("u2", "2026-06-02", "p2"),
    ]


def test_a_select_may_aggregate_and_join_the_whole_file(world: World) -> None:
    world.write("hits.jsonl", [
        {"who": "u1", "hour": "2026-06-01T12:00:00Z", "n": 1},
        {"who": "u1", "hour": "2026-06-01T12:00:00Z", "n": 2},
        {"who": "u2", "hour": "2026-06-01T13:00:00Z", "n": 5},
    ])  # fmt: skip
    world.write("names.csv", csv_text(["who", "name"], [["u1", "ann"], ["u2", "bob"]]))
    source = world.files("hits.jsonl", select="""
        select
            'project.viewed' as event_type, hour as timestamp, name as user_id,
            {'project_id': 'p', 'duration_seconds': sum(n::integer)} as event_data
        from source join read_csv('names.csv') using (who)
        group by all
    """)  # fmt: skip
    assert world.load(source).tables["platform_events"].loaded == 2
    wanted = [("ann", "3"), ("bob", "5")]
    assert world.events("user_id, event_data ->> 'duration_seconds'") == wanted


def test_a_name_inside_a_value_is_no_column(world: World) -> None:
    found = world.load_events(
        [event(1, person="p-7", metadata={"subject": "mail", "geo_location": "attic"})],
        select="select *, person as subject from source",
    )
    assert (found.loaded, world.events("subject, geo_location")) == (1, [("p-7", None)])


def test_csv_options_say_how_a_file_is_written(world: World) -> None:
    text = 'u1;project.viewed;2026-06-01T12:00:00Z;\'{"project_id": "caf\xe9"}\';-\n'
    world.write("odd.txt", text.encode("latin-1"))
    options = {
        "delimiter": ";", "quote": "'", "encoding": "latin-1", "header": False,
        "columns": ["user_id", "event_type", "timestamp", "event_data", "session_id"],
        "null_values": ["-"],
    }  # fmt: skip
    assert world.load(world.files("odd.txt", format="csv", csv=options)).files == 1
    assert world.events("event_data ->> 'project_id', session_id") == [("café", None)]


def test_a_tab_separated_file_needs_no_options(world: World) -> None:
    world.write("a.tsv", b"event_type\ttimestamp\tevent_data\n"
                b'project.viewed\t2026-06-01T12:00:00Z\t"{""project_id"": ""p""}"\n')  # fmt: skip
    assert world.load(world.files("a.tsv")).tables["platform_events"].loaded == 1


# --- identity -------------------------------------------------------------------------------------


def test_rows_without_an_id_get_a_uuid_v5_and_true_repeats_are_kept(world: World) -> None:
    same = event("-", event_id=...)
    found = world.load_events([same, same, event("-", event_id=..., user_id="u2"), same])
    assert (found.loaded, found.duplicate) == (4, 0)
    ids = world.events()
    assert len(set(ids)) == 4
    assert {uuid.UUID(identity).version for identity in ids} == {5}
    # Fixed for ever: the same file gives the same ids on every machine and in every version.
    import hashlib

    digest = hashlib.sha1(lines([same]), usedforsecurity=False).hexdigest()
    parts = ("files_platform_events", "platform_events", digest, "3")
    assert str(uuid.uuid5(NAMESPACE, "\x1f".join(parts))) in ids


def test_loading_a_grown_file_adds_only_what_is_new(world: World) -> None:
    rows = [event("-", event_id=..., user_id=f"u{n % 2}") for n in range(6)]
    assert world.load_events(rows).loaded == 6
    before = world.content()
    # Another stamp and another fingerprint, the same rows at its beginning.
    grown = world.load_events([*rows, event("-", event_id=..., user_id="u0")])
    assert (grown.read, grown.loaded, grown.duplicate) == (7, 1, 6)
    kept = {row for table in world.content() for row in table}
    assert all(row in kept for table in before for row in table)


@pytest.mark.parametrize("select", [None, "select * from source", "select distinct * from source"])
def test_the_cut_into_chunks_changes_no_id(
    world: World, monkeypatch: pytest.MonkeyPatch, select: str | None
) -> None:
    rows = [event("-", event_id=..., user_id=f"u{n % 5}") for n in range(40)]
    rows.append(event("one with an id of its own"))
    first = world.load_events(rows, select=select)
    ids = world.events()
    monkeypatch.setattr("analytics_assets.sources.formats.CHUNK_ROWS", 7)
    world.write("events.jsonl", [*rows, event("last")])
    again = world.load(world.files("events.jsonl", select=select)).tables["platform_events"]
    assert (again.loaded, again.duplicate) == (1, first.loaded)
    assert set(world.events()) == {*ids, event_id("last")}


def test_repeats_are_counted_across_rows_for_which_the_select_fails(world: World) -> None:
    """A chunk with a failing row is mapped in halves; its repeats are still one count."""
    good = ["2026-06-01", "u1"]
    world.write("a.csv", csv_text(["day", "who"], [*[good] * 5, ["soon", "u1"], *[good] * 6]))
    found = world.load(world.files("a.csv", select="""
        select 'project.viewed' as event_type, strptime(day, '%Y-%m-%d') as timestamp,
            who as user_id, {'project_id': 'p'} as event_data from source
    """)).tables["platform_events"]  # fmt: skip
    assert (found.loaded, found.rejected) == (11, {"mapping_failed": 1})
    [(location, (_, text))] = world.rejected().items()
    assert location == "a.csv:7"
    assert "try_strptime" in text


def test_an_id_of_the_application_that_is_no_uuid_becomes_one(world: World) -> None:
    rows = [{"id": "evt-1", "t": NOON}, {"id": "evt-1", "t": NOON}, {"id": "evt-2", "t": NOON}]
    found = world.load_events(rows, select="""
        select id as event_id, 'project.viewed' as event_type, t as timestamp,
            {'project_id': 'p'} as event_data from source
    """)  # fmt: skip
    assert (found.loaded, found.duplicate) == (2, 1)


def test_a_file_is_known_by_its_content_not_by_its_name(world: World) -> None:
    world.load_events([event(1)])
    (world.folder / "events.jsonl").rename(world.folder / "renamed.jsonl")
    report = world.load(world.files("renamed.jsonl"))
    assert (report.files, report.files_skipped) == (1, 1)


def test_another_mapping_loads_the_same_file_again(world: World) -> None:
    world.load_events([event(1)])
    report = world.load(world.files("events.jsonl", subject="user_id"))
    assert report.tables["platform_events"].duplicate == 1


# --- the stable subject ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "select",
    [None, "select * from source", "select *, 'x' as more from (select * from source) as s"],
)
def test_a_source_may_declare_which_column_is_the_stable_subject(
    world: World, select: str | None
) -> None:
    rows = [event(1, person="p-7"), event(2), event(3, person="null")]
    if select is None:
        rows = [{**row, "subject": row.pop("person", None)} for row in rows]
    world.load_events(rows, select=select, subject="subject" if select is None else "person")
    assert sorted(world.events("subject")) == ["p-7", "u1", "u1"]


def test_without_a_declared_subject_a_user_stands_for_the_person(world: World) -> None:
    world.write("users.jsonl", [{"user_id": "u2", "subject": "p-9"}])
    world.load(world.files("users.jsonl", "users"))
    world.load_events([event(1), event(2, user_id="u2"), event(3, user_id=...)])
    assert set(world.events("user_id, subject")) == {("u1", "u1"), ("u2", "p-9"), (None, None)}


# --- the sources file -----------------------------------------------------------------------------


def test_a_sources_file_is_reported_with_all_its_problems_and_lines(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text("""\
sources:
  - type: files
    name: hits
    table: nowhere
    path: hits.log
  - type: postgres
    name: app
    tables: {users: {query: select 1, table: users}}
    url: postgresql://localhost/x
    password: secret
""")
    with pytest.raises(SourcesFileError) as found:
        read_sources(path)
    assert len(found.value.problems) == 3
    wanted = (":4: sources.0.table", ":8: sources.1.tables.users: give either", ":10: sources.1.pa")
    for problem, expected in zip(found.value.problems, wanted, strict=True):
        assert problem.startswith(f"{path}{expected}")
    assert "secret" not in str(found.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sources: [", ":1: is not YAML"),
        ("- files", "must hold `sources:`"),
        ("sources: [{type: files, name: a, table: users, path: x.log}]", "set `format`"),
        (
            "sources: [{type: inbox, name: a}, {type: inbox, name: a}]",
            "two sources are named 'a'",
        ),
    ],
)
def test_a_sources_file_that_makes_no_sense_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text(text)
    with pytest.raises(SourcesFileError) as found:
        read_sources(path)
    assert said in str(found.value)


WRONG_SELECTS = [
    ("selec 1", "is no query"),
    ("select 1; select 2", "must be one query"),
    ("select nothing as event_type from source", "cannot be run"),
    ("select event_type from source", "gives no column 'timestamp'"),
    ("select max(nowhere) as event_type from source", "cannot be run"),
]


def test_a_wrong_select_is_told_before_anything_is_loaded(world: World) -> None:
    world.write("events.jsonl", [event(1)])
    for select, said in WRONG_SELECTS:
        with pytest.raises(LoadError) as found:
            world.load(world.files("events.jsonl", select=select))
        assert said in str(found.value)
        assert "files_platform_events" in str(found.value)
    assert world.events() == []
