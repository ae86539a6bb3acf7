"""Random HMAC keys under which people are counted, one per calendar period.

Belongs here: drawing keys for periods that are still open. Does not: counting (dbt/macros/
release.sql, which also deletes a key once its period has closed) or the HMAC itself (store/sql/
person_key.sql). Invariant: a key is never derived, never read back, and enters by COPY, whose data
no server log and no statistics view ever shows.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date, datetime
from typing import Any

import psycopg

KEY_BYTES = 32
BLOCK_BYTES = 64  # of SHA-256, RFC 2104

_LOCK = "select pg_advisory_xact_lock(hashtextextended('vault.period_keys', 0))"
_WITHOUT_KEY = """
    with planned as (
        select distinct kind
        from ops.release_plan
        cross join lateral jsonb_array_elements_text(
            (entry -> 'periods') || (entry -> 'otherwise')
        ) as kind
        where retired_at is null
    ),
    missing as (
        select kind, start::date as period
        from planned
        cross join lateral generate_series(
            date_trunc(kind, %(start_day)s::date::timestamp),
            date_trunc(kind, %(as_of)s::timestamptz at time zone 'UTC'),
            ('1 ' || kind)::interval
        ) as start
        where start >= %(start_day)s::date
        and not exists (
            select from vault.period_keys as keys
            where keys.period_kind = kind and keys.period = start::date
        )
        and not exists (
            select from ops.release_ledger as ledger
            where ledger.period_kind = kind and ledger.period = start::date
        )
    ),
    -- The same people have the same noise all through a quarter.
    quarters as (
        select 'noise' as kind, date_trunc('quarter', period::timestamp)::date as period
        from (
            select period from missing
            union all
            select period from vault.period_keys where period_kind <> 'noise'
        ) as open
        except
        select period_kind, period from vault.period_keys where period_kind = 'noise'
    )
    select kind, period from missing
    union all
    select kind, period from quarters
    order by kind, period
"""
_COPY = """
    copy vault.period_keys (period_kind, period, inner_pad, outer_pad) from stdin (format binary)
"""


def ensure_period_keys(
    connection: psycopg.Connection[Any],
    start_day: date,
    as_of: datetime,
    draw: Callable[[int], bytes] = os.urandom,
) -> int:
    """Draw the keys that are missing: of every open period of the plan, and of its quarter's noise.

    From the first whole period of the deployment to the current one. A period of which any table
    has closed gets none: had it lost its key, counting it again would be a second release.
    Returns how many were drawn; ``draw`` is replaced by a seeded source in tests only, and asked in
    the order of kind and period. The caller commits.
    """
    # In the caller's transaction, or one of its own: between looking and drawing no other may draw.
    with connection.transaction() if connection.autocommit else nullcontext():
        connection.execute(_LOCK)
        missing = connection.execute(
            _WITHOUT_KEY, {"start_day": start_day, "as_of": as_of}
        ).fetchall()
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.set_types(["text", "date", "bytea", "bytea"])
            for kind, period in missing:
                copy.write_row((kind, period, *hmac_pads(draw(KEY_BYTES))))
    return len(missing)


def hmac_pads(key: bytes) -> tuple[bytes, bytes]:
    """The inner and outer pad of an HMAC-SHA256 key of at most 64 bytes."""
    padded = key.ljust(BLOCK_BYTES, b"\0")
    return bytes(b ^ 0x36 for b in padded), bytes(b ^ 0x5C for b in padded)
