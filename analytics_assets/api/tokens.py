"""Making, rotating and revoking API keys.

Belongs here: the form of a key and its row in ``ops.api_keys``. Does not: deciding about requests
(keys.py). Invariant: a key is shown once, when it is made; only its SHA-256 is kept.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import jwt
import psycopg
from psycopg.rows import dict_row

from analytics_assets.store.database import read_or_draw_secret

Environment = Literal["live", "test"]
# Found by scanners for leaked keys; both work alike.
PREFIXES: Final = {"live": "aa_live_", "test": "aa_test_"}
ALGORITHM: Final = "HS256"
ISSUER: Final = "analytics-assets"
SIGNING_FILE: Final = "api_keys.signing"
DEFAULT_LIFETIME: Final = timedelta(days=365)
DEFAULT_GRACE: Final = timedelta(days=1)
DEFAULT_RATE: Final = 100
SCOPES: Final = {
    "collect:events": "send events",
    "collect:records": "send conversations, messages, service jobs, users and servers",
    "query:events": "read single events",
    "query:metrics": "read aggregations, metrics and realtime numbers",
    "schemas:read": "read the event catalogue",
    "quarantine:read": "list quarantined records",
    "quarantine:write": "ask for quarantined records to be tried again",
    "privacy:consent": "record consent",
    "privacy:admin": "export, erase and report",
    "admin": "everything",
}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:\d+)?")


class ApiKeyError(Exception):
    """A key cannot be made or changed; the message says why and what to do."""


@dataclass(frozen=True)
class NewKey:
    """What a key may do and for how long."""

    name: str
    scopes: tuple[str, ...]
    environment: Environment = "live"
    developer_id: str | None = None
    organization_id: str | None = None
    requests_per_minute: int = DEFAULT_RATE
    allowed_origins: tuple[str, ...] = ()
    lifetime: timedelta = DEFAULT_LIFETIME


def signing_secret(secrets_dir: Path) -> str:
    """The deployment's signing secret, drawn on first use."""
    return read_or_draw_secret(secrets_dir, SIGNING_FILE)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def read_token(token: str, secret: str) -> str | None:
    """Id of the key a token is for; None where it is none of ours.

    Raises jwt.ExpiredSignatureError where its time is over.
    """
    for prefix in PREFIXES.values():
        if token.startswith(prefix):
            try:
                claims = jwt.decode(
                    token.removeprefix(prefix),
                    secret,
                    algorithms=[ALGORITHM],
                    issuer=ISSUER,
                    options={"require": ["sub", "exp", "iss"]},
                )
            except jwt.ExpiredSignatureError:
                raise
            except jwt.InvalidTokenError:
                return None
            return str(claims["sub"])
    return None


def create_key(connection: psycopg.Connection[Any], secret: str, key: NewKey) -> tuple[str, str]:
    """Make a key as the pipeline's role; its id and the key itself, which nobody sees again.

    Raises ApiKeyError for a name, scope or origin that cannot be.
    """
    _check(key)
    return _insert(connection, secret, key, rotated_from=None)


def rotate_key(
    connection: psycopg.Connection[Any],
    secret: str,
    reference: str,
    *,
    grace: timedelta = DEFAULT_GRACE,
    lifetime: timedelta = DEFAULT_LIFETIME,
) -> tuple[str, str]:
    """A new key like an old one, which goes on working for the grace time."""
    with connection.transaction():
        old = find_key(connection, reference)
        new = NewKey(
            name=old["name"],
            scopes=tuple(old["scopes"]),
            environment=old["environment"],
            developer_id=old["developer_id"],
            organization_id=old["organization_id"],
            requests_per_minute=old["requests_per_minute"],
            allowed_origins=tuple(old["allowed_origins"]),
            lifetime=lifetime,
        )
        made = _insert(connection, secret, new, rotated_from=old["key_id"])
        connection.execute(
            "update ops.api_keys set expires_at = least(expires_at, %s) where key_id = %s",
            [datetime.now(UTC) + grace, old["key_id"]],
        )
    return made


def revoke_key(connection: psycopg.Connection[Any], reference: str) -> str:
    """Refuse a key from now on; its id."""
    key_id = str(find_key(connection, reference)["key_id"])
    connection.execute(
        "update ops.api_keys set revoked_at = coalesce(revoked_at, now()) where key_id = %s",
        [key_id],
    )
    return key_id


def find_key(connection: psycopg.Connection[Any], reference: str) -> dict[str, Any]:
    """The key of an id, or the one usable key of a name."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(
            "select * from ops.api_keys where key_id = %(ref)s"
            " or (name = %(ref)s and revoked_at is null and expires_at > now())",
            {"ref": reference},
        ).fetchall()
    if len(found) == 1:
        return found[0]
    if not found:
        raise ApiKeyError(f"there is no key {reference!r}; `keys list` shows all")
    ids = ", ".join(sorted(str(row["key_id"]) for row in found))
    raise ApiKeyError(f"several keys have the name {reference!r}; name one by its id: {ids}")


def list_keys(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """All keys without their hashes, newest first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "select key_id, name, environment, scopes, developer_id, organization_id,"
            " requests_per_minute, allowed_origins, created_at, expires_at, revoked_at,"
            " rotated_from from ops.api_keys order by created_at desc, key_id"
        ).fetchall()


def _check(key: NewKey) -> None:
    if not _NAME.fullmatch(key.name):
        raise ApiKeyError(
            f"{key.name!r} is not a name: up to 64 letters, digits, blanks, '.', '_' or '-'"
        )
    unknown = [scope for scope in key.scopes if scope not in SCOPES]
    if unknown or not key.scopes:
        raise ApiKeyError(
            f"no scope {', '.join(unknown) or 'given'}; there are {', '.join(SCOPES)}"
        )
    if key.requests_per_minute < 1:
        raise ApiKeyError("a key needs at least one request a minute")
    for origin in key.allowed_origins:
        if not _ORIGIN.fullmatch(origin):
            raise ApiKeyError(f"{origin!r} is not an origin such as https://app.example.com")
    if key.lifetime <= timedelta():
        raise ApiKeyError("a key must live for some time")


def _insert(
    connection: psycopg.Connection[Any], secret: str, key: NewKey, *, rotated_from: str | None
) -> tuple[str, str]:
    key_id = f"key_{secrets.token_hex(8)}"
    now = datetime.now(UTC)
    claims = {
        "iss": ISSUER,
        "sub": key_id,
        "iat": now,
        "exp": now + key.lifetime,
        "scope": " ".join(key.scopes),
        "dev": key.developer_id,
        "org": key.organization_id,
    }
    present = {name: value for name, value in claims.items() if value is not None}
    token = PREFIXES[key.environment] + jwt.encode(present, secret, algorithm=ALGORITHM)
    connection.execute(
        """
        insert into ops.api_keys (
            key_id, name, environment, secret_hash, scopes, developer_id, organization_id,
            requests_per_minute, allowed_origins, created_at, expires_at, rotated_from
        )
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        [
            key_id,
            key.name,
            key.environment,
            digest(token),
            list(key.scopes),
            key.developer_id,
            key.organization_id,
            key.requests_per_minute,
            list(key.allowed_origins),
            now,
            now + key.lifetime,
            rotated_from,
        ],
    )
    return key_id, token
