"""The query behind aggregations: events and distinct users per period of any zone.

Belongs here: which periods, and their SQL. Does not: parameters and answers (``aggregations``).
Invariant: one statement an answer; of zones off by whole hours the hourly mart is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo

from psycopg import sql

from analytics_assets.api.reading import Days, conditions, fingerprint, rows_of

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

Grain = Literal["hourly", "daily", "weekly"]
_SAME_AS_UTC: Final = frozenset(
    {"UTC", "Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "UCT", "Universal", "Zulu",
     "GMT", "Etc/GMT"}
)  # fmt: skip
_DAY: Final = timedelta(days=1)


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


async def periods(
    services: Services, wanted: Wanted, after: tuple[Any, ...] | None, limit: int
) -> list[tuple[Any, ...]]:
    """(period, category, type, events, users), in this order, behind ``after``."""
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
