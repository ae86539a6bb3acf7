"""``GET /api/analytics/aggregations``: events and distinct users per hour, day or week of any zone.

Belongs here: the query and its route. Does not: counting, which the marts have done. Invariant: a
bucket holds exactly the events of its local hour, day or ISO week, and its users are counted, never
added up; where they can no longer be counted they are null.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

import psycopg
from fastapi import APIRouter, Depends, Query, Request
from psycopg import sql
from pydantic import BaseModel
from starlette.responses import Response

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
    conditions,
    days_of,
    fingerprint,
    moment_of,
    read_cursor,
    rows_of,
    types_of,
    write_cursor,
    wrong_cursor,
)

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

router = APIRouter(tags=["query"])
Reader = Annotated[Principal, Depends(require("query:metrics"))]
Grain = Literal["hourly", "daily", "weekly"]
DEFAULT_DAYS: Final = 30
MOST_DAYS_OF_USERS: Final = 31
_SAME_AS_UTC: Final = frozenset(
    {"UTC", "Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "UCT", "Universal", "Zulu",
     "GMT", "Etc/GMT"}
)  # fmt: skip
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


@dataclass(frozen=True)
class Wanted:
    """Which periods of which events."""

    grain: Grain
    zone: str
    days: Days
    category: str | None
    types: tuple[str, ...] | None
    users: bool

    @property
    def fingerprint(self) -> str:
        return fingerprint("aggregations", self)

    @property
    def is_utc(self) -> bool:
        return self.zone in _SAME_AS_UTC

    @property
    def is_whole_hours(self) -> bool:
        """Whether the zone is off by whole hours on all the days, so that hours are fine enough."""
        zone = ZoneInfo(self.zone)
        days = (self.days.first + n * _DAY for n in range(self.days.count + 1))
        offsets = (datetime.combine(day, time(), tzinfo=zone).utcoffset() for day in days)
        return all(offset is not None and not offset % timedelta(hours=1) for offset in offsets)

    def bounds(self) -> tuple[datetime, datetime]:
        """The instants at which the first day begins and the last one ends."""
        first, last = (
            datetime.combine(day, time(), tzinfo=ZoneInfo(self.zone)).astimezone(UTC)
            for day in (self.days.first, self.days.last + _DAY)
        )
        return first, last


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
        rows = await _rows(services, wanted, after, limit + 1)
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
        days.first - timedelta(days=days.first.weekday()),
        days.last + timedelta(days=6 - days.last.weekday()),
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


async def _rows(
    services: Services, wanted: Wanted, after: tuple[Any, ...] | None, limit: int
) -> list[tuple[Any, ...]]:
    filters: list[sql.Composable] = []
    parameters: dict[str, Any] = {
        "grain": wanted.grain,
        "first": wanted.days.first,
        "last": wanted.days.last,
        "rows": limit,
    }
    if wanted.category is not None:
        filters.append(sql.SQL("event_category = %(category)s"))
        parameters["category"] = wanted.category
    if wanted.types is not None:
        filters.append(sql.SQL("event_type = any(%(types)s)"))
        parameters["types"] = list(wanted.types)
    following: sql.Composable = sql.SQL("true")
    if after is not None:
        following = sql.SQL(
            "(period_start, event_category, event_type) > (%(period)s, %(of)s, %(type)s)"
        )
        parameters |= dict(zip(("period", "of", "type"), after, strict=True))
    if wanted.is_utc:
        statement = sql.SQL(_UTC).format(
            users=sql.SQL("unique_users" if wanted.users else "null::bigint"),
            where=conditions([*filters, following]) if filters else following,
        )
        return await rows_of(services, statement, parameters)
    begins, ends = wanted.bounds()
    parameters |= {"begins": begins, "ends": ends, "day": begins.date(), "to_day": ends.date()}
    where = conditions([sql.SQL("day between %(day)s and %(to_day)s"), *filters])
    statement = sql.SQL(_LOCAL).format(
        where=where,
        counts=sql.SQL(_HOURS if wanted.is_whole_hours else _QUARTER_HOURS),
        after=following,
        slot=_period(wanted, sql.SQL("slot")),
        users=_users(wanted, where) if wanted.users else sql.SQL(""),
        unique=sql.SQL("case when people.events >= counted.total_events then people.users end")
        if wanted.users
        else sql.SQL("null::bigint"),
        joined=sql.SQL(_JOINED) if wanted.users else sql.SQL(""),
    )
    return await rows_of(services, statement, parameters)


def _period(wanted: Wanted, moment: sql.Composable) -> sql.Composed:
    """SQL of the period an instant lies in: an hour's first instant, a day's local midnight.

    Local hours repeat when clocks go back, so that an hour is told by its instant (below days
    Postgres keeps the offset of the moment it truncates); local days do not repeat, while their
    midnight may.
    """
    zone = sql.Literal(wanted.zone)
    if wanted.grain == "hourly":
        return sql.SQL("date_trunc('hour', {}, {})").format(moment, zone)
    unit = sql.Literal("day" if wanted.grain == "daily" else "week")
    return sql.SQL("date_trunc({}, {} at time zone {})").format(unit, moment, zone)


def _users(wanted: Wanted, where: sql.Composable) -> sql.Composed:
    """SQL of the distinct users: hours of UTC that lie in one period come from the mart of users'
    hours; the others, one a day where the zone is off by less than an hour, from the events.
    """
    hour = sql.SQL("hour")
    almost = sql.SQL("(hour + interval '1 hour' - interval '1 microsecond')")
    return sql.SQL(_USERS).format(
        where=where,
        of_hour=_period(wanted, hour),
        of_end=_period(wanted, almost),
        of_event=_period(wanted, sql.SQL('event."timestamp"')),
    )


_UTC: Final = """
select period_start, event_category, event_type, total_events, {users}
from marts.event_aggregations
where
    aggregation_type = %(grain)s
    and day between %(first)s and %(last)s
    and {where}
order by period_start, event_category, event_type
limit %(rows)s
"""

_QUARTER_HOURS: Final = "marts.int_event_counts_15min"

# A quarter of the rows.
_HOURS: Final = """(
        select day, period_start as slot, event_category, event_type, total_events
        from marts.event_aggregations
        where aggregation_type = 'hourly'
    )"""

_LOCAL: Final = """
with counted as (
    select
        {slot} as period_start,
        event_category,
        event_type,
        sum(total_events)::bigint as total_events
    from {counts} as counts
    where
        {where}
        and slot >= %(begins)s
        and slot < %(ends)s
    group by 1, 2, 3
){users},

answered as (
    select
        counted.period_start,
        counted.event_category,
        counted.event_type,
        counted.total_events,
        {unique} as unique_users
    from counted
    {joined}
)

select period_start, event_category, event_type, total_events, unique_users
from answered
where {after}
order by period_start, event_category, event_type
limit %(rows)s
"""

_USERS: Final = """,

whole_hours as (
    select
        {of_hour} as period_start,
        event_category,
        event_type,
        user_id,
        events
    from marts.int_user_hours
    where
        {where}
        and hour >= %(begins)s
        and hour < %(ends)s
        and {of_hour} = {of_end}
),

shared_hours as (
    select hour
    from generate_series(
        date_trunc('hour', %(begins)s::timestamptz, 'UTC'), %(ends)s::timestamptz, '1 hour'
    ) as hour
    where {of_hour} <> {of_end}
),

parts_of_hours as (
    select
        {of_event} as period_start,
        event.event_category,
        event.event_type,
        event.user_id,
        1 as events
    from shared_hours
    cross join lateral (
        select event_category, event_type, user_id, "timestamp"
        from marts.event_log
        where
            {where}
            and day = (shared_hours.hour at time zone 'UTC')::date
            and "timestamp" >= shared_hours.hour
            and "timestamp" < shared_hours.hour + interval '1 hour'
            and "timestamp" >= %(begins)s
            and "timestamp" < %(ends)s
    ) as event
),

persons as (
    select period_start, event_category, event_type, user_id, sum(events) as events
    from (
        select * from whole_hours
        union all
        select * from parts_of_hours
    ) as pieces
    group by period_start, event_category, event_type, user_id
),

people as (
    select
        period_start,
        event_category,
        event_type,
        count(user_id) as users,
        sum(events) as events
    from persons
    group by period_start, event_category, event_type
)"""

_JOINED: Final = """left join people
        on people.period_start = counted.period_start
        and people.event_category = counted.event_category
        and people.event_type = counted.event_type"""
