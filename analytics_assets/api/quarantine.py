"""``/api/analytics/quarantine``: what was kept back and why, and asking for another try.

Belongs here: the list and the request. Does not: replaying, which the load does. Invariant: no
payload is shown; asking twice is asking once.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from psycopg.rows import dict_row
from pydantic import BaseModel, Field

from analytics_assets.api.keys import Principal, require
from analytics_assets.api.problems import Problem, invalid_parameter, responses

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

router = APIRouter(tags=["quarantine"])
MAX_ROWS: Final = 1_000
Reader = Annotated[Principal, Depends(require("quarantine:read"))]
Writer = Annotated[Principal, Depends(require("quarantine:write"))]
_REFUSED = responses("missing_key", "insufficient_scope", "rate_limited", "store_unavailable")


class Row(BaseModel):
    """A quarantined record without its payload."""

    rejected_id: UUID
    received_at: datetime
    kind: str
    source: str
    location: str | None
    event_type: str | None
    processing_status: str
    error_code: str
    error_message: str
    retry_count: int
    updated_at: datetime
    replay_requested_at: datetime | None


class Page(BaseModel):
    """Newest first. ``next`` is the cursor of the following page, null on the last."""

    rows: list[Row]
    limit: int
    next: str | None


class Wanted(BaseModel):
    """Rows to try again."""

    ids: list[UUID] = Field(min_length=1, max_length=MAX_ROWS)


class Asked(BaseModel):
    """What became of the request for one row."""

    rejected_id: UUID
    outcome: Literal[
        "requested", "already_requested", "replayed", "discarded", "not_replayable", "not_found"
    ]


class AskedAll(BaseModel):
    """What became of the request for each row."""

    requested: int
    results: list[Asked]


@router.get("/api/analytics/quarantine", responses={**responses("invalid_parameter"), **_REFUSED})
async def list_quarantine(
    request: Request,
    _: Reader,
    status: Literal["rejected", "replayed", "discarded"] | None = None,
    error_code: Annotated[str | None, Query(max_length=64)] = None,
    event_type: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 100,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Page:
    """Quarantined records with the reason of each, newest first."""
    for name, value in (("error_code", error_code), ("event_type", event_type)):
        if value is not None and "\0" in value:
            raise invalid_parameter(name, "must not hold a NUL")
    services: Services = request.app.state.services
    before, identity = _read_cursor(cursor)
    async with (
        services.queries.connection() as connection,
        connection.cursor(row_factory=dict_row) as rows,
    ):
        await rows.execute(
            "select * from ops.quarantined(%s, %s, %s, %s, %s, %s)",
            [status, error_code, event_type, before, identity, limit + 1],
        )
        found: list[dict[str, Any]] = await rows.fetchall()
    shown = [Row(**row) for row in found[:limit]]
    more = _cursor(shown[-1]) if len(found) > limit else None
    return Page(rows=shown, limit=limit, next=more)


@router.post(
    "/api/analytics/quarantine/{rejected_id}/replay",
    status_code=202,
    responses={**responses("not_found", "not_replayable"), **_REFUSED},
)
async def replay_one(request: Request, _: Writer, rejected_id: UUID) -> Asked:
    """Have the next load try one row again, with the catalogue as it is then."""
    (asked,) = await _ask(request.app.state.services, [rejected_id])
    if asked.outcome == "not_found":
        raise Problem("not_found", "no row in quarantine has this id")
    if asked.outcome == "not_replayable":
        raise Problem("not_replayable", "only records whose payload was kept can be tried again")
    return asked


@router.post(
    "/api/analytics/quarantine/replay",
    status_code=202,
    responses={**responses("invalid_request"), **_REFUSED},
)
async def replay_many(request: Request, _: Writer, wanted: Wanted) -> AskedAll:
    """Have the next load try rows again."""
    asked = await _ask(request.app.state.services, list(dict.fromkeys(wanted.ids)))
    return AskedAll(requested=sum(a.outcome == "requested" for a in asked), results=asked)


async def _ask(services: Services, ids: list[UUID]) -> list[Asked]:
    async with services.pool.connection() as connection:
        cursor = await connection.execute("select * from ops.request_replay(%s)", [ids])
        found = dict(await cursor.fetchall())
    return [Asked(rejected_id=i, outcome=found.get(i, "not_found")) for i in ids]


def _cursor(row: Row) -> str:
    text = f"{row.received_at.isoformat()} {row.rejected_id}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_cursor(cursor: str | None) -> tuple[datetime | None, UUID | None]:
    if cursor is None:
        return None, None
    try:
        moment, _, identity = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        return datetime.fromisoformat(moment).astimezone(UTC), UUID(identity)
    except (ValueError, OverflowError, binascii.Error):
        raise invalid_parameter("cursor", "take it from `next` of the page before") from None
