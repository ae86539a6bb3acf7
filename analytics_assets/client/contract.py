"""What the parts of the client agree on: events, options, problems, counters.

Belongs here: plain values. Does not: sending or keeping them. Invariant: an event's bytes never
change once it was taken, so that every try sends the same event under the same id.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

if TYPE_CHECKING:
    from analytics_assets.client.spool import Segment

VERSION: Final = "0.1.0"
LOGGER: Final = logging.getLogger("analytics_assets.client")
MAX_BATCH: Final = 1_000
# The collector takes 5 MiB; this is what one try may cost to repeat.
MAX_BODY_BYTES: Final = 1024 * 1024


class Envelope(TypedDict, total=False):
    """What any event may carry beside its own fields. ``timestamp`` has an offset, as in RFC 3339,
    and is now where it is left out; ``event_id`` is a UUID, made by us where it is left out.
    """

    user_id: str | None
    session_id: str | None
    entity_type: str | None
    entity_id: str | None
    metadata: Mapping[str, Any] | None
    timestamp: datetime | str | None
    event_id: str | None


@dataclass(frozen=True, slots=True)
class Problem:
    """An event that will not be in the tables as it is. Its ``status`` tells which.

    - ``quarantined``: kept by the server, and replayed once its type's schema is mended;
    - ``refused``: the server will not have it;
    - ``dropped``: it never left, since the queue or the spool's disk was full or it cannot be JSON.

    ``code`` says why; ``errors`` are the server's ``{pointer, code, detail}``.
    """

    event_id: str | None
    event_type: str
    status: str
    code: str
    errors: tuple[Mapping[str, str], ...] = ()


@dataclass(slots=True)
class Stats:
    """What became of the events of one client, and how often sending failed.

    taken + recovered = accepted + duplicate + quarantined + refused + waiting.
    """

    taken: int = 0
    recovered: int = 0
    accepted: int = 0
    duplicate: int = 0
    quarantined: int = 0
    refused: int = 0
    dropped: int = 0
    waiting: int = 0
    failed_tries: int = 0


class AnalyticsError(Exception):
    """A query that was not answered: ``status`` (0: no answer at all) and the problem's code."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.status = status
        self.code = code


@dataclass(slots=True)
class Event:
    """One event as it is sent, and the spool's segment that keeps it."""

    event_id: str
    event_type: str
    body: bytes
    segment: Segment | None = None


class ClientOptions(TypedDict, total=False):
    """Keyword arguments of both clients; what they mean and their defaults are in ``Options``."""

    spool: str | Path | None
    spool_fsync: bool
    spool_max_bytes: int
    batch_events: int
    flush_interval: float
    max_queue: int
    timeout: float
    backoff_base: float
    backoff_cap: float
    exit_timeout: float
    allow_plain_http: bool
    on_problem: Callable[[Problem], None] | None


@dataclass(frozen=True)
class Options:
    """How a client sends; times in seconds.

    ``spool``: a folder that keeps events until the server has them, one folder a key; with
    ``spool_fsync`` they outlive the machine's power, not only the process. ``spool_max_bytes``:
    what this process may keep there. ``batch_events`` (at most 1,000) and ``flush_interval``: a
    batch leaves when it is full or that old. ``max_queue``: events in memory. ``timeout``: of one
    try. ``backoff_base``, ``backoff_cap``: the range of pauses doubles from one to the other.
    ``exit_timeout``: how long the end of the process may wait for what is queued.
    """

    spool: str | Path | None = None
    spool_fsync: bool = False
    spool_max_bytes: int = 512 * 1024 * 1024
    batch_events: int = 500
    flush_interval: float = 1.0
    max_queue: int = 10_000
    timeout: float = 10.0
    backoff_base: float = 0.5
    backoff_cap: float = 60.0
    exit_timeout: float = 5.0
    allow_plain_http: bool = False
    on_problem: Callable[[Problem], None] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.batch_events <= MAX_BATCH:
            raise ValueError(f"batch_events must be from 1 to {MAX_BATCH}")
        if self.max_queue < self.batch_events:
            raise ValueError("max_queue must hold a batch")


def new_event_id() -> str:
    """A UUID of version 7: events of one process sort by the time they were made."""
    random = int.from_bytes(os.urandom(10))
    bits = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80
    bits |= 7 << 76 | (random >> 68 & 0xFFF) << 64 | 2 << 62 | random & (1 << 62) - 1
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def make_event(event_type: str, event_data: Mapping[str, Any], envelope: Envelope) -> Event:
    """Raises TypeError or ValueError where a value is not one of JSON's."""
    moment = envelope.get("timestamp") or datetime.now(UTC)
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError("a timestamp needs its offset from UTC")
        moment = moment.isoformat()
    event_id = envelope.get("event_id") or new_event_id()
    record: dict[str, Any] = {"event_id": event_id, "event_type": event_type}
    record["timestamp"] = moment
    for name in ("user_id", "session_id", "entity_type", "entity_id", "metadata"):
        value = envelope.get(name)
        if value is not None:
            record[name] = value
    record["event_data"] = event_data
    # One line: JSON has no line breaks but those that are asked for, which the spool relies on.
    text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    return Event(str(event_id), event_type, text.encode())


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were given: ``None`` means left out."""
    return {name: value for name, value in fields.items() if value is not None}
