"""The columns a source delivers for each raw table, whatever it is: the contract of a mapping.

Belongs here: names and kinds of columns. Does not: the raw tables themselves (store/models) or
the checks of their values. Invariant: every value is staged as text or JSON exactly as delivered;
only Postgres turns it into a type, by the same code for every source.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final, Literal

from analytics_assets.sources.config import TableName

Kind = Literal["text", "json", "moment", "number", "flag"]
RecordKind = Literal["event", "conversation", "message", "service_job", "user", "server"]


@dataclass(frozen=True)
class Column:
    """One column; ``values`` are all there may be, where they are few."""

    name: str
    kind: Kind = "text"
    required: bool = False
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contract:
    """What a source delivers for one table. ``id_column`` is derived from the content if missing,
    unless it is required.
    """

    table: TableName
    record: RecordKind
    id_column: str
    time_column: str
    columns: tuple[Column, ...]

    @cached_property
    def by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def required(self) -> list[str]:
        return [column.name for column in self.columns if column.required]

    @property
    def derives_ids(self) -> bool:
        """Whether a row without an id gets one derived from its content."""
        return not self.by_name[self.id_column].required


_PERSON: Final = (Column("user_id"), Column("subject"))
_METADATA: Final = Column("metadata", "json")
# What raw.users does not keep: these go to the scrubber's dictionary.
IDENTIFIERS: Final = ("name", "email", "handle", "repository", "organisation", "host")

# An address or a fingerprint identifies a person, and no table needs it: these keys are
# dropped at the door.
NEVER_STORED: Final = (
    "ip",
    "ip_address",
    "remote_addr",
    "client_ip",
    "x_forwarded_for",
    "user_agent",
    "device_fingerprint",
    "fingerprint",
)

_CONTRACTS: Final = (
    Contract(
        "platform_events",
        "event",
        "event_id",
        "timestamp",
        (
            Column("event_id"),
            Column("event_type", required=True),
            Column("timestamp", "moment", required=True),
            *_PERSON,
            Column("session_id"),
            Column("entity_type"),
            Column("entity_id"),
            Column("source"),
            Column("event_data", "json"),
            _METADATA,
            Column("geo_location", "json"),
            Column("device_info", "json"),
        ),
    ),
    Contract(
        "conversations",
        "conversation",
        "conversation_id",
        "started_at",
        (
            Column("conversation_id"),
            *_PERSON,
            Column("started_at", "moment", required=True),
            Column("ended_at", "moment"),
            Column("title"),
            Column("channel"),
            _METADATA,
        ),
    ),
    Contract(
        "messages",
        "message",
        "message_id",
        "created_at",
        (
            Column("message_id"),
            Column("conversation_id", required=True),
            *_PERSON,
            Column("role", required=True, values=("user", "assistant", "tool", "system")),
            Column("content"),
            Column("tool_name"),
            Column("created_at", "moment", required=True),
            _METADATA,
        ),
    ),
    Contract(
        "service_jobs",
        "service_job",
        "job_id",
        "created_at",
        (
            Column("job_id"),
            *_PERSON,
            Column("conversation_id"),
            Column("job_type", required=True),
            Column(
                "status",
                required=True,
                values=("pending", "running", "succeeded", "failed", "cancelled"),
            ),
            Column("created_at", "moment", required=True),
            Column("finished_at", "moment"),
            Column("credits", "number"),
            _METADATA,
        ),
    ),
    Contract(
        "users",
        "user",
        "user_id",
        "valid_from",
        (
            Column("user_id", required=True),
            Column("valid_from", "moment"),
            Column("role"),
            Column("signup_at", "moment"),
            Column("insights_consent", "flag"),
            Column("is_internal", "flag"),
            Column("subject"),
            *(Column(name) for name in IDENTIFIERS),
        ),
    ),
    Contract(
        "servers",
        "server",
        "server_id",
        "valid_from",
        (
            Column("server_id", required=True),
            Column("valid_from", "moment"),
            Column("name", required=True),
            Column("category"),
            Column("status", values=("active", "deprecated", "removed")),
            _METADATA,
        ),
    ),
)
CONTRACTS: Final = MappingProxyType({contract.table: contract for contract in _CONTRACTS})
# Users and servers come first: events and messages are enriched from them.
LOAD_ORDER: Final[tuple[TableName, ...]] = (
    "users",
    "servers",
    "conversations",
    "messages",
    "service_jobs",
    "platform_events",
)
