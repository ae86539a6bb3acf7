"""A random key for every user whose words were asked about: what makes their cache keys theirs.

Belongs here: drawing, reading and forgetting keys in ``vault.answer_keys``. Does not: what is
hashed with them (cache_key.py). Invariant: keys come from the operating system's generator; who
withdraws consent loses the key, and what was hashed with it can never be linked to a text again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from analytics_assets.insights.consent import CONSENTING

KEY_BYTES = 32

_FORGET = sql.SQL("""
with candidates as (select user_id from vault.answer_keys),
{consenting}
delete from vault.answer_keys where user_id not in (select user_id from consenting)
""").format(consenting=CONSENTING)


def user_keys(
    conn: psycopg.Connection[Any],
    users: Sequence[str],
    draw: Callable[[int], bytes] = os.urandom,
) -> dict[str, bytes]:
    """The keys of ``users``, drawn where they have none yet; part of the caller's transaction."""
    query = "select user_id, key from vault.answer_keys where user_id = any(%s)"
    found: dict[str, bytes] = dict(conn.execute(query, [list(users)]).fetchall())
    missing = [user_id for user_id in users if user_id not in found]
    if missing:
        conn.execute(
            "insert into vault.answer_keys (user_id, key) "
            "select * from unnest(%s::text[], %s::bytea[]) on conflict (user_id) do nothing",
            [missing, [draw(KEY_BYTES) for _ in missing]],
        )
        # Read again: another run may have drawn the same user's key a moment before.
        found.update(conn.execute(query, [missing]).fetchall())
    return {user_id: bytes(key) for user_id, key in found.items()}


def forget_withdrawn(conn: psycopg.Connection[Any], now: datetime) -> int:
    """Delete the keys of users who no longer consent; returns how many."""
    return conn.execute(_FORGET, {"now": now}).rowcount
