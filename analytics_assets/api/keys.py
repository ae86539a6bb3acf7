"""Who asks, and whether they may: the dependency every protected route has.

Belongs here: reading keys from requests, checking them against ``ops.api_keys``, scopes, origins.
Does not: making keys (tokens.py), counting requests (rate_limit.py). Invariant: a revoked key is
refused by every process within ``FRESH_SECONDS``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import jwt
from fastapi import Request

from analytics_assets.api.problems import Problem
from analytics_assets.api.tokens import SCOPES, digest, read_token

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

FRESH_SECONDS: Final = 2.0
_MOST_KEYS: Final = 10_000
_FIND: Final = """
select
    key_id, name, environment, secret_hash, scopes, developer_id, organization_id,
    requests_per_minute, allowed_origins, expires_at, revoked_at
from ops.api_keys
where key_id = %s
"""
_ORIGINS: Final = """
select distinct origin
from ops.api_keys, unnest(allowed_origins) as origin
where revoked_at is null and expires_at > now()
"""


@dataclass(frozen=True, slots=True)
class Principal:
    """A key that was accepted: who asks."""

    key_id: str
    name: str
    environment: str
    scopes: frozenset[str]
    developer_id: str | None
    organization_id: str | None
    requests_per_minute: int
    allowed_origins: frozenset[str]
    expires_at: datetime
    revoked: bool

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes


class KeyRing:
    """Keys seen by this process, each looked up again when it is older than ``FRESH_SECONDS``."""

    def __init__(self, secret: str, pool: Any) -> None:
        self._secret = secret
        self._pool = pool
        self._seen: dict[str, tuple[float, Principal]] = {}
        self._origins: tuple[float, frozenset[str]] = (0.0, frozenset())

    async def check(self, token: str) -> Principal:
        """Raises Problem: ``invalid_key``, ``expired_key``, ``revoked_key``."""
        seen = self._seen.get(token)
        if seen is None or time.monotonic() - seen[0] > FRESH_SECONDS:
            principal = await self._look_up(token)
            if len(self._seen) >= _MOST_KEYS:
                self._seen.clear()
            self._seen[token] = (time.monotonic(), principal)
        else:
            principal = seen[1]
        if principal.revoked:
            raise _refused("revoked_key", "the key was revoked; ask for a new one")
        if principal.expires_at <= datetime.now(UTC):
            raise _refused("expired_key", "the key has expired; ask for a new one")
        return principal

    async def origins(self) -> frozenset[str]:
        """Origins that any usable key allows: what a preflight, which has no key, may be told."""
        age, origins = self._origins
        if time.monotonic() - age > FRESH_SECONDS:
            async with self._pool.connection() as connection:
                found = await (await connection.execute(_ORIGINS)).fetchall()
            origins = frozenset(origin for (origin,) in found)
            self._origins = (time.monotonic(), origins)
        return origins

    async def _look_up(self, token: str) -> Principal:
        try:
            key_id = read_token(token, self._secret)
        except jwt.ExpiredSignatureError:
            raise _refused("expired_key", "the key has expired; ask for a new one") from None
        if key_id is None:
            raise _refused("invalid_key", "the key is not one of this deployment")
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_FIND, [key_id])).fetchone()
        if row is None or row[3] != digest(token):
            raise _refused("invalid_key", "the key is not one of this deployment")
        return Principal(
            key_id=row[0],
            name=row[1],
            environment=row[2],
            scopes=frozenset(row[4]),
            developer_id=row[5],
            organization_id=row[6],
            requests_per_minute=row[7],
            allowed_origins=frozenset(row[8]),
            expires_at=row[9],
            revoked=row[10] is not None,
        )


def require(scope: str) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency: the principal of a key that has ``scope`` and a request left this minute.

    Raises Problem: 401 ``missing_key``, ``invalid_key``, ``expired_key``, ``revoked_key``; 403
    ``insufficient_scope``, ``origin_not_allowed``; 429 ``rate_limited``.
    """
    if scope not in SCOPES:
        raise ValueError(scope)

    async def dependency(request: Request) -> Principal:
        services: Services = request.app.state.services
        token = token_of(request)
        if token is None:
            services.addresses.check(request)
            raise _refused(
                "missing_key", "send `Authorization: Bearer aa_live_...`, or the key as x-api-key"
            )
        try:
            principal = await services.keys.check(token)
        except Problem:
            # Guessing keys is slowed down by address; those who have one are counted by key.
            services.addresses.check(request)
            raise
        request.scope["principal"] = principal
        origin = request.headers.get("origin")
        if origin and principal.allowed_origins and origin not in principal.allowed_origins:
            raise Problem(
                "origin_not_allowed",
                "the key has a list of origins, and this page's is not on it",
            )
        if not principal.may(scope):
            raise Problem("insufficient_scope", f"the key lacks the scope {scope}")
        await services.limiter.check(request, principal)
        return principal

    dependency.__name__ = f"require_{scope.replace(':', '_')}"
    return dependency


def token_of(request: Request) -> str | None:
    """The key of a request, from either header."""
    authorization = request.headers.get("authorization")
    if authorization:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
    return request.headers.get("x-api-key") or None


def _refused(code: str, detail: str) -> Problem:
    return Problem(code, detail, headers={"WWW-Authenticate": 'Bearer realm="analytics-assets"'})
