"""Zone ``ops``, the doors: API keys, rates, and answers kept for repeated requests.

Invariant: a key is kept as a hash only; nothing here tells what was sent.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from analytics_assets.store.models.base import metadata, moment, recorded_now, text_column

api_keys = Table(
    "api_keys",
    metadata,
    text_column("key_id", "Public id of the key.", primary_key=True),
    text_column("name", "What it is for; the source of what comes with it."),
    text_column("environment", "live or test."),
    text_column("secret_hash", "SHA-256 of the key, in hex."),
    Column("scopes", ARRAY(Text), nullable=False, comment="What it may do."),
    text_column("developer_id", "Whose key it is.", nullable=True),
    text_column("organization_id", "For which organization.", nullable=True),
    Column(
        "requests_per_minute",
        Integer,
        nullable=False,
        server_default=text("100"),
        comment="Requests a minute over all processes.",
    ),
    Column(
        "allowed_origins",
        ARRAY(Text),
        nullable=False,
        server_default=text("'{}'::text[]"),
        comment="Origins whose pages may use it.",
    ),
    recorded_now("created_at", "When it was made."),
    moment("expires_at", "From when on it is refused."),
    moment("revoked_at", "When it was revoked.", nullable=True),
    text_column("rotated_from", "The key it replaces.", nullable=True),
    CheckConstraint("environment in ('live', 'test')", name="environment"),
    CheckConstraint("requests_per_minute > 0", name="requests_per_minute"),
    schema="ops",
    comment="Keys of the HTTP API.",
)

rate_leases = Table(
    "rate_leases",
    metadata,
    text_column("key_id", "The key.", primary_key=True),
    moment("window_started_at", "Start of the minute that is counted."),
    Column("leased", Integer, nullable=False, comment="Requests handed out to processes in it."),
    schema="ops",
    comment="Requests of the present minute, by key.",
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    text_column("api_key_id", "The key it came with.", primary_key=True),
    text_column("idempotency_key", "What the client sent.", primary_key=True),
    text_column("request_hash", "SHA-256 of the request, in hex."),
    Column("status_code", Integer, nullable=False, comment="Status of the answer."),
    text_column("answer", "The answer."),
    recorded_now("created_at", "When it was given."),
    moment("expires_at", "Until when it is given again."),
    Index("ix_idempotency_keys_expires_at", "expires_at"),
    schema="ops",
    comment="Answers given again to repeated requests.",
)
