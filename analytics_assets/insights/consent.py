"""Who has agreed to be read: the part of a query, and the question about some.

Belongs here: nothing but ``vault.consenting``, asked. Does not: whose words of a day are read
(conversations/selection.py). Invariant: consent is that of now, never that of when words were said.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

# What consent is, vault.consenting() alone says.
CONSENTING = sql.SQL("""
consenting as (
    select agreed.user_id
    from vault.consenting(
        'insights', array(select user_id from candidates), %(now)s
    ) as agreed
)
""")


def consents(conn: psycopg.Connection[Any], user_id: str, now: datetime) -> bool:
    """Whether the user consents and is not internal; part of the caller's transaction."""
    return bool(consenting_of(conn, [user_id], now))


def consenting_of(conn: psycopg.Connection[Any], users: Sequence[str], now: datetime) -> list[str]:
    """Those of ``users`` who consent and are not internal; part of the caller's transaction."""
    query = sql.SQL(
        "with candidates as (select unnest(%(users)s::text[]) as user_id), {} "
        "select user_id from consenting order by user_id"
    ).format(CONSENTING)
    return [row[0] for row in conn.execute(query, {"users": list(users), "now": now})]
