"""A body taken apart into records, each as the bytes to store and what is known about it.

Belongs here: splitting, CloudEvents, clock skew, ids made at the door. Does not: what a valid
record is (events/, sources/). Invariant: a record the body holds is a record in the result, in
order; nothing about one of them can fail another.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from analytics_assets.api.limits import MAX_EVENT_BYTES, MAX_EVENTS
from analytics_assets.api.problems import Problem
from analytics_assets.api.splitting import is_record, split_batch
from analytics_assets.events.quick_check import (
    EASY_BYTES,
    Envelope,
    QuickCheck,
    instant,
    uuid_bytes,
)
from analytics_assets.sources.contract import NEVER_STORED

JSON_TYPES: Final = frozenset({"application/json", "text/plain"})
CLOUD_EVENT: Final = "application/cloudevents+json"
CLOUD_BATCH: Final = "application/cloudevents-batch+json"
# A sender whose clock is this close is believed; the time a request takes is no error of a clock.
BELIEVED_SKEW: Final = timedelta(seconds=60)
_PERSONAL: Final = tuple(f'"{key}"'.encode() for key in NEVER_STORED)
_UNSTORABLE: Final = (b"\\u0000", b"\\ud", b"\\uD")
_MARKS: Final = (*_UNSTORABLE, *_PERSONAL)
# Parts that every such key has one of: five looks at a body of megabytes instead of eight.
_PERSONAL_PARTS: Final = (b'ip"', b"_addr", b'forwarded_for"', b'user_agent"', b'fingerprint"')
_OVERSIZED: Final = (
    f"oversized|the event takes more than {MAX_EVENT_BYTES // 1024} KB; send less, or a reference "
    "to the content"
)
_CLOUD_ATTRIBUTES: Final = {
    "type": "event_type",
    "time": "timestamp",
    "subject": "user_id",
    "data": "event_data",
    "source": "source",
    "sessionid": "session_id",
}


@dataclass(slots=True)
class Record:
    """One record on its way in. ``problem`` is ``code|message``; ``doubtful`` ones are still to be
    checked; the problem of a ``broken`` one was found here and goes with it.
    """

    payload: bytes
    id_text: str | None
    event_id: bytes | None = None
    doubtful: bool = True
    broken: bool = False
    problem: str | None = None
    status: str = "accepted"


@dataclass(frozen=True)
class Sent:
    """A body: its records as bytes, whether it was a batch, and when the sender says it sent it."""

    records: list[bytes]
    is_batch: bool
    sent_at: datetime | None = None
    cloud: bool = False
    suspicious: bool = False


@dataclass(frozen=True)
class Door:
    """What holds for all records of one request: the clocks, and what is known of the client."""

    check: QuickCheck
    first: datetime
    now: datetime
    latest: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)
    skew: timedelta | None = None


def skew_of(sent: Sent, now: datetime) -> timedelta | None:
    """How far the sender's clock is behind, where that is worth correcting."""
    if sent.sent_at is None or abs(now - sent.sent_at) <= BELIEVED_SKEW:
        return None
    return now - sent.sent_at


class _Body(msgspec.Struct):
    batch: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    sent_at: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_BODY: Final = msgspec.json.Decoder(_Body)
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ENVELOPE: Final = msgspec.json.Decoder(Envelope)


def read_sent(body: bytes, content_type: str) -> Sent:
    """Take a body apart.

    Raises Problem: ``unsupported_media_type``, ``invalid_json``, ``invalid_request``,
    ``batch_too_large``.
    """
    media = content_type.partition(";")[0].strip().lower()
    if media not in {*JSON_TYPES, CLOUD_EVENT, CLOUD_BATCH}:
        raise Problem(
            "unsupported_media_type",
            f"Content-Type must be application/json, {CLOUD_EVENT} or {CLOUD_BATCH}",
        )
    _refuse_other_text(body)
    suspicious = (b"\\u" in body and any(mark in body for mark in _UNSTORABLE)) or any(
        part in body for part in _PERSONAL_PARTS
    )
    if media == CLOUD_BATCH:
        return Sent(_limited(_list(body)), is_batch=True, cloud=True, suspicious=suspicious)
    if media == CLOUD_EVENT:
        return Sent([_single(body)], is_batch=False, cloud=True, suspicious=suspicious)
    records, sent_at = _batch(body)
    if records is None:
        return Sent([body], is_batch=False, suspicious=suspicious)
    return Sent(_limited(records), True, _sent_at(sent_at), suspicious=suspicious)


def prepare_event(raw: bytes, sent: Sent, door: Door) -> Record:
    """One event as it will be stored: with an id, its time corrected, nothing that must not stay.

    The check of events that are plainly valid happens here; the others stay ``doubtful``.
    """
    if len(raw) > MAX_EVENT_BYTES:
        return Record(_storable(raw), None, doubtful=False, broken=True, problem=_OVERSIZED)
    odd = sent.suspicious and any(mark in raw for mark in _MARKS)
    if odd or sent.cloud or b'"specversion"' in raw:
        cleaned = _cleaned(raw, sent, door)
        if cleaned is None:
            return Record(raw, None)
        raw = cleaned
    try:
        event = _ENVELOPE.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        # Another type than expected somewhere, or more nesting than Python bears.
        return Record(raw, None)
    return _with_extras(raw, event, door, odd=odd)


def prepare_record(raw: bytes, sent: Sent, door: Door, id_column: str) -> Record:
    """One record of another kind; all of them are ``doubtful``."""
    if sent.suspicious:
        raw = _cleaned(raw, sent, door) or raw
    try:
        identity = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get(id_column)
        text = None if identity is None else json.loads(bytes(identity))
    except (ValueError, RecursionError):
        text = None
    return Record(raw, None if text is None else str(text)[:256])


def as_text(raw: bytes) -> bytes:
    """A record that cannot be stored as JSON, as a JSON text that can."""
    return json.dumps(raw.decode("utf-8", "replace").replace("\0", "\\0")).encode()


def _with_extras(raw: bytes, event: Envelope, door: Door, *, odd: bool) -> Record:
    extras: list[str] = []
    identity = uuid_bytes(event.event_id)
    text = event.event_id
    if text is None:
        made = uuid.uuid4()
        identity, text = made.bytes, str(made)
        extras.append(f'"event_id":"{text}"')
    if door.skew is not None:
        moment = instant(event.timestamp)
        if moment is not None:
            event.timestamp = (moment + door.skew).isoformat()
            extras.append(f'"timestamp":"{event.timestamp}"')
    if door.facts:
        for name, value in door.facts.items():
            if getattr(event, name) is None:
                extras.append(f'"{name}":{json.dumps(value)}')
    quick = (
        identity is not None
        and len(raw) <= EASY_BYTES
        and not odd
        and door.check.passes(event, door.first, door.latest)
    )
    return Record(_spliced(raw, extras) if extras else raw, text, identity, doubtful=not quick)


def _spliced(raw: bytes, extras: list[str]) -> bytes:
    """An object with members added; the last of several with one name counts, as in Postgres."""
    head = raw.rstrip()[:-1].rstrip()
    comma = b"" if head.endswith(b"{") else b","
    return b"".join([head, comma, ",".join(extras).encode(), b"}"])


def _cleaned(raw: bytes, sent: Sent, door: Door) -> bytes | None:
    """An event without the keys that are never stored, CloudEvents as ours; None: not readable."""
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return raw
    before = json.dumps(record)
    if sent.cloud or "specversion" in record:
        record = _from_cloud(record, door)
    for container in (record, record.get("event_data"), record.get("metadata")):
        if isinstance(container, dict):
            for key in NEVER_STORED:
                container.pop(key, None)
    after = json.dumps(record)
    return raw if after == before else after.encode()


def _from_cloud(event: dict[str, Any], door: Door) -> dict[str, Any]:
    """A CloudEvent 1.0 as an event of ours. Same source and id is the same event."""
    mapped = {ours: event[theirs] for theirs, ours in _CLOUD_ATTRIBUTES.items() if theirs in event}
    mapped.setdefault("timestamp", door.now.isoformat())
    given = event.get("id")
    if isinstance(given, str) and given:
        if uuid_bytes(given) is None:
            given = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{event.get('source')} {given}"))
        mapped["event_id"] = given
    rest = {
        key: value
        for key, value in event.items()
        if key not in {*_CLOUD_ATTRIBUTES, "id", "specversion", "datacontenttype"}
    }
    if rest:
        mapped["metadata"] = rest
    return mapped


def _batch(body: bytes) -> tuple[list[bytes] | None, bytes | None]:
    try:
        decoded = _BODY.decode(body)
    except msgspec.ValidationError:
        raise _wrong_shape() from None
    except (msgspec.DecodeError, RecursionError) as error:
        found = split_batch(body)
        if found is not None:
            return found
        if not is_record(body):
            raise _not_json(error) from None
        return None, None
    if decoded.batch is msgspec.UNSET:
        return None, None
    sent_at = None if decoded.sent_at is msgspec.UNSET else bytes(decoded.sent_at)
    return [bytes(raw) for raw in decoded.batch], sent_at


def _list(body: bytes) -> list[bytes]:
    try:
        return [bytes(raw) for raw in _LIST.decode(body)]
    except msgspec.ValidationError:
        raise Problem("invalid_request", "a CloudEvents batch is a JSON array") from None
    except (msgspec.DecodeError, RecursionError) as error:
        found, _ = split_batch(b'{"batch":' + body + b"}") or (None, None)
        if found is None:
            raise _not_json(error) from None
        return found


def _single(body: bytes) -> bytes:
    records, _ = _batch(body)
    if records is not None:
        raise Problem("invalid_request", f"send several events as {CLOUD_BATCH}")
    return body


def _limited(records: list[bytes]) -> list[bytes]:
    if not records:
        raise Problem(
            "invalid_request",
            "the batch is empty; send at least one record",
            [{"pointer": "/batch", "code": "empty", "detail": "holds no record"}],
        )
    if len(records) > MAX_EVENTS:
        raise Problem("batch_too_large", f"a batch holds at most {MAX_EVENTS} records")
    return records


def _sent_at(raw: bytes | None) -> datetime | None:
    if raw is None or raw == b"null":
        return None
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    moment = instant(value) if isinstance(value, str) else None
    if moment is None:
        detail = "sent_at must be an RFC 3339 time with offset, such as 2026-01-31T12:34:56Z"
        raise Problem(
            "invalid_request",
            detail,
            [{"pointer": "/sent_at", "code": "invalid_timestamp", "detail": detail}],
        )
    return moment


def _refuse_other_text(body: bytes) -> None:
    if body.isascii():
        return
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Problem("invalid_json", f"the body is not UTF-8 text (byte {error.start})") from None


def _wrong_shape() -> Problem:
    return Problem(
        "invalid_request",
        'the body must be one JSON object, or {"sent_at": ..., "batch": [ ... ]}',
        [{"pointer": "", "code": "wrong_type", "detail": "neither one record nor a batch"}],
    )


def _not_json(error: Exception) -> Problem:
    place = re.search(r"\(byte \d+\)", str(error))
    where = f" {place[0]}" if place else ""
    return Problem("invalid_json", f"the body is not JSON{where}")


def _storable(raw: bytes) -> bytes:
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return as_text(raw)
    return as_text(raw) if any(mark in raw for mark in _UNSTORABLE) else raw
