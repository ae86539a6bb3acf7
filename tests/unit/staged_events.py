"""Events staged as a load stages them, and what the compiled checks say about each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from analytics_assets.events.catalogue import Catalogue
from analytics_assets.events.validation import (
    EnvelopeRules,
    problem_code,
    problem_expression,
    problem_message,
)
from analytics_assets.store.clone import cloned_database
from analytics_assets.store.database import Database

AS_OF = datetime(2026, 6, 8, 12, tzinfo=UTC)
RULES = EnvelopeRules(AS_OF, timedelta(minutes=5), date(2026, 4, 27))
LEFT_OUT = object()
Problem = tuple[str, str] | None

_STAGE = """
create temporary table if not exists staged (
    position serial, event_id_text text, event_type text, ts_text text, ts timestamptz,
    user_id text, event_data jsonb, metadata jsonb, byte_size integer
) on commit drop
"""


@contextmanager
def connected(template: Database, name: str) -> Iterator[psycopg.Connection[Any]]:
    """The pipeline's connection to a migrated database for a whole module.

    Checking staged rows leaves nothing behind, and a database a test would take longer than the
    tests.
    """
    with (
        cloned_database(template, name) as database,
        database.connect("analytics_pipeline", autocommit=True) as connection,
    ):
        yield connection


def event(event_type: str | None, data: Any = LEFT_OUT, **changes: Any) -> dict[str, Any]:
    """A staged row that is valid when its type and data are."""
    row = {
        "event_id_text": "0b7d1c1e-5a0e-4a53-9d3c-2f1d1f0a9b11",
        "event_type": event_type,
        "ts_text": "2026-06-01T10:00:00Z",
        "user_id": "user_1",
        "event_data": None if data is LEFT_OUT else Jsonb(data),
        "metadata": Jsonb({}),
    }
    assert not changes.keys() - row.keys() - {"byte_size"}
    size = len(json.dumps({} if data is LEFT_OUT else data).encode()) + 2
    return {**row, "byte_size": size, **changes}


def problems_of(
    connection: psycopg.Connection[Any],
    catalogue: Catalogue,
    rows: Iterable[dict[str, Any]],
    *,
    rules: EnvelopeRules = RULES,
) -> list[Problem]:
    """(code, message) of each row in order, ``None`` for a valid one."""
    with connection.transaction():
        connection.execute("set local jit = off")
        connection.execute(_STAGE)
        connection.execute("truncate staged")
        columns = ("event_id_text", "event_type", "ts_text", "user_id", "event_data", "metadata",
                   "byte_size")  # fmt: skip
        copy = sql.SQL("copy staged ({}) from stdin").format(
            sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with connection.cursor().copy(copy) as stream:
            for row in rows:
                stream.write_row([row[column] for column in columns])
        connection.execute("update staged set ts = ops.try_timestamptz(ts_text)")
        query = sql.SQL(
            "with checked as materialized (select position, {problem} as problem from staged as s)"
            " select {code}, {message} from checked where %s order by position"
        ).format(
            problem=problem_expression(catalogue, rules),
            code=problem_code(sql.Identifier("problem")),
            message=problem_message(sql.Identifier("problem")),
        )
        # A parameter, so that a percent sign in the compiled SQL would be an error.
        found = connection.execute(query, [True]).fetchall()
    return [None if code is None else (code, message) for code, message in found]
