"""Zone ``inbox``: what the collector accepted and no run has loaded yet.

Append-only for the collector; the loader moves rows out. Invariant: a row is either here or in
``raw`` (or its quarantine), never in both and never in neither.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Table, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from analytics_assets.store.models.base import metadata, recorded_now, serial, text_column

entries = Table(
    "entries",
    metadata,
    serial("seq", "Order of acceptance."),
    text_column("kind", "What the payload is: event, conversation, message, service_job, ..."),
    Column("event_id", Uuid, comment="Id of a valid event, for duplicate checks at the door."),
    recorded_now("received_at", "When the collector accepted it."),
    text_column("source", "Who sent it."),
    text_column("api_key_id", "The key it came with.", nullable=True),
    Column("payload", JSONB, nullable=False, comment="The record as sent."),
    text_column("problem", "code|message, where it could not be stored as sent.", nullable=True),
    # The collector's duplicates: those still here. One that failed a check has no event_id here,
    # so that a corrected one may follow under the same id.
    Index("uq_entries_event_id", "event_id", unique=True),
    CheckConstraint(
        "kind in ('event', 'conversation', 'message', 'service_job', 'user', 'server')",
        name="kind",
    ),
    schema="inbox",
    comment="Accepted records that no run has loaded yet.",
)
