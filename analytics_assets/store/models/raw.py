"""Zone ``raw``: typed, validated, deduplicated records; personal data live here.

Invariant: ``day`` is the UTC date of the row's own time and decides its partition; partitions are
made on demand for days that have data, and are pruned by DROP.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    Numeric,
    Table,
    Uuid,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from analytics_assets.store.models.base import (
    json_object,
    metadata,
    moment,
    recorded_now,
    text_column,
)


def _day(of: str) -> tuple[Column[date], CheckConstraint]:
    column: Column[date] = Column(
        "day", Date, primary_key=True, comment=f"UTC date of {of}; the partition key."
    )
    return column, CheckConstraint(f"day = (\"{of}\" at time zone 'UTC')::date", name="day")


def _subject() -> Column[str]:
    return text_column(
        "subject", "The person behind the row: the source's stable subject.", nullable=True
    )


platform_events = Table(
    "platform_events",
    metadata,
    text_column("event_category", "Category = retention class.", primary_key=True),
    *_day("timestamp"),
    Column("event_id", Uuid, primary_key=True, comment="The sender's id, or one of the content."),
    text_column("event_type", "What happened; a type of the catalogue."),
    moment("timestamp", "When it happened, as the client says."),
    text_column("user_id", "Who did it.", nullable=True),
    text_column("user_role", "The user's role at that time.", nullable=True),
    Column("user_tenure_days", Integer, comment="Whole days since sign-up at that time."),
    _subject(),
    text_column("session_id", "The session it belongs to.", nullable=True),
    text_column("entity_type", "Kind of thing acted on.", nullable=True),
    text_column("entity_id", "The thing acted on.", nullable=True),
    json_object("event_data", "Fields of the event type."),
    json_object("metadata", "Anything else the sender added."),
    text_column("source", "Where the row came from."),
    Column("geo_location", JSONB, comment="{country, region, city}"),
    Column("device_info", JSONB, comment="{device_type, browser, os}"),
    recorded_now("ingested_at", "When it was loaded."),
    # Retention, erasure and per-user pages look a user's events up; see docs/decisions/indexes.md.
    Index("ix_platform_events_user_id_timestamp", "user_id", "timestamp"),
    # Pages of the event log, and the last hour for realtime numbers.
    Index("ix_platform_events_timestamp_event_id", "timestamp", "event_id"),
    schema="raw",
    comment="Every accepted platform event, one row each.",
    postgresql_partition_by="list (event_category)",
)

rejected_events = Table(
    "rejected_events",
    metadata,
    Column("received_day", Date, primary_key=True, comment="UTC date of receipt; partition key."),
    Column("rejected_id", Uuid, primary_key=True, comment="Derived from source and position."),
    moment("received_at", "When it was received."),
    text_column("kind", "What the record was meant to be."),
    text_column("source", "Where it came from."),
    text_column("location", "File and line, or inbox number.", nullable=True),
    Column("payload", JSONB, comment="The record, where it could be read as JSON."),
    text_column("raw_text", "The record, where it could not; escaped.", nullable=True),
    text_column("event_type", "The type it claimed.", nullable=True),
    text_column("processing_status", "rejected, replayed or discarded."),
    text_column("error_code", "Stable code of the reason."),
    text_column("error_message", "The reason, and what to do."),
    Column("retry_count", Integer, nullable=False, server_default=text("0"), comment="Replays."),
    recorded_now("updated_at", "When the row last changed."),
    recorded_now("rejected_at", "When it was put here, by the server's clock."),
    moment("replay_requested_at", "When somebody asked to try it again.", nullable=True),
    CheckConstraint(
        "processing_status in ('rejected', 'replayed', 'discarded')", name="processing_status"
    ),
    schema="raw",
    comment="Quarantine: records that failed a check, kept to be mended and replayed.",
    postgresql_partition_by="range (received_day)",
)

conversations = Table(
    "conversations",
    metadata,
    *_day("started_at"),
    text_column("conversation_id", "The application's id.", primary_key=True),
    text_column("user_id", "Whose conversation it is.", nullable=True),
    _subject(),
    moment("started_at", "When it began."),
    moment("ended_at", "When it ended.", nullable=True),
    text_column("title", "Its title, personal.", nullable=True),
    text_column("channel", "Where it took place.", nullable=True),
    json_object("metadata", "Anything else the application keeps."),
    text_column("source", "Where the row came from."),
    recorded_now("ingested_at", "When it was loaded."),
    schema="raw",
    comment="Conversations of the application's users.",
    postgresql_partition_by="range (day)",
)

messages = Table(
    "messages",
    metadata,
    *_day("created_at"),
    text_column("message_id", "The application's id.", primary_key=True),
    text_column("conversation_id", "The conversation it belongs to."),
    text_column("user_id", "Whose conversation it is.", nullable=True),
    _subject(),
    text_column("role", "user, assistant, tool or system."),
    text_column("content", "The text, personal."),
    text_column("tool_name", "The tool, where one spoke.", nullable=True),
    moment("created_at", "When it was sent."),
    json_object("metadata", "Anything else the application keeps."),
    text_column("source", "Where the row came from."),
    recorded_now("ingested_at", "When it was loaded."),
    CheckConstraint("role in ('user', 'assistant', 'tool', 'system')", name="role"),
    schema="raw",
    comment="Messages of conversations.",
    postgresql_partition_by="range (day)",
)

service_jobs = Table(
    "service_jobs",
    metadata,
    *_day("created_at"),
    text_column("job_id", "The application's id.", primary_key=True),
    text_column("user_id", "Who asked for it.", nullable=True),
    _subject(),
    text_column("conversation_id", "The conversation it came from.", nullable=True),
    text_column("job_type", "What was asked for."),
    text_column("status", "pending, running, succeeded, failed or cancelled."),
    moment("created_at", "When it was asked for."),
    moment("finished_at", "When it ended.", nullable=True),
    Column("credits", Numeric, comment="Credits it cost."),
    json_object("metadata", "Anything else the application keeps."),
    text_column("source", "Where the row came from."),
    recorded_now("ingested_at", "When it was loaded."),
    CheckConstraint(
        "status in ('pending', 'running', 'succeeded', 'failed', 'cancelled')", name="status"
    ),
    schema="raw",
    comment="Jobs users had the service do.",
    postgresql_partition_by="range (day)",
)

users = Table(
    "users",
    metadata,
    text_column("user_id", "The application's id.", primary_key=True),
    moment("valid_from", "Since when this holds.", primary_key=True),
    moment("valid_to", "Until when; empty while it holds.", nullable=True),
    text_column("role", "Role in the application.", nullable=True),
    moment("signup_at", "When the account was opened.", nullable=True),
    Column(
        "insights_consent",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="Agreed to LLM insights.",
    ),
    Column(
        "is_internal",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="Staff, bot or test account: never counted towards k.",
    ),
    _subject(),
    text_column("source", "Where the row came from."),
    recorded_now("ingested_at", "When it was loaded."),
    schema="raw",
    comment="History of users: one row per span of time in which nothing changed.",
)

servers = Table(
    "servers",
    metadata,
    text_column("server_id", "The registry's id.", primary_key=True),
    moment("valid_from", "Since when this holds.", primary_key=True),
    moment("valid_to", "Until when; empty while it holds.", nullable=True),
    text_column("name", "Its name."),
    text_column("category", "Its category.", nullable=True),
    text_column("status", "active, deprecated or removed.", nullable=True),
    json_object("metadata", "Anything else the registry keeps."),
    text_column("source", "Where the row came from."),
    recorded_now("ingested_at", "When it was loaded."),
    schema="raw",
    comment="History of the registry's servers.",
)
