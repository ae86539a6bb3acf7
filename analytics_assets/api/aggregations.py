"""``GET /api/analytics/aggregations``: events and distinct users per hour, day or week of any zone.

Belongs here: the route. Does not: the query (``aggregation_query``). Invariant: a
bucket holds exactly the events of its local hour, day or ISO week, and its users are counted, never
added up; where they can no longer be counted they are null.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final
from zoneinfo import ZoneInfo, available_timezones

import psycopg
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from analytics_assets.api.aggregation_query import Grain, Wanted, periods
from analytics_assets.api.formats import UNCHANGED, Column, Table, described, form_of, whole
from analytics_assets.api.keys import Principal, require
from analytics_assets.api.problems import Problem, invalid_parameter, responses
from analytics_assets.api.reading import (
    KNOWN,
    REFUSED,
    Cursor,
    Days,
    EndDate,
    EventCategory,
    EventTypes,
    Format,
    RowLimit,
    StartDate,
    days_of,
    moment_of,
    read_cursor,
    types_of,
    write_cursor,
    wrong_cursor,
)
from analytics_assets.windows import monday_of

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

router = APIRouter(tags=["query"])
Reader = Annotated[Principal, Depends(require("query:metrics"))]
DEFAULT_DAYS: Final = 30
MOST_DAYS_OF_USERS: Final = 31
_DAY: Final = timedelta(days=1)
TABLE: Final = Table(
    "aggregations",
    (
        Column("period_start", "moment"),
        Column("event_category"),
        Column("event_type"),
        Column("total_events", "integer"),
        Column("unique_users", "integer"),
    ),
)
_EXAMPLE: Final = {
    "aggregation_type": "daily",
    "time_zone": "Asia/Kathmandu",
    "start_date": "2026-05-01",
    "end_date": "2026-05-31",
    "limit": 1000,
    "next": None,
    "aggregations": [
        {
            "period_start": "2026-05-12T00:00:00+05:45",
            "event_category": "transaction",
            "event_type": "project.created",
            "total_events": 41,
            "unique_users": 17,
        }
    ],
}


class Aggregation(BaseModel):
    """One type in one period. ``unique_users`` is null where it was not asked for, or where the
    days' events are past their retention.
    """

    period_start: datetime
    event_category: str
    event_type: str
    total_events: int
    unique_users: int | None


class Aggregations(BaseModel):
    """By period, category and type; periods without events have no row. The dates are those used:
    of weekly periods whole ISO weeks.
    """

    aggregation_type: Grain
    time_zone: str
    start_date: date
    end_date: date
    limit: int
    next: str | None
    aggregations: list[Aggregation]


@router.get(
    "/api/analytics/aggregations",
    response_model=Aggregations,
    dependencies=[KNOWN],
    responses={
        **described("aggregations", _EXAMPLE),
        **UNCHANGED,
        **REFUSED,
        **responses("range_too_long"),
    },
)
async def list_aggregations(
    request: Request,
    _: Reader,
    aggregation_type: Annotated[
        Grain, Query(description="How long a period is; weeks are ISO weeks.", examples=["daily"])
    ] = "daily",
    event_category: EventCategory = None,
    event_types: EventTypes = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    time_zone: Annotated[
        str,
        Query(
            max_length=64,
            description="IANA name of the zone whose hours, days and weeks these are.",
            examples=["Asia/Kathmandu"],
        ),
    ] = "UTC",
    unique_users: Annotated[
        bool,
        Query(
            description="Whether to count users; in zones other than UTC for at most "
            f"{MOST_DAYS_OF_USERS} days at once."
        ),
    ] = True,
    limit: RowLimit = 1_000,
    cursor: Cursor = None,
    format: Format = None,  # noqa: A002 (the parameter's name)
) -> Response:
    """Events and distinct users per type and period: the last 30 days where no dates are given."""
    services: Services = request.app.state.services
    form = form_of(request, format)
    if time_zone not in _zones():
        raise invalid_parameter("time_zone", "must be an IANA name such as Europe/Berlin or UTC")
    today = services.settings.now().astimezone(ZoneInfo(time_zone)).date()
    days = days_of(start_date, end_date, today=today, default=DEFAULT_DAYS)
    types = types_of(event_types)
    wanted = Wanted(
        aggregation_type,
        time_zone,
        _whole_weeks(days) if aggregation_type == "weekly" else days,
        event_category,
        None if types is None else tuple(types),
        unique_users,
    )
    if unique_users and not wanted.is_utc and days.count > MOST_DAYS_OF_USERS:
        raise Problem(
            "range_too_long",
            f"in another zone than UTC users are counted for at most {MOST_DAYS_OF_USERS} days at "
            f"once, and the range has {days.count}; ask for less, or with unique_users=false",
        )
    after = None if cursor is None else _key_of(wanted, read_cursor(cursor, wanted.fingerprint, 3))
    try:
        rows = await periods(services, wanted, after, limit + 1)
    except psycopg.errors.InvalidParameterValue:
        raise invalid_parameter("time_zone", "is not known to the database") from None
    following = None
    if len(rows) > limit:
        rows = rows[:limit]
        following = write_cursor(wanted.fingerprint, *rows[-1][:3])
    about = {
        "aggregation_type": wanted.grain,
        "time_zone": wanted.zone,
        "start_date": wanted.days.first,
        "end_date": wanted.days.last,
        "limit": limit,
        "next": following,
    }
    zone = ZoneInfo(wanted.zone)
    shown = [(_in_zone(period, zone), *rest) for period, *rest in rows]
    return whole(request, form, TABLE, shown, about)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _whole_weeks(days: Days) -> Days:
    return Days(
        monday_of(days.first),
        monday_of(days.last) + timedelta(days=6),
    )


def _in_zone(period: datetime, zone: ZoneInfo) -> datetime:
    """Days and weeks come as local times, hours as instants."""
    if period.tzinfo is not None:
        return period.astimezone(zone)
    # Midnight that a change of clocks leaves out begins when the clocks have changed.
    return period.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)


def _key_of(wanted: Wanted, values: list[Any]) -> tuple[Any, ...]:
    period = moment_of(values[0])
    is_local = wanted.grain != "hourly" and not wanted.is_utc
    if is_local != (period.tzinfo is None):
        raise wrong_cursor()
    return period, str(values[1]), str(values[2])
