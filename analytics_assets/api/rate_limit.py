"""How many requests a key, or an address without one, has left this minute.

Belongs here: counting requests. Does not: refusing for other reasons. Invariant: over all
processes no key gets more than its limit in the minute that begins with its first request; an
address is only ever held as a salted hash, in memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Request

from analytics_assets.api.keys import Principal
from analytics_assets.api.problems import Problem

WINDOW_SECONDS: Final = 60
POLICY: Final = "default"
# A process takes a twentieth of what is left at once, and single requests towards the end: few
# questions to the database, and nearly nothing left unused in a process that is not asked again.
_SHARE: Final = 20
_MOST_ADDRESSES: Final = 100_000

# One row a key; the lock on it orders the processes. A minute that is over begins anew.
_NEW: Final = """
insert into ops.rate_leases (key_id, window_started_at, leased)
values (%s, '-infinity', 0)
on conflict do nothing
"""
_LEASE: Final = """
with present as (
    select
        key_id,
        window_started_at > clock_timestamp() - make_interval(secs => %(window)s) as is_open,
        window_started_at,
        leased
    from ops.rate_leases
    where key_id = %(key)s
    for update
),

wanted as (
    select
        key_id,
        case when is_open then window_started_at else clock_timestamp() end as started_at,
        case when is_open then leased else 0 end as before
    from present
)

update ops.rate_leases as l
set
    window_started_at = w.started_at,
    leased = greatest(
        w.before, least(%(limit)s, w.before + greatest(1, (%(limit)s - w.before) / %(share)s))
    )
from wanted as w
where l.key_id = w.key_id
returning
    l.leased - w.before,
    greatest(0, %(limit)s - l.leased),
    greatest(
        0, %(window)s - extract(epoch from clock_timestamp() - l.window_started_at)
    )::float8
"""


@dataclass(slots=True)
class _Lease:
    """Requests this process may still serve; ``ends`` is on the monotonic clock."""

    tokens: int = 0
    left_elsewhere: int = 0
    ends: float = 0.0
    # Requests that come together wait for one lease; each taking its own would hoard the minute.
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def is_needed(self, now: float) -> bool:
        """Whether the next request needs more, and more may be had."""
        return now >= self.ends or (self.tokens == 0 and self.left_elsewhere > 0)


class RateLimiter:
    """Requests of keys, leased from ``ops.rate_leases``."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._leases: dict[str, _Lease] = {}

    async def check(self, request: Request, principal: Principal) -> None:
        """Take one request off the key's minute. Raises Problem ``rate_limited``."""
        lease = self._leases.setdefault(principal.key_id, _Lease())
        limit = principal.requests_per_minute
        if lease.is_needed(time.monotonic()):
            async with lease.taking:
                if lease.is_needed(time.monotonic()):
                    await self._take(principal.key_id, limit, lease)
        now = time.monotonic()
        allowed = lease.tokens > 0
        if allowed:
            lease.tokens -= 1
        left = lease.tokens + lease.left_elsewhere
        seconds = max(1, math.ceil(lease.ends - now))
        headers = limit_headers(limit, left, seconds)
        request.scope["rate_headers"] = headers
        if not allowed:
            raise Problem(
                "rate_limited",
                f"the key may make {limit} requests a minute; wait {seconds} seconds",
                headers={"Retry-After": str(seconds)},
            )

    async def _take(self, key_id: str, limit: int, lease: _Lease) -> None:
        parameters = {"key": key_id, "limit": limit, "share": _SHARE, "window": WINDOW_SECONDS}
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_LEASE, parameters)).fetchone()
            if row is None:
                await connection.execute(_NEW, [key_id])
                row = await (await connection.execute(_LEASE, parameters)).fetchone()
        lease.tokens, lease.left_elsewhere, seconds = row
        lease.ends = time.monotonic() + seconds


class AddressLimiter:
    """Requests without a key, by a hash of the address whose salt dies with the process."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._salt = secrets.token_bytes(16)
        self._counts: dict[bytes, tuple[float, int]] = {}

    def check(self, request: Request) -> None:
        """Take one request off the address's minute. Raises Problem ``rate_limited``."""
        address = str(request.scope.get("client_address") or "")
        key = hashlib.blake2b(address.encode(), key=self._salt, digest_size=16).digest()
        now = time.monotonic()
        ends, used = self._counts.get(key, (0.0, 0))
        if now >= ends:
            if len(self._counts) >= _MOST_ADDRESSES:
                self._forget(now)
            ends, used = now + WINDOW_SECONDS, 0
        used += 1
        self._counts[key] = (ends, used)
        seconds = max(1, math.ceil(ends - now))
        left = max(0, self._per_minute - used)
        request.scope["rate_headers"] = limit_headers(self._per_minute, left, seconds)
        if used > self._per_minute:
            raise Problem(
                "rate_limited",
                f"{self._per_minute} requests a minute may come from one address without a key; "
                f"wait {seconds} seconds",
                headers={"Retry-After": str(seconds)},
            )

    def _forget(self, now: float) -> None:
        kept = {key: value for key, value in self._counts.items() if value[0] > now}
        # Full of addresses that are all new: somebody has many; start over rather than grow.
        self._counts = kept if len(kept) < _MOST_ADDRESSES else {}


async def public(request: Request) -> None:
    """A dependency for routes without a key: limited by address."""
    request.app.state.services.addresses.check(request)


def limit_headers(limit: int, left: int, seconds: int) -> dict[str, str]:
    """``RateLimit`` fields (draft-ietf-httpapi-ratelimit-headers)."""
    return {
        "RateLimit-Policy": f'"{POLICY}";q={limit};w={WINDOW_SECONDS}',
        "RateLimit": f'"{POLICY}";r={left};t={seconds}',
    }
