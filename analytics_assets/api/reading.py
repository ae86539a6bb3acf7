"""What all queries share: their parameters, cursors, and reading rows through the query pool.

Belongs here: parameters that mean the same everywhere, and how the store's refusals are told. Does
not: forms of answers (formats.py) and single queries. Invariant: values reach Postgres as
parameters only, a parameter nobody knows is refused, and a cursor continues only its own query.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import parse_qsl

import psycopg
from fastapi import Depends, Query, Request
from fastapi.dependencies.models import Dependant
from psycopg import sql
from pydantic import AfterValidator, BeforeValidator, Field

from analytics_assets.api.problems import Problem, invalid_parameter, responses

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

MOST_ROWS: Final = 10_000
_DATE: Final = re.compile(r"(19[7-9]|2[0-9]{2})[0-9]-[0-9]{2}-[0-9]{2}")
_LONGEST_CURSOR: Final = 2_000


def _only_a_date(value: object) -> object:
    """A number or a time would be guessed at; only YYYY-MM-DD is a date."""
    if isinstance(value, str) and not _DATE.fullmatch(value):
        raise ValueError("must be a date such as 2026-06-01")
    return value


def _storable(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not hold a NUL")
    return value


Day = Annotated[date, BeforeValidator(_only_a_date)]
Words = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_storable)]
StartDate = Annotated[Day | None, Query(description="First day.", examples=["2026-05-01"])]
EndDate = Annotated[
    Day | None, Query(description="Last day, which is included.", examples=["2026-05-31"])
]
EventTypes = Annotated[
    list[Words] | None,
    Query(
        description="Only these types: the parameter several times, or one list with commas.",
        max_length=100,
        examples=[["project.created", "proposal.submitted"]],
    ),
]
EventCategory = Annotated[
    Words | None, Query(description="Only this category.", examples=["transaction"])
]
Cursor = Annotated[
    str | None,
    Query(description="`next` of the page before.", max_length=_LONGEST_CURSOR),
]
Format = Annotated[
    Literal["json", "csv", "parquet"] | None,
    Query(description="Form of the answer, before what `Accept` says.", examples=["csv"]),
]
RowLimit = Annotated[
    int, Query(ge=1, le=MOST_ROWS, description="Most rows in the answer.", examples=[100])
]
QUERY_PROBLEMS: Final = (
    "invalid_parameter",
    "not_acceptable",
    "rate_limited",
    "store_unavailable",
    "query_timeout",
    "not_built",
    "https_required",
)
KEY_PROBLEMS: Final = (
    "missing_key",
    "invalid_key",
    "expired_key",
    "revoked_key",
    "insufficient_scope",
    "origin_not_allowed",
)
REFUSED: Final = responses(*QUERY_PROBLEMS, *KEY_PROBLEMS)


async def known_parameters(request: Request) -> None:
    """A dependency: refuse a parameter the route does not have.

    A misspelt filter would otherwise answer with everybody's rows.
    """
    known = set(_names_of(request.scope["route"].dependant))
    given = parse_qsl(request.url.query, keep_blank_values=True)
    for name, _ in given:
        if name not in known:
            raise invalid_parameter(
                "query", f"a parameter is not known here; there are {', '.join(sorted(known))}"
            )


def _names_of(dependant: Dependant) -> Iterator[str]:
    """Names of the query's parameters, those of dependencies too."""
    yield from (field.alias for field in dependant.query_params)
    for further in dependant.dependencies:
        yield from _names_of(further)


KNOWN: Final = Depends(known_parameters)


def types_of(given: list[str] | None) -> list[str] | None:
    """Event types, whether sent one by one or with commas. Raises Problem."""
    if given is None:
        return None
    types = list(dict.fromkeys(t.strip() for part in given for t in part.split(",") if t.strip()))
    if not types:
        raise invalid_parameter("event_types", "name at least one type, or leave it out")
    return types


@dataclass(frozen=True)
class Days:
    """Days from first to last, both included."""

    first: date
    last: date

    @property
    def count(self) -> int:
        return (self.last - self.first).days + 1


def days_of(start: date | None, end: date | None, *, today: date, default: int) -> Days:
    """The range asked for; ``default`` days up to today where it is not. Raises Problem."""
    last = end or max(today, start or today)
    first = start or last - timedelta(days=default - 1)
    if first > last:
        raise invalid_parameter("start_date", "must not lie after end_date")
    return Days(first, last)


def today_of(services: Services) -> date:
    """The platform's UTC day."""
    return services.settings.now().astimezone(UTC).date()


# --- cursors --------------------------------------------------------------------------------------


def fingerprint(*filters: object) -> str:
    """What a cursor belongs to: the query without its limit and form."""
    return hashlib.sha256(repr(filters).encode()).hexdigest()[:12]


def write_cursor(query: str, *values: object) -> str:
    """Where the next page of ``query`` begins."""
    plain = [query, *(v if isinstance(v, int) or v is None else str(v) for v in values)]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def read_cursor(cursor: str, query: str, length: int) -> list[Any]:
    """The values of a cursor of ``query``. Raises Problem."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = json.loads(base64.b64decode(padded.encode(), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        values = None
    if (
        not isinstance(values, list)
        or len(values) != length + 1
        or values[0] != query
        or any(isinstance(value, str) and "\0" in value for value in values)
    ):
        raise wrong_cursor()
    return values[1:]


def wrong_cursor() -> Problem:
    return invalid_parameter(
        "cursor",
        "take it from `next` of the page before, and leave the other parameters as they were",
    )


def moment_of(value: object) -> datetime:
    """A time of a cursor. Raises Problem."""
    try:
        moment = datetime.fromisoformat(str(value))
        return moment if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise wrong_cursor() from None


# --- rows -----------------------------------------------------------------------------------------


@asynccontextmanager
async def connected(services: Services) -> AsyncIterator[Any]:
    """A connection that only reads, each statement within ``STATEMENT_SECONDS``.

    Raises Problem ``not_built`` where a table is not there yet.
    """
    try:
        async with services.queries.connection() as connection:
            yield connection
    except psycopg.errors.UndefinedTable:
        raise Problem(
            "not_built",
            "no run has built the marts yet; the first one does, or `analytics-assets run`",
        ) from None


async def rows_of(
    services: Services, statement: sql.Composable, parameters: dict[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """Rows of one statement, planned for its own parameters: days decide its partitions."""
    async with connected(services) as connection:
        cursor = await connection.execute(statement, parameters, prepare=False)
        found: list[tuple[Any, ...]] = await cursor.fetchall()
    return found


def conditions(found: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL("\n    and ").join(found)
