"""``GET /api/analytics/metrics``: the platform's headline numbers, day by day.

Belongs here: the route. Does not: the numbers, which are ``marts.daily_metrics``. Invariant: every
metric has a row for every day that was built.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from psycopg import sql
from pydantic import BaseModel
from starlette.responses import Response

from analytics_assets.api.formats import UNCHANGED, Column, Table, described, form_of, whole
from analytics_assets.api.keys import Principal, require
from analytics_assets.api.reading import (
    KNOWN,
    REFUSED,
    Cursor,
    EndDate,
    Format,
    RowLimit,
    StartDate,
    days_of,
    fingerprint,
    moment_of,
    read_cursor,
    rows_of,
    today_of,
    write_cursor,
)

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

router = APIRouter(tags=["query"])
Reader = Annotated[Principal, Depends(require("query:metrics"))]
DEFAULT_DAYS: Final = 30
Name = Literal[
    "total_searches",
    "unique_searches",
    "installation_count",
    "active_servers",
    "active_users",
    "user_engagement",
]
TABLE: Final = Table(
    "metrics", (Column("date", "day"), Column("metric_name"), Column("metric_value", "number"))
)
_EXAMPLE: Final = {
    "start_date": "2026-05-12",
    "end_date": "2026-05-12",
    "limit": 1000,
    "next": None,
    "metrics": [{"date": "2026-05-12", "metric_name": "total_searches", "metric_value": 118}],
}


class Metric(BaseModel):
    """One number of one UTC day."""

    date: date
    metric_name: str
    metric_value: float


class MetricPage(BaseModel):
    """By day and name. ``next`` is the cursor of the following page, null on the last."""

    start_date: date
    end_date: date
    limit: int
    next: str | None
    metrics: list[Metric]


@router.get(
    "/api/analytics/metrics",
    response_model=MetricPage,
    dependencies=[KNOWN],
    responses={**described("metrics", _EXAMPLE), **UNCHANGED, **REFUSED},
)
async def list_metrics(
    request: Request,
    _: Reader,
    start_date: StartDate = None,
    end_date: EndDate = None,
    names: Annotated[
        list[Name] | None,
        Query(description="Only these, the parameter several times.", examples=[["active_users"]]),
    ] = None,
    limit: RowLimit = 1_000,
    cursor: Cursor = None,
    format: Format = None,  # noqa: A002 (the parameter's name)
) -> Response:
    """Headline numbers per UTC day: the last 30 days where no dates are given."""
    services: Services = request.app.state.services
    form = form_of(request, format)
    days = days_of(start_date, end_date, today=today_of(services), default=DEFAULT_DAYS)
    wanted = None if names is None else sorted(set(names))
    query = fingerprint("metrics", days, wanted)
    after_day, after_name = days.first, ""
    if cursor is not None:
        moment, name = read_cursor(cursor, query, 2)
        after_day, after_name = moment_of(moment).date(), str(name)
    rows = await rows_of(
        services,
        _ROWS,
        {
            "first": days.first,
            "last": days.last,
            "names": wanted,
            "after_day": after_day,
            "after_name": after_name,
            "rows": limit + 1,
        },
    )
    following = None
    if len(rows) > limit:
        rows = rows[:limit]
        following = write_cursor(query, *rows[-1][:2])
    about = {
        "start_date": days.first,
        "end_date": days.last,
        "limit": limit,
        "next": following,
    }
    return whole(request, form, TABLE, rows, about)


_ROWS: Final = sql.SQL("""
select date, metric_name, metric_value
from marts.daily_metrics
where
    date between %(first)s and %(last)s
    and (%(names)s::text[] is null or metric_name = any(%(names)s))
    and (date, metric_name) > (%(after_day)s, %(after_name)s)
order by date, metric_name
limit %(rows)s
""")
