"""What every event must fulfil whatever its type: id, time, user, size and shape, in SQL.

Belongs here: checks that need no catalogue. Does not: fields of ``event_data`` (``field_checks``).
Invariant: messages name fields, limits and settings, never a value of the row; no check can raise,
so one bad row never stops the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from psycopg import sql

from analytics_assets.events.sql_text import Check, problem, text, texts

MAX_EVENT_BYTES: Final = 32 * 1024
MAX_DEPTH: Final = 5
MAX_PROPERTIES: Final = 100
# A B-tree entry takes at most 2,704 bytes, and user_id is indexed: a longer one would be an error.
MAX_USER_ID_BYTES: Final = 256
# Far beyond any measurement. A few bytes such as 1e100000 are printed as that many digits, which
# Python's JSON reader refuses: one such row would break every page it is on.
LARGEST_NUMBER: Final = "1e30"
NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"
# What JavaScript, Python and databases write where there is no user.
JUNK_USER_IDS: Final = ("", "null", "undefined", "nan", "none", "nil", "[object object]")
# A hundred and one properties need more bytes than this ("a":0, and so on): not worth counting.
_BYTES_WITH_FEW_PROPERTIES: Final = 5 * MAX_PROPERTIES


@dataclass(frozen=True, slots=True)
class EnvelopeRules:
    """When events may lie: ``[start_day 00:00 UTC, as_of + clock_skew]``; ``as_of`` is aware."""

    as_of: datetime
    clock_skew: timedelta
    start_day: date


def envelope_checks(rules: EnvelopeRules, row: sql.Composable) -> list[Check]:
    """Conditions in the order in which they are to be tried.

    A null condition counts as passed. ``row`` is the alias of a staged row (see ``validation``).
    """
    return [
        *_identity_checks(row),
        *_time_checks(rules, row),
        *_user_checks(row),
        *_shape_checks(row),
    ]


def _condition(template: sql.SQL, row: sql.Composable, **values: sql.Composable) -> sql.Composed:
    return template.format(row=row, **values)


def _identity_checks(row: sql.Composable) -> list[Check]:
    return [
        (
            _condition(sql.SQL("coalesce({row}.event_type, '') = ''"), row),
            problem("missing_event_type", "event_type is missing; send the name of a type"),
        ),
        (
            _condition(sql.SQL("{row}.event_id_text is null"), row),
            problem("missing_event_id", "event_id is missing; send a UUID"),
        ),
        (
            # One regular expression for all of it takes three times as long (measured).
            _condition(
                sql.SQL(
                    "({row}.event_id_text like '________-____-____-____-____________'"
                    " and length(replace({row}.event_id_text, '-', '')) = 32"
                    " and {row}.event_id_text !~ '[^0-9a-fA-F-]') is not true"
                ),
                row,
            ),
            problem(
                "invalid_event_id",
                "event_id is not a UUID; send one such as 0b7d1c1e-5a0e-4a53-9d3c-2f1d1f0a9b11",
            ),
        ),
        (
            _condition(sql.SQL("{row}.event_id_text = {nil}"), row, nil=sql.Literal(NIL_UUID)),
            problem(
                "invalid_event_id",
                "event_id is the nil UUID, which all events would share; send one of its own",
            ),
        ),
    ]


def _time_checks(rules: EnvelopeRules, row: sql.Composable) -> list[Check]:
    latest = rules.as_of + rules.clock_skew
    first = datetime.combine(rules.start_day, time(), tzinfo=UTC)
    skew = round(rules.clock_skew.total_seconds())
    return [
        (
            _condition(sql.SQL("coalesce({row}.ts_text, '') = ''"), row),
            problem("missing_timestamp", "timestamp is missing; send when the event happened"),
        ),
        (
            _condition(sql.SQL("{row}.ts is null"), row),
            problem(
                "invalid_timestamp",
                "timestamp is no RFC 3339 time; send one such as 2026-01-31T12:34:56Z",
            ),
        ),
        (
            _condition(sql.SQL("{row}.ts > {latest}"), row, latest=sql.Literal(latest)),
            problem(
                "future_timestamp",
                f"timestamp is more than {skew} seconds ahead of the platform's clock; set the "
                "sender's clock right, then replay",
            ),
        ),
        (
            _condition(sql.SQL("{row}.ts < {first}"), row, first=sql.Literal(first)),
            problem(
                "before_start_day",
                f"timestamp is before {rules.start_day.isoformat()}, the first day of this "
                "deployment (ANALYTICS_START_DAY); correct the sender, or set an earlier day and "
                "replay",
            ),
        ),
    ]


def _user_checks(row: sql.Composable) -> list[Check]:
    return [
        (
            _condition(
                sql.SQL('lower(btrim({row}.user_id, {blanks}) collate "C") in ({junk})'),
                row,
                blanks=text(" \t\r\n"),
                junk=texts(JUNK_USER_IDS),
            ),
            problem(
                "junk_user_id",
                "user_id is a placeholder such as 'null' or an empty text, which would merge many "
                "people into one; send the user's id, or leave user_id out",
            ),
        ),
        (
            _condition(
                sql.SQL("octet_length({row}.user_id) > {limit}"),
                row,
                limit=sql.Literal(MAX_USER_ID_BYTES),
            ),
            problem(
                "too_long", f"user_id must have at most {MAX_USER_ID_BYTES} bytes; send a short id"
            ),
        ),
    ]


def _shape_checks(row: sql.Composable) -> list[Check]:
    columns = (sql.SQL("event_data"), sql.SQL("metadata"))
    objects: list[Check] = [
        (
            _condition(sql.SQL("jsonb_typeof({row}.{column}) <> 'object'"), row, column=column),
            sql.SQL("{start} || jsonb_typeof({row}.{column})").format(
                start=problem(
                    "not_an_object",
                    f"{column.as_string()} must be a JSON object, or be left out; got ",
                ),
                row=row,
                column=column,
            ),
        )
        for column in columns
    ]
    numbers: list[Check] = [
        (
            _condition(
                sql.SQL("jsonb_path_exists({row}.{column}, {path})"),
                row,
                column=column,
                path=sql.Literal(f"strict $.** ? (@ > {LARGEST_NUMBER} || @ < -{LARGEST_NUMBER})"),
            ),
            problem(
                "out_of_range",
                f"{column.as_string()} has a number beyond {LARGEST_NUMBER}; send it as text",
            ),
        )
        for column in columns
    ]
    return [*objects, *_size_checks(row), *numbers]


def _size_checks(row: sql.Composable) -> list[Check]:
    return [
        (
            _condition(
                sql.SQL("{row}.byte_size > {limit}"), row, limit=sql.Literal(MAX_EVENT_BYTES)
            ),
            problem(
                "oversized",
                f"event_data and metadata together take more than {MAX_EVENT_BYTES // 1024} KB; "
                "send less, or a reference to the content",
            ),
        ),
        (
            _condition(
                sql.SQL(
                    "({row}.byte_size > {few}) is not false"
                    " and jsonb_array_length(jsonb_path_query_array({row}.event_data, '$.*'))"
                    " > {limit}"
                ),
                row,
                few=sql.Literal(_BYTES_WITH_FEW_PROPERTIES),
                limit=sql.Literal(MAX_PROPERTIES),
            ),
            problem(
                "too_many_properties",
                f"event_data has more than {MAX_PROPERTIES} properties; send those that are used",
            ),
        ),
        (
            _condition(
                sql.SQL("jsonb_path_exists({row}.event_data, {path})"),
                row,
                path=sql.Literal(f"$.**{{{MAX_DEPTH + 1}}}"),
            ),
            problem(
                "too_deep",
                f"event_data is nested more than {MAX_DEPTH} levels deep; send flat properties",
            ),
        ),
    ]
