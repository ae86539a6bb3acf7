"""``POST /api/analytics/<kind>``: records in, one result for each.

Belongs here: the routes and the form of their answers. Does not: parsing, checks, writing.
Invariant: accepted + duplicate + quarantined + retry = sent, and nothing is answered before its
commit.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from analytics_assets.api import idempotency
from analytics_assets.api.client_facts import device_info
from analytics_assets.api.collect_schemas import operation
from analytics_assets.api.envelope import Door, Record, Sent, prepare_event, prepare_record, skew_of
from analytics_assets.api.envelope import read_sent as read
from analytics_assets.api.inbox_writer import Submission
from analytics_assets.api.keys import Principal, require
from analytics_assets.api.limits import read_body
from analytics_assets.sources.config import TableName
from analytics_assets.sources.contract import CONTRACTS, Contract

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

router = APIRouter(tags=["collect"])
STATUSES: Final = ("accepted", "duplicate", "quarantined", "retry")
_FIELD: Final = re.compile(r"(?:every item of )?([a-z_]+(?:\.\S+)?) ")
_TABLES: Final[dict[str, TableName]] = {
    "events": "platform_events",
    "conversations": "conversations",
    "messages": "messages",
    "service-jobs": "service_jobs",
    "users": "users",
    "servers": "servers",
}
EVENTS_PATH: Final = "/api/analytics/events"
_event_sender = require("collect:events")
EventSender = Annotated[Principal, Depends(_event_sender)]
RecordSender = Annotated[Principal, Depends(require("collect:records"))]


@router.post(EVENTS_PATH, **operation("events"))
async def post_events(request: Request, principal: EventSender) -> Response:
    """Send one event, or a batch of up to 1,000; answered when they are durably stored."""
    return await collect(request, principal, "events")


async def events_directly(request: Request) -> Response:
    """What ``post_events`` does, without FastAPI's machinery around it."""
    return await collect(request, await _event_sender(request), "events")


@router.post("/api/analytics/conversations", **operation("conversations"))
async def post_conversations(request: Request, principal: RecordSender) -> Response:
    """Send conversations; one that was sent before is updated."""
    return await collect(request, principal, "conversations")


@router.post("/api/analytics/messages", **operation("messages"))
async def post_messages(request: Request, principal: RecordSender) -> Response:
    """Send messages of conversations; one that was sent before is updated."""
    return await collect(request, principal, "messages")


@router.post("/api/analytics/service-jobs", **operation("service-jobs"))
async def post_service_jobs(request: Request, principal: RecordSender) -> Response:
    """Send jobs of the application's services; one that was sent before is updated."""
    return await collect(request, principal, "service-jobs")


@router.post("/api/analytics/users", **operation("users"))
async def post_users(request: Request, principal: RecordSender) -> Response:
    """Send users: what holds from `valid_from` on, or from now on."""
    return await collect(request, principal, "users")


@router.post("/api/analytics/servers", **operation("servers"))
async def post_servers(request: Request, principal: RecordSender) -> Response:
    """Send servers of the registry: what holds from `valid_from` on, or from now on."""
    return await collect(request, principal, "servers")


async def collect(request: Request, principal: Principal, name: str) -> Response:
    """Read, check, store, answer."""
    services: Services = request.app.state.services
    key = idempotency.key_of(request)
    body = await read_body(request, services.settings.api_body_timeout_seconds)
    sent = read(body, request.headers.get("content-type", ""))
    contract = CONTRACTS[_TABLES[name]]
    records = await _checked(services, request, sent, contract)
    submission = Submission(contract.record, principal.name, principal.key_id, records)

    def answer() -> tuple[int, bytes]:
        return _answer(records, is_batch=sent.is_batch)

    if key is None:
        writable = _without_repeats(submission)
        if writable:
            await services.writer.submit(
                submission.kind, submission.source, submission.key_id, writable
            )
        status, text = answer()
        replayed = False
    else:
        digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + body)
        status, text, replayed = await idempotency.once(
            services, key, digest.hexdigest(), submission, _without_repeats(submission), answer
        )
    if not replayed:
        _count(services, request, principal, contract, records)
    headers = {"Idempotency-Replayed": "true"} if replayed else None
    return Response(text, status, headers=headers, media_type="application/json")


async def _checked(
    services: Services, request: Request, sent: Sent, contract: Contract
) -> list[Record]:
    settings = services.settings
    now = settings.now()
    door = Door(
        services.check,
        datetime.combine(settings.start_day, time(), tzinfo=UTC),
        now,
        now + settings.clock_skew,
        _facts(services, request),
        skew_of(sent, now),
    )
    if contract.record == "event":
        records = [prepare_event(raw, sent, door) for raw in sent.records]
    else:
        records = [prepare_record(raw, sent, door, contract.id_column) for raw in sent.records]
    await services.arbiter.judge(contract.table, records)
    return records


def _facts(services: Services, request: Request) -> dict[str, Any]:
    """What may be known of a browser; a server that sends events says nothing of its users."""
    device = device_info(request.headers.get("user-agent", ""))
    if device is None:
        return {}
    place = services.geography.locate(request.scope.get("client_address"))
    return {"device_info": device, **({} if place is None else {"geo_location": place})}


def _without_repeats(submission: Submission) -> list[Record]:
    """The records to store; of several with one id the first, the others are duplicates."""
    seen: set[bytes] = set()
    kept: list[Record] = []
    for record in submission.records:
        if record.event_id is not None:
            if record.event_id in seen:
                record.status = "duplicate"
                continue
            seen.add(record.event_id)
        kept.append(record)
    return kept


def _answer(records: Sequence[Record], *, is_batch: bool) -> tuple[int, bytes]:
    if not is_batch:
        record = records[0]
        return (200 if record.status == "duplicate" else 202), f"{{{_result(record)}}}".encode()
    counts = Counter(record.status for record in records)
    head = ",".join(f'"{status}":{counts[status]}' for status in STATUSES)
    results = ",".join(
        f'{{"index":{index},{_result(record)}}}' for index, record in enumerate(records)
    )
    return 202, f'{{{head},"results":[{results}]}}'.encode()


def _result(record: Record) -> str:
    if record.event_id is not None:
        # A UUID has nothing to escape.
        return f'"event_id":"{record.id_text}","status":"{record.status}"'
    identity = "null" if record.id_text is None else json.dumps(record.id_text)
    text = f'"event_id":{identity},"status":"{record.status}"'
    if record.problem is None:
        return text
    return f'{text},"errors":[{json.dumps(explained(record.problem))}]'


def explained(problem: str) -> dict[str, str]:
    """``code|message`` as ``{pointer, code, detail}``."""
    code, _, message = problem.partition("|")
    if code == "unknown_event_type":
        pointer = "/event_type"
    else:
        named = _FIELD.match(message)
        path = named[1].split(".", 1) if named and named[1].split(".")[0] in _COLUMNS else []
        pointer = "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path)
    return {"pointer": pointer, "code": code, "detail": message}


def _count(
    services: Services,
    request: Request,
    principal: Principal,
    contract: Contract,
    records: Sequence[Record],
) -> None:
    counts = Counter(record.status for record in records)
    for status, n in counts.items():
        services.metrics.count(
            "collector_records_total",
            n,
            kind=contract.record,
            key=principal.key_id,
            status=status,
        )
    if counts["quarantined"]:
        for record in records:
            if record.problem is not None:
                services.metrics.count(
                    "collector_problems_total",
                    kind=contract.record,
                    key=principal.key_id,
                    code=record.problem.partition("|")[0],
                )
    request.scope["log_fields"] = {"kind": contract.record, **counts}


_COLUMNS: Final = frozenset(
    column.name for contract in CONTRACTS.values() for column in contract.columns
)
