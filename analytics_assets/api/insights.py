"""``GET /api/v1/insights/...``: the published trends, for everybody.

Belongs here: the public routes. Does not: anything exact. Invariant: only tables of ``published``
are read, every number of which is about more than 10 people.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from psycopg import sql
from pydantic import BaseModel
from starlette.responses import Response

from analytics_assets.api.formats import UNCHANGED, Column, Table, described, form_of, whole
from analytics_assets.api.problems import invalid_parameter, responses
from analytics_assets.api.rate_limit import public
from analytics_assets.api.reading import (
    KNOWN,
    QUERY_PROBLEMS,
    Cursor,
    EndDate,
    Format,
    RowLimit,
    StartDate,
    conditions,
    fingerprint,
    moment_of,
    read_cursor,
    rows_of,
    write_cursor,
)

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

router = APIRouter(tags=["insights"], dependencies=[Depends(public), KNOWN])
NAME: Final = "trends"
# What is published changes when a period closes: once a day at most.
_HEADERS: Final = {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
Kind = Annotated[
    Literal["day", "week", "month"] | None,
    Query(description="Only periods of this length.", examples=["week"]),
]


@dataclass(frozen=True)
class Trend:
    """A published table: its period column, what else tells rows apart, its measures."""

    relation: str
    period: str
    classes: tuple[str, ...]
    measures: tuple[Column, ...]

    @property
    def table(self) -> Table:
        told = (Column(name) for name in self.classes)
        return Table(NAME, (Column(self.period, "day"), *told, *self.measures))

    @property
    def statement(self) -> sql.Composed:
        period = sql.Identifier(self.period)
        order = sql.SQL(", ").join([period, *map(sql.Identifier, self.classes)])
        after = sql.SQL(", ").join(sql.Placeholder(f"after{n}") for n in range(self.length))
        where: list[sql.Composable] = [
            sql.SQL("(%(first)s::date is null or {} >= %(first)s)").format(period),
            sql.SQL("(%(last)s::date is null or {} <= %(last)s)").format(period),
            sql.SQL("(%(after0)s::date is null or ({}) > ({}))").format(order, after),
        ]
        if "period_kind" in self.classes:
            where.append(sql.SQL("(%(kind)s::text is null or period_kind = %(kind)s)"))
        return sql.SQL(
            "select {columns}\nfrom {table}\nwhere\n    {where}\norder by {order}\nlimit %(rows)s"
        ).format(
            columns=sql.SQL(", ").join(sql.Identifier(c.name) for c in self.table.columns),
            table=sql.Identifier("published", self.relation),
            where=conditions(where),
            order=order,
        )

    @property
    def length(self) -> int:
        return 1 + len(self.classes)


AI_TRENDS: Final = Trend(
    "ai_usage_trends",
    "week",
    (),
    (Column("avg_ai_percentage", "number"), Column("analyses_count", "integer")),
)
ARCHETYPES: Final = Trend(
    "archetype_distribution",
    "period",
    ("archetype",),
    (Column("count", "integer"), Column("avg_ai_score", "number")),
)
_PEOPLE: Final = (Column("n_people", "integer"),)
EVENTS: Final = Trend(
    "event_trends", "period", ("period_kind", "event_category", "event_type"), _PEOPLE
)
INSTALLS: Final = Trend("install_trends", "period", ("period_kind", "server_id"), _PEOPLE)
SEARCHES: Final = Trend("search_trends", "period", ("period_kind", "query"), _PEOPLE)


class Page(BaseModel):
    """Oldest first. ``next`` is the cursor of the following page, null on the last."""

    limit: int
    next: str | None


class AiTrend(BaseModel):
    """The people analysed in one ISO week, named by its Monday; no mean where few are alike."""

    week: date
    avg_ai_percentage: float | None
    analyses_count: int


class AiTrends(Page):
    trends: list[AiTrend]


class ArchetypeTrend(BaseModel):
    """The people of one archetype in one month, named by its first day."""

    period: date
    archetype: str
    count: int
    avg_ai_score: float | None


class ArchetypeTrends(Page):
    trends: list[ArchetypeTrend]


class EventTrend(BaseModel):
    """The people who did this most often in the period; `any` stands for several, pooled."""

    period: date
    period_kind: str
    event_category: str
    event_type: str
    n_people: int


class EventTrends(Page):
    trends: list[EventTrend]


class InstallTrend(BaseModel):
    """The people who installed this server most often in the period."""

    period: date
    period_kind: str
    server_id: str
    n_people: int


class InstallTrends(Page):
    trends: list[InstallTrend]


class SearchTrend(BaseModel):
    """The people who searched for this most often in the period."""

    period: date
    period_kind: str
    query: str
    n_people: int


class SearchTrends(Page):
    trends: list[SearchTrend]


@dataclass(frozen=True)
class _Asked:
    """What a request wants of a trend; a day or kind that is None leaves rows unfiltered."""

    first: date | None
    last: date | None
    kind: str | None
    limit: int
    cursor: str | None
    form: Literal["json", "csv", "parquet"] | None


def _asked(
    start_date: StartDate = None,
    end_date: EndDate = None,
    limit: RowLimit = 1_000,
    cursor: Cursor = None,
    format: Format = None,  # noqa: A002 (the parameter's name)
) -> _Asked:
    if start_date is not None and end_date is not None and start_date > end_date:
        raise invalid_parameter("start_date", "must not lie after end_date")
    return _Asked(start_date, end_date, None, limit, cursor, format)


Asked = Annotated[_Asked, Depends(_asked)]


def _asked_of_a_kind(asked: Asked, period_kind: Kind = None) -> _Asked:
    return replace(asked, kind=period_kind)


AskedOfAKind = Annotated[_Asked, Depends(_asked_of_a_kind)]


def _operation(model: type[Page], **row: Any) -> dict[str, Any]:
    example = {"limit": 1000, "next": None, NAME: [row]}
    return {
        "response_model": model,
        "responses": {**described(NAME, example), **UNCHANGED, **responses(*QUERY_PROBLEMS)},
    }


@router.get(
    "/api/v1/insights/ai-trends",
    **_operation(AiTrends, week="2026-05-04", avg_ai_percentage=41.25, analyses_count=52),
)
async def ai_trends(request: Request, asked: Asked) -> Response:
    """AI share of the people analysed, by ISO week."""
    return await _answer(request, AI_TRENDS, asked)


@router.get(
    "/api/v1/insights/archetypes",
    **_operation(
        ArchetypeTrends, period="2026-05-01", archetype="explorer", count=18, avg_ai_score=45.5
    ),
)
async def archetypes(request: Request, asked: Asked) -> Response:
    """Archetypes of the people analysed, by month."""
    return await _answer(request, ARCHETYPES, asked)


@router.get(
    "/api/v1/insights/events",
    **_operation(
        EventTrends,
        period="2026-05-04",
        period_kind="week",
        event_category="transaction",
        event_type="project.created",
        n_people=31,
    ),
)
async def event_trends(request: Request, asked: AskedOfAKind) -> Response:
    """What people did most, by day, week and month."""
    return await _answer(request, EVENTS, asked)


@router.get(
    "/api/v1/insights/installs",
    **_operation(
        InstallTrends,
        period="2026-05-04",
        period_kind="week",
        server_id="weather",
        n_people=14,
    ),
)
async def install_trends(request: Request, asked: AskedOfAKind) -> Response:
    """Which servers people installed most, by week and month."""
    return await _answer(request, INSTALLS, asked)


@router.get(
    "/api/v1/insights/searches",
    **_operation(
        SearchTrends,
        period="2026-05-04",
        period_kind="week",
        query="postgres",
        n_people=14,
    ),
)
async def search_trends(request: Request, asked: AskedOfAKind) -> Response:
    """What people searched the registry for most, by week and month."""
    return await _answer(request, SEARCHES, asked)


async def _answer(request: Request, trend: Trend, asked: _Asked) -> Response:
    services: Services = request.app.state.services
    form = form_of(request, asked.form)
    query = fingerprint(trend.relation, asked.first, asked.last, asked.kind)
    after: list[Any] = [None] * trend.length
    if asked.cursor is not None:
        moment, *names = read_cursor(asked.cursor, query, trend.length)
        after = [moment_of(moment).date(), *map(str, names)]
    rows = await rows_of(
        services,
        trend.statement,
        {
            "first": asked.first,
            "last": asked.last,
            "kind": asked.kind,
            "rows": asked.limit + 1,
            **{f"after{n}": value for n, value in enumerate(after)},
        },
    )
    following = None
    if len(rows) > asked.limit:
        rows = rows[: asked.limit]
        following = write_cursor(query, *rows[-1][: trend.length])
    about = {"limit": asked.limit, "next": following}
    return whole(request, form, trend.table, rows, about, _HEADERS)
