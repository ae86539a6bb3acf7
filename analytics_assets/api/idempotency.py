"""``Idempotency-Key``: the same request again gets the same answer, and is stored once.

Belongs here: the keys and their answers. Does not: event ids, which work without. Invariant: an
answer is kept in the transaction that stores what it speaks of; a process that dies holds nothing
back, since a request in flight is a lock that dies with its connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fastapi import Request

from analytics_assets.api.envelope import Record
from analytics_assets.api.inbox_writer import Submission, insert
from analytics_assets.api.problems import Problem

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

KEPT_HOURS: Final = 24
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_LOCK: Final = "select pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
_FIND: Final = """
select request_hash, status_code, answer
from ops.idempotency_keys
where api_key_id = %s and idempotency_key = %s and expires_at > now()
"""
# A few of the old ones go with each new one.
_FORGET: Final = """
delete from ops.idempotency_keys
where (api_key_id, idempotency_key) in (
    select api_key_id, idempotency_key
    from ops.idempotency_keys
    where expires_at <= now()
    order by expires_at
    limit 10
    for update skip locked
) or (api_key_id = %s and idempotency_key = %s)
"""
_KEEP: Final = """
insert into ops.idempotency_keys (
    api_key_id, idempotency_key, request_hash, status_code, answer, expires_at
)
values (%s, %s, %s, %s, %s, now() + make_interval(hours => %s))
"""


def key_of(request: Request) -> str | None:
    """The request's key. Raises Problem where it cannot be one."""
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise Problem(
            "invalid_parameter",
            "Idempotency-Key must have 1 to 255 visible ASCII characters, such as a UUID",
        )
    return key


async def once(
    services: Services,
    key: str,
    request_hash: str,
    submission: Submission,
    writable: Sequence[Record],
    answer: Callable[[], tuple[int, bytes]],
) -> tuple[int, bytes, bool]:
    """Status, body, and whether they are those of an earlier request.

    Raises Problem: ``in_flight`` while the same key is being worked on by anybody,
    ``idempotency_key_reused`` where it came with another request.
    """
    owner = submission.key_id
    async with services.pool.connection() as connection, connection.transaction():
        row = await (await connection.execute(_LOCK, [f"{owner} {key}"])).fetchone()
        if not row[0]:
            raise Problem(
                "in_flight",
                "a request with this Idempotency-Key is being worked on; ask again",
                headers={"Retry-After": "1"},
            )
        kept = await (await connection.execute(_FIND, [owner, key])).fetchone()
        if kept is not None:
            if kept[0] != request_hash:
                raise Problem(
                    "idempotency_key_reused",
                    "this Idempotency-Key came with another request; draw a new one",
                )
            return int(kept[1]), str(kept[2]).encode(), True
        await insert(connection, replace(submission, records=writable))
        status, body = answer()
        await connection.execute(_FORGET, [owner, key])
        await connection.execute(
            _KEEP, [owner, key, request_hash, status, body.decode(), KEPT_HOURS]
        )
    return status, body, False
