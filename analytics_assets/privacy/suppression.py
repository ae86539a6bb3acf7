"""Who was erased, remembered as HMACs under one random key, so that no load brings them back.

Belongs here: drawing the key, suppressing and readmitting names. Does not: deleting rows
(erasure.py) or leaving rows out (sources/suppressed_rows.py). Invariant: the key is never derived,
never read back, and enters by COPY, whose data no server log shows; nobody is ever forgotten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any, Final, Literal

import psycopg

from analytics_assets.privacy.period_keys import KEY_BYTES, hmac_pads

Kind = Literal["person", "conversation"]

_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('vault.suppression_keys', 0))"
_COPY: Final = """
    copy vault.suppression_keys (key_id, inner_pad, outer_pad) from stdin (format binary)
"""
# Erased again after coming back: what was readmitted is no more.
_SUPPRESS: Final = """
    insert into vault.suppressed (kind, mac, suppressed_at)
    select %(kind)s, codes.mac, %(at)s
    from vault.suppression_codes(%(kind)s, %(names)s) as codes
    order by codes.mac
    on conflict (kind, mac) do update
    set suppressed_at = excluded.suppressed_at, readmitted_at = null
    where suppressed.readmitted_at is not null
"""
_READMIT: Final = """
    with theirs as (
        select codes.mac
        from vault.suppression_codes('person', %(names)s) as codes
        join vault.suppressed as known
            on known.kind = 'person' and known.mac = codes.mac and known.readmitted_at is null
    ),
    readmitted as (
        update vault.suppressed as known
        set readmitted_at = %(at)s
        from theirs
        where known.kind = 'person' and known.mac = theirs.mac
        returning known.mac
    ),
    receipt as (
        insert into ops.erasure_receipts (action, codes, as_of, finished_at, complete)
        select 'readmitted', array_agg(encode(mac, 'hex') order by mac), %(at)s, now(), true
        from readmitted
        having count(*) > 0
    )
    select count(*) from readmitted
"""


class NotSuppressed(Exception):
    """None of the names given is left out of loads; the message says what to do."""


def ensure_key(
    connection: psycopg.Connection[Any], draw: Callable[[int], bytes] = os.urandom
) -> None:
    """Draw the key where there is none; ``draw`` is replaced by a seeded source in tests only."""
    with connection.transaction() if connection.autocommit else nullcontext():
        connection.execute(_LOCK)
        if connection.execute("select 1 from vault.suppression_keys limit 1").fetchone():
            return
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.set_types(["int4", "bytea", "bytea"])
            copy.write_row((1, *hmac_pads(draw(KEY_BYTES))))


def suppress(
    connection: psycopg.Connection[Any],
    names: Sequence[str],
    at: datetime,
    kind: Kind = "person",
) -> None:
    """Have every load leave out rows under these names. A key must be there; the caller commits."""
    connection.execute(_SUPPRESS, {"kind": kind, "names": list(names), "at": at})


def is_suppressed(connection: psycopg.Connection[Any], names: Sequence[str]) -> bool:
    """Whether any of the names is left out of loads now."""
    row = connection.execute(
        "select exists (select from vault.suppressed_among('person', %s)"
        " where readmitted_at is null)",
        [list(names)],
    ).fetchone()
    return row is not None and bool(row[0])


def codes_of(connection: psycopg.Connection[Any], names: Sequence[str]) -> list[str]:
    """HMACs of the names in hex, sorted: how receipts and the consent ledger know the erased."""
    rows = connection.execute(
        "select encode(mac, 'hex') from vault.suppression_codes('person', %s) order by 1",
        [list(names)],
    ).fetchall()
    return [str(code) for (code,) in rows]


def readmit(connection: psycopg.Connection[Any], names: Sequence[str], at: datetime) -> int:
    """Let rows whose own time is ``at`` or later in again, for people who came back.

    Older rows stay left out, whatever file or table they are read from. Returns how many of the
    names were readmitted. Raises NotSuppressed where none was left out.
    """
    row = connection.execute(_READMIT, {"names": list(names), "at": at}).fetchone()
    if row is None or not row[0]:
        raise NotSuppressed(
            "nobody of that user id or subject is left out of loads: give every id the person has "
            "now, as the source declares it. Nothing was changed"
        )
    return int(row[0])
