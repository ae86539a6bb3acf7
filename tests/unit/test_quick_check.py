"""What the door's quick check passes, the checks of every load pass too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from staged_events import connected

from analytics_assets.events.catalogue import Catalogue, load_catalogue
from analytics_assets.events.quick_check import (
    EASY_BYTES,
    Envelope,
    QuickCheck,
    instant,
    uuid_bytes,
)
from analytics_assets.sources.contract import CONTRACTS
from analytics_assets.sources.problems import problem_query
from analytics_assets.sources.staging import LoadRules
from analytics_assets.store.database import Database
from analytics_assets.windows import Window

NOW = datetime(2026, 6, 8, 12, tzinfo=UTC)
START = date(2026, 4, 27)
SKEW = timedelta(minutes=5)
RULES = LoadRules(load_catalogue(), NOW, SKEW, START, Window(START, date(2026, 6, 9)))
FIRST = datetime(2026, 4, 27, tzinfo=UTC)
CHECK = QuickCheck(RULES.catalogue)
DECODER = msgspec.json.Decoder(Envelope)


@pytest.fixture(scope="module")
def connection(postgres_server: Database) -> Iterator[psycopg.Connection[Any]]:
    with connected(postgres_server, "test_quick_check") as opened:
        yield opened


def quick(raw: bytes) -> bool:
    """As the door asks."""
    try:
        event = DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return (
        uuid_bytes(event.event_id) is not None
        and len(raw) <= EASY_BYTES
        and b"\\u0000" not in raw
        and CHECK.passes(event, FIRST, NOW + SKEW)
    )


def problems(connection: psycopg.Connection[Any], raws: list[bytes]) -> dict[int, str]:
    query = problem_query(CONTRACTS["platform_events"], RULES)
    found = connection.execute(
        query, {"records": [raw.decode() for raw in raws], "latest": NOW + SKEW}
    ).fetchall()
    return {int(number) - 1: str(problem) for number, problem in found}


def edges(catalogue: Catalogue) -> list[Any]:
    """Values near the limits of any field."""
    values: list[Any] = [
        None, True, False, 0, -1, 1, 0.0, -0.0, 1.5, 100, 101, 2**53 - 1, 2**53, -(2**53), 2**63,
        2**64, 1e15, 1e29, 1e30, 1e31, 10**29, 10**31, "", "x", "null", " u ", "é" * 33, "x" * 64,
        "x" * 65, "\u2003", [], {}, ["a"], [1], [1.0], [1.5], [None], {"a": {"b": {"c": {}}}},
        {"a": {"b": {"c": {"d": 1}}}}, {"a": [[[[1]]]]}, [[[[[]]]]], {"n": 1e31},
    ]  # fmt: skip
    for schema in catalogue.schemas.values():
        for field in schema.fields.values():
            for limit in (field.minimum, field.maximum):
                if limit is not None:
                    values += [limit, limit - 1, limit + 1, limit + 0.5, float(limit)]
            if field.max_length is not None:
                values += ["x" * field.max_length, "é" * (field.max_length + 1)]
            values += list(field.enum or ())
    return list({json.dumps(value): value for value in values}.values())


EDGES = edges(RULES.catalogue)
TIMES = [
    "2026-06-01T12:00:00Z", "2026-06-01T12:00:00.123456789+05:45", "2026-06-08T12:05:00Z",
    "2026-06-08T12:04:59.999Z", "2026-04-27T00:00:00Z", "2026-04-26T23:59:59Z", "2026-02-30T00:00Z",
    "2026-06-01T24:00:00Z", "2026-06-01", "2026-06-01T12:00:00", "2026-06-01T12:00:60Z",
    "2026-06-01t12:00:00z", "2026-W23-1T00:00:00Z", "20260601T120000Z", "0000-01-01T00:00:00Z",
    "2026-06-01T12:00:00+14:59", "2026-06-01T12:00:00+15:00", "٢٠٢٦-06-01T12:00:00Z", 5, None,
    "2026-06-01T12:00:00-00:00", "2026-06-01T12:00:00.Z", "2026-06-01T12:00:00Z\n",
]  # fmt: skip
IDS = [
    "0b7d1c1e-5a0e-4a53-9d3c-2f1d1f0a9b11", "0B7D1C1E-5A0E-4A53-9D3C-2F1D1F0A9B11",
    "0b7d1c1e5a0e4a539d3c2f1d1f0a9b11", "00000000-0000-0000-0000-000000000000",
    "0b7d1c1e-5a0e-4a53-9d3c-2f1d1f0a9b1 ", "0b7d1c1e-5a0e-4a53-9d3c-2f1d1f0a9b1g", "", 7, None,
    "0b7d1c1-e5a0e-4a53-9d3c-2f1d1f0a9b11", "{b7d1c1e-5a0e-4a53-9d3c-2f1d1f0a9b1}",
]  # fmt: skip


@st.composite
def near_valid(draw: st.DrawFn) -> bytes:
    """An event that is valid but for a few values near the limits."""
    schema = draw(st.sampled_from(list(RULES.catalogue.schemas.values())))
    anything = (
        st.sampled_from(EDGES)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5)
    )
    likely = {
        "string": st.sampled_from(["x", "é", "2026"]), "integer": st.integers(0, 9),
        "number": st.integers(0, 9) | st.floats(0, 9), "boolean": st.booleans(),
        "array": st.just([]), "object": st.just({}),
    }  # fmt: skip
    data: dict[str, Any] = {}
    for name, field in schema.fields.items():
        usual = st.sampled_from(field.enum) if field.enum else likely[field.type]
        if field.required or draw(st.booleans()):
            data[name] = draw(usual if draw(st.integers(0, 9)) else anything)
    for name in draw(st.lists(st.sampled_from(["other", "$x", "a b"]), max_size=2, unique=True)):
        data[name] = draw(anything)
    record: dict[str, Any] = {
        "event_id": draw(st.sampled_from([IDS[0]] * 9 + IDS)),
        "event_type": schema.event_type,
        "timestamp": draw(st.sampled_from([TIMES[0]] * 9 + TIMES)),
        "user_id": draw(
            st.sampled_from(["u1"] * 9 + ["null", " NaN\t", "", None, 7, "İ", "x" * 99])
        ),
        "event_data": data,
    }
    for name in ("session_id", "entity_id", "metadata", "geo_location", "device_info", "source"):
        if not draw(st.integers(0, 5)):
            record[name] = draw(anything)
    if not draw(st.integers(0, 9)):
        del record[draw(st.sampled_from(sorted(record)))]
    return json.dumps(record, ensure_ascii=draw(st.booleans())).encode()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(raws=st.lists(near_valid(), min_size=20, max_size=40))
def test_what_passes_quickly_is_valid(
    connection: psycopg.Connection[Any], raws: list[bytes]
) -> None:
    passed = [raw for raw in raws if quick(raw)]
    found = problems(connection, passed) if passed else {}
    assert {passed[number]: problem for number, problem in found.items()} == {}


def test_each_edge_in_each_field_is_judged_alike_or_left_to_postgres(
    connection: psycopg.Connection[Any],
) -> None:
    raws = []
    for schema in RULES.catalogue.schemas.values():
        usual = {"string": "x", "integer": 1, "number": 1, "boolean": True, "array": [],
                 "object": {}}  # fmt: skip
        whole = {n: (f.enum[0] if f.enum else usual[f.type]) for n, f in schema.fields.items()}
        envelope = {
            "event_id": IDS[0], "event_type": schema.event_type, "timestamp": TIMES[0],
        }  # fmt: skip
        raws += [
            json.dumps({**envelope, "event_data": {**whole, name: value}}).encode()
            for name in schema.fields
            for value in EDGES
        ]
    passed = [raw for raw in raws if quick(raw)]
    assert len(passed) > len(raws) / 10
    assert problems(connection, passed) == {}


def test_ordinary_events_pass_quickly() -> None:
    """Otherwise the fast path is none."""
    for schema in RULES.catalogue.schemas.values():
        usual = {"string": "x", "integer": 1, "number": 1.5, "boolean": True, "array": [],
                 "object": {"k": ["v"]}}  # fmt: skip
        data = {n: (f.enum[0] if f.enum else usual[f.type]) for n, f in schema.fields.items()}
        record = {
            "event_id": IDS[0], "event_type": schema.event_type, "timestamp": TIMES[1],
            "user_id": "user_1", "session_id": "s", "event_data": {**data, "other": {"a": 1}},
            "metadata": {"library": {"name": "x", "version": 2}},
        }  # fmt: skip
        if all(not isinstance(v, float) for f in schema.fields.values() for v in f.enum or ()):
            assert quick(json.dumps(record).encode()), schema.event_type


def test_times_and_ids_are_read_in_their_usual_form_only() -> None:
    assert [text for text in IDS if isinstance(text, str) and uuid_bytes(text)] == IDS[:2]
    assert instant("2026-06-01T12:00:00.5+02:00") == datetime(
        2026, 6, 1, 10, 0, 0, 500_000, tzinfo=UTC
    )
    for odd in ("2026-06-01T12:00:00", "2026-W23-1T00:00:00Z", "2026-02-30T00:00:00Z", "", None):
        assert instant(odd) is None
