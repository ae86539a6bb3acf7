"""``GET /api/analytics/events``: single events, newest first, in pages that cost the same anywhere.

Belongs here: the route. Does not: reading pages (``event_pages``). Invariant: a page says what of
the range it holds and where the next one begins.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from analytics_assets.api.event_pages import (
    EVENT_ID,
    TABLE,
    TIMESTAMP,
    Key,
    Wanted,
    collect,
    last_key,
    overview,
    walk,
)
from analytics_assets.api.formats import (
    Form,
    described,
    form_of,
    json_body,
    page_headers,
    streamed,
)
from analytics_assets.api.keys import Principal, require
from analytics_assets.api.problems import Problem, responses
from analytics_assets.api.reading import (
    KNOWN,
    REFUSED,
    Cursor,
    EndDate,
    EventCategory,
    EventTypes,
    Format,
    StartDate,
    Words,
    days_of,
    moment_of,
    read_cursor,
    today_of,
    types_of,
    write_cursor,
    wrong_cursor,
)

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

router = APIRouter(tags=["query"])
Reader = Annotated[Principal, Depends(require("query:events"))]
MOST_DAYS: Final = 366
DEFAULT_DAYS: Final = 7
MOST_IN_JSON: Final = 1_000
MOST_IN_A_FILE: Final = 100_000
_DEFAULT_LIMIT: Final[dict[Form, int]] = {"json": 100, "csv": 10_000, "parquet": 10_000}
_EXAMPLE: Final = {
    "total": 1,
    "limit": 100,
    "next": None,
    "start_date": "2026-05-01",
    "end_date": "2026-05-31",
    "events": [
        {
            "event_id": "0191f9f2-6f0c-7d4e-9b1a-3f1d2c4b5a69",
            "event_type": "project.created",
            "event_category": "transaction",
            "timestamp": "2026-05-12T09:30:00Z",
            "user_id": "u1",
            "user_role": "client",
            "user_tenure_days": 41,
            "session_id": None,
            "entity_type": "project",
            "entity_id": "p1",
            "event_data": {"project_id": "p1"},
            "metadata": {"app": "web"},
            "geo_location": None,
            "device_info": None,
            "source": "web",
            "ingested_at": "2026-05-12T09:31:00Z",
        }
    ],
}


class LoggedEvent(BaseModel):
    """An event without the fields of event_data that the catalogue calls personal."""

    event_id: UUID
    event_type: str
    event_category: str
    timestamp: datetime
    user_id: str | None
    user_role: str | None
    user_tenure_days: int | None
    session_id: str | None
    entity_type: str | None
    entity_id: str | None
    event_data: dict[str, Any]
    metadata: dict[str, Any]
    geo_location: dict[str, Any] | None
    device_info: dict[str, Any] | None
    source: str
    ingested_at: datetime


class EventPage(BaseModel):
    """Newest first. ``total`` counts the whole range when its first page was read: without
    `user_id` as of the last run, events past their retention included. ``next`` is the cursor of
    the following page, null on the last.
    """

    total: int
    limit: int
    next: str | None
    start_date: date
    end_date: date
    events: list[LoggedEvent]


@router.get(
    "/api/analytics/events",
    response_model=EventPage,
    dependencies=[KNOWN],
    responses={**described("events", _EXAMPLE), **REFUSED, **responses("range_too_long")},
)
async def list_events(
    request: Request,
    _: Reader,
    event_types: EventTypes = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    event_category: EventCategory = None,
    user_id: Annotated[
        Words | None, Query(description="Only this user's.", examples=["u1"])
    ] = None,
    limit: Annotated[
        int | None,
        Query(
            ge=1,
            le=MOST_IN_A_FILE,
            description=f"Most rows: JSON {_DEFAULT_LIMIT['json']}, at most {MOST_IN_JSON}; CSV "
            f"and Parquet {_DEFAULT_LIMIT['csv']}, at most {MOST_IN_A_FILE}.",
            examples=[100],
        ),
    ] = None,
    cursor: Cursor = None,
    format: Format = None,  # noqa: A002 (the parameter's name)
) -> Response:
    """Events, newest first: the last 7 days where no dates are given, at most 366."""
    services: Services = request.app.state.services
    form = form_of(request, format)
    rows = limit or _DEFAULT_LIMIT[form]
    if form == "json":
        rows = min(rows, MOST_IN_JSON)
    days = days_of(start_date, end_date, today=today_of(services), default=DEFAULT_DAYS)
    if days.count > MOST_DAYS:
        raise Problem(
            "range_too_long",
            f"ask for at most {MOST_DAYS} days at once; the range has {days.count}",
        )
    types = types_of(event_types)
    wanted = Wanted(days, None if types is None else tuple(types), event_category, user_id)
    after: Key | None = None
    if cursor is None:
        wanted, total = await overview(services, wanted)
    else:
        *key, total = read_cursor(cursor, wanted.fingerprint, 3)
        after = _key_of(*key)
        if not isinstance(total, int):
            raise wrong_cursor()
        wanted, _total = await overview(services, wanted, count=False)

    def following(key: Key | None) -> str | None:
        return None if key is None else write_cursor(wanted.fingerprint, *key, total)

    if form == "json":
        found = await collect(services, wanted, after, rows + 1)
        last = found[rows - 1] if len(found) > rows else None
        token = following(None if last is None else (last[TIMESTAMP], last[EVENT_ID]))
        about = {
            "total": total,
            "limit": rows,
            "next": token,
            "start_date": days.first,
            "end_date": days.last,
        }
        body = json_body(TABLE, found[:rows], about)
        headers = page_headers(request, rows, token)
        return Response(body, headers=headers, media_type="application/json")
    until = await last_key(services, wanted, after, rows)
    batches = walk(services, wanted, after, until=until)
    first: list[Any] = await anext(batches, [])
    headers = {**page_headers(request, rows, following(until)), "X-Total": str(total)}
    return streamed(form, TABLE, first, batches, headers)


def _key_of(moment: object, identity: object) -> Key:
    time = moment_of(moment)
    if time.tzinfo is None:
        raise wrong_cursor()
    try:
        return time, UUID(str(identity))
    except ValueError:
        raise wrong_cursor() from None
