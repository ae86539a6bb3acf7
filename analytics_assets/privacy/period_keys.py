"""Random HMAC keys under which people are counted, one per calendar period.

Belongs here: drawing keys for periods that are still open. Does not: counting (dbt/macros/
release.sql, which also deletes a key once its period has closed) or the HMAC itself (store/sql/
person_key.sql). Invariant: a key is never derived, never read back, and travels as a parameter.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import psycopg

KEY_BYTES = 32
BLOCK_BYTES = 64  # of SHA-256, RFC 2104

_WITHOUT_KEY = """
    select kind, start::date
    from (values ('day'), ('week'), ('month')) as kinds (kind)
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
    order by kind, start
"""
_INSERT = """
    insert into vault.period_keys (period_kind, period, inner_pad, outer_pad)
    values (%b, %b, %b, %b)
    on conflict (period_kind, period) do nothing
"""


def ensure_period_keys(
    connection: psycopg.Connection[Any],
    start_day: date,
    as_of: datetime,
    draw: Callable[[int], bytes] = os.urandom,
) -> int:
    """Draw a key for every day, ISO week and month that has none and is still open.

    From the first whole period of the deployment to the current one. A period of which any table
    has closed gets none: had it lost its key, counting it again would be a second release.
    Returns how many were drawn; ``draw`` is replaced by a seeded source in tests only. The caller
    commits.
    """
    periods = connection.execute(_WITHOUT_KEY, {"start_day": start_day, "as_of": as_of}).fetchall()
    with connection.cursor() as cursor:
        cursor.executemany(
            _INSERT, [(kind, period, *hmac_pads(draw(KEY_BYTES))) for kind, period in periods]
        )
    return len(periods)


def hmac_pads(key: bytes) -> tuple[bytes, bytes]:
    """The inner and outer pad of an HMAC-SHA256 key of at most 64 bytes."""
    padded = key.ljust(BLOCK_BYTES, b"\0")
    return bytes(b ^ 0x36 for b in padded), bytes(b ^ 0x5C for b in padded)
