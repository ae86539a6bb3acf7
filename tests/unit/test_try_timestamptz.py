"""``ops.try_timestamptz`` against Python's datetime, in a real Postgres, far from UTC."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from staged_events import connected

from analytics_assets.store.database import Database

RUN = settings(max_examples=40, deadline=None, derandomize=True)
# What Python's reader allows and the platform does not: week dates, bare dates, commas, 24:00 ...
SHAPE = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-](0\d|1[0-5])(:?[0-5]\d)?)?",
    re.ASCII,
)


@pytest.fixture(scope="module")
def connection(postgres_server: Database) -> Iterator[psycopg.Connection[Any]]:
    with connected(postgres_server, "test_try_timestamptz") as opened:
        # A session's zone and date style must not matter.
        opened.execute("set timezone = 'Pacific/Chatham'")
        opened.execute("set datestyle = 'German'")
        yield opened


def microseconds(connection: psycopg.Connection[Any], texts: list[str | None]) -> list[int | None]:
    """Microseconds since 1970 of each text: unlike Python's datetime they have no first year."""
    rows = connection.execute(
        "select (extract(epoch from ops.try_timestamptz(value)) * 1000000)::bigint"
        " from unnest(%s::text[]) with ordinality as t (value, position) order by position",
        [texts],
    ).fetchall()
    return [value for (value,) in rows]


def by_python(text: str) -> int | None:
    """What Python reads, for texts of the accepted shape."""
    if not SHAPE.fullmatch(text):
        return None
    cut = re.sub(r"(\.\d{6})\d+", r"\1", text.upper())
    try:
        local = datetime.fromisoformat(cut)
    except ValueError:
        return None
    offset = local.utcoffset() or timedelta()
    since = local.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since - offset) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-01T10:00:00Z", "2026-06-01T10:00:00+00:00"),
        ("2026-06-01t10:00:00z", "2026-06-01T10:00:00+00:00"),
        ("2026-06-01 10:00:00", "2026-06-01T10:00:00+00:00"),
        ("2026-06-01 10:00:00+00", "2026-06-01T10:00:00+00:00"),
        ("2026-06-01T10:00:00.5+0530", "2026-06-01T04:30:00.500000+00:00"),
        ("2026-06-01T10:00:00-05:30", "2026-06-01T15:30:00+00:00"),
        ("2024-02-29T23:59:59.999999999Z", "2024-02-29T23:59:59.999999+00:00"),
        ("2000-02-29T00:00:00", "2000-02-29T00:00:00+00:00"),
    ],
)
def test_a_time_is_read(connection: psycopg.Connection[Any], text: str, moment: str) -> None:
    since = datetime.fromisoformat(moment) - datetime(1970, 1, 1, tzinfo=UTC)
    assert microseconds(connection, [text]) == [since // timedelta(microseconds=1)]


@pytest.mark.parametrize(
    "text",
    [
        None, "", "now", "today", "infinity", "epoch", "yesterday at noon", "1780000000",
        "1780000000.5", "2026-06-01", "2026-06-01T10:00", "2026-06-01T10", "20260601T100000Z",
        "2026-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z", "2026-06-01T24:00:00Z", "2026-06-01T10:60:00Z",
        "2026-06-30T23:59:60Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z",
        "2026-06-01T10:00:00+16:00", "2026-06-01T10:00:00+05:60", "2026-06-01T10:00:00 UTC",
        "2026-06-01T10:00:00,5Z", "2026-06-01T10:00:00.Z", "2026-06-01T10:00:00.1234567890Z",
        " 2026-06-01T10:00:00Z", "2026-06-01T10:00:00Z\n", "2026-06-01  10:00:00Z",
        "-2026-06-01T10:00:00Z", "\u0662026-06-01T10:00:00Z", "2026-06-01T10:00:00+5:30",
    ],
)  # fmt: skip
def test_what_is_no_time_is_null(connection: psycopg.Connection[Any], text: str | None) -> None:
    assert microseconds(connection, [text]) == [None]


@RUN
@given(
    moments=st.lists(
        st.tuples(
            st.datetimes(),
            st.sampled_from(["T", " ", "t"]),
            st.sampled_from(["seconds", "milliseconds", "microseconds"]),
            st.integers(-15 * 60 - 59, 15 * 60 + 59),
            st.sampled_from(["Z", "", "+HH:MM", "+HHMM"]),
        ),
        min_size=1,
        max_size=50,
    )
)
def test_every_time_python_writes_is_read_as_python_reads_it(
    connection: psycopg.Connection[Any],
    moments: list[tuple[datetime, str, str, int, str]],
) -> None:
    texts = []
    for moment, separator, precision, minutes, zone in moments:
        text = moment.isoformat(sep=separator[0], timespec=precision)
        offset = datetime(2000, 1, 1, tzinfo=timezone(timedelta(minutes=minutes))).isoformat()[19:]
        suffix = {"+HH:MM": offset, "+HHMM": offset.replace(":", "")}.get(zone, zone)
        texts.append(text + suffix)
    expected = [by_python(text) for text in texts]
    assert None not in expected
    assert microseconds(connection, [*texts]) == expected


def test_every_day_of_the_calendar_and_no_other(connection: psycopg.Connection[Any]) -> None:
    texts = [
        f"{year}-{month:02d}-{day:02d}T00:00:00Z"
        for year in (1900, 2000, 2023, 2024)
        for month in range(14)
        for day in range(33)
    ]
    expected = [by_python(text) for text in texts]
    assert sum(value is not None for value in expected) == 365 + 366 + 365 + 366
    assert microseconds(connection, [*texts]) == expected


digits = st.integers(0, 99).map(lambda number: f"{number:02d}")
near_misses = st.builds(
    "{}-{}-{}{}{}:{}:{}{}{}".format,
    st.sampled_from(["2024", "2023", "1900", "2000", "0000", "0004", "9999", "202", "20244"]),
    digits | st.integers(0, 13).map(lambda number: f"{number:02d}") | st.just("02"),
    digits | st.integers(27, 32).map(str),
    st.sampled_from(["T", " ", "t", "", "_", "TT"]),
    digits | st.integers(22, 25).map(str),
    digits | st.integers(58, 61).map(str),
    digits | st.integers(58, 61).map(str),
    st.sampled_from(["", ".", ".5", ".123456", ".9999999", ".123456789", ".1234567890", ",5"]),
    st.sampled_from(
        ["", "Z", "z", "+00", "+5", "-15:59", "+15:60", "+16", "-0000", "+01:00:00", " Z", "ZZ"]
    ),
)


@RUN
@given(texts=st.lists(near_misses, min_size=1, max_size=200))
def test_near_misses_are_judged_as_python_judges_them(
    connection: psycopg.Connection[Any], texts: list[str]
) -> None:
    assert microseconds(connection, [*texts]) == [by_python(text) for text in texts]


@RUN
@given(texts=st.lists(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))))
def test_no_text_raises(connection: psycopg.Connection[Any], texts: list[str]) -> None:
    assert len(microseconds(connection, [*texts])) == len(texts)


def test_the_planner_inlines_it(connection: psycopg.Connection[Any]) -> None:
    connection.execute("create temporary table staged (ts_text text)")
    plan = connection.execute(
        "explain (verbose, costs off) select ops.try_timestamptz(ts_text) from staged"
    ).fetchall()
    assert "try_timestamptz" not in "\n".join(line for (line,) in plan)
