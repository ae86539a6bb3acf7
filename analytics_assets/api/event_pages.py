"""Pages of single events: a walk over days, newest first, by keys.

Belongs here: finding rows. Does not: what of an event may be shown, which the view
``marts.event_log`` says. Invariant: following ``next`` gives every event once, none twice, whatever
is loaded meanwhile with another time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from psycopg import sql

from analytics_assets.api.formats import Column, Table
from analytics_assets.api.reading import Days, conditions, fingerprint, rows_of

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

# Days looked through at once: few where events are many, more as they turn out to be few. Each day
# of each category is a partition, and a statement takes five locks for each.
_FIRST_DAYS: Final = 1
_MOST_DAYS_AT_ONCE: Final = 16
_BATCH: Final = 2_000
_KEYS: Final = 20_000
TABLE: Final = Table(
    "events",
    (
        Column("event_id"),
        Column("event_type"),
        Column("event_category"),
        Column("timestamp", "moment"),
        Column("user_id"),
        Column("user_role"),
        Column("user_tenure_days", "integer"),
        Column("session_id"),
        Column("entity_type"),
        Column("entity_id"),
        Column("event_data", "json"),
        Column("metadata", "json"),
        Column("geo_location", "json"),
        Column("device_info", "json"),
        Column("source"),
        Column("ingested_at", "moment"),
    ),
)
TIMESTAMP, EVENT_ID = 3, 0
Key = tuple[datetime, UUID]


@dataclass(frozen=True)
class Wanted:
    """Which events."""

    days: Days
    types: tuple[str, ...] | None = None
    category: str | None = None
    user_id: str | None = None
    categories: tuple[str, ...] | None = None

    @property
    def fingerprint(self) -> str:
        return fingerprint("events", self.days, self.types, self.category, self.user_id)


async def collect(
    services: Services, wanted: Wanted, after: Key | None, limit: int
) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    async for batch in walk(services, wanted, after, limit=limit):
        found += batch
    return found


async def last_key(services: Services, wanted: Wanted, after: Key | None, limit: int) -> Key | None:
    """The key of row number ``limit``, where more follow: known before a file's first byte."""
    seen = 0
    last: Key | None = None
    async for batch in walk(services, wanted, after, limit=limit + 1, keys_only=True):
        place = limit - 1 - seen
        if 0 <= place < len(batch):
            last = batch[place]
        seen += len(batch)
    return last if seen > limit else None


async def walk(
    services: Services,
    wanted: Wanted,
    after: Key | None,
    *,
    until: Key | None = None,
    limit: int | None = None,
    keys_only: bool = False,
) -> AsyncIterator[list[Any]]:
    """Batches of rows (keys where ``keys_only``), newest first: those behind ``after``, up to
    ``until`` and at most ``limit``. A connection is held for one batch at a time.
    """
    size = _KEYS if keys_only else _BATCH
    days = wanted.days
    if after is not None:
        days = replace(days, last=min(days.last, after[0].astimezone(UTC).date()))
    if until is not None:
        days = replace(days, first=max(days.first, until[0].astimezone(UTC).date()))
    for first, last in _spans(days):
        while limit is None or limit > 0:
            asked = size if limit is None else min(size, limit)
            statement, parameters = _page(wanted, first, last, after, until, keys_only=keys_only)
            found: list[Any] = await rows_of(services, statement, {**parameters, "rows": asked})
            if found:
                row = found[-1]
                after = row if keys_only else (row[TIMESTAMP], row[EVENT_ID])
                limit = None if limit is None else limit - len(found)
                yield found
            if len(found) < asked:
                break


def _spans(days: Days) -> Iterator[tuple[date, date]]:
    """The days from the last on, in spans that grow."""
    last, size = days.last, _FIRST_DAYS
    while last >= days.first:
        first = max(days.first, last - timedelta(days=size - 1))
        yield first, last
        last, size = first - timedelta(days=1), min(size * 2, _MOST_DAYS_AT_ONCE)


def _filters(
    wanted: Wanted, first: date, last: date
) -> tuple[list[sql.Composable], dict[str, Any]]:
    found: list[sql.Composable] = [sql.SQL("day >= %(first)s and day <= %(last)s")]
    if wanted.types is not None:
        found.append(sql.SQL("event_type = any(%(types)s)"))
    if wanted.category is not None:
        found.append(sql.SQL("event_category = %(category)s"))
    if wanted.categories is not None:
        found.append(sql.SQL("event_category = any(%(categories)s)"))
    if wanted.user_id is not None:
        found.append(sql.SQL("user_id = %(user_id)s"))
    return found, {
        "first": first,
        "last": last,
        "types": None if wanted.types is None else list(wanted.types),
        "category": wanted.category,
        "categories": None if wanted.categories is None else list(wanted.categories),
        "user_id": wanted.user_id,
    }


def _page(
    wanted: Wanted,
    first: date,
    last: date,
    after: Key | None,
    until: Key | None,
    *,
    keys_only: bool,
) -> tuple[sql.Composed, dict[str, Any]]:
    where, parameters = _filters(wanted, first, last)
    for name, sign, key in (("after", "<", after), ("until", ">=", until)):
        if key is not None:
            where.append(
                sql.SQL('("timestamp", event_id) {} ({}, {})').format(
                    sql.SQL(sign),
                    sql.Placeholder(f"{name}_time"),
                    sql.Placeholder(f"{name}_id"),
                )
            )
            parameters |= {f"{name}_time": key[0], f"{name}_id": key[1]}
    statement = sql.SQL(
        "select {columns}\nfrom marts.event_log\nwhere\n    {where}\n"
        'order by "timestamp" desc, event_id desc\nlimit %(rows)s'
    ).format(
        columns=sql.SQL('"timestamp", event_id') if keys_only else _COLUMNS,
        where=conditions(where),
    )
    return statement, parameters


async def overview(services: Services, wanted: Wanted, *, count: bool = True) -> tuple[Wanted, int]:
    """The categories the types occur in, so that others are not searched, and how many events."""
    where, parameters = _filters(wanted, wanted.days.first, wanted.days.last)
    if wanted.types is None and wanted.user_id is None and not count:
        return wanted, 0
    total = 0
    if wanted.types is not None or wanted.user_id is None:
        plain = [w for w, name in zip(where, _names(wanted), strict=True) if name != "user_id"]
        found = await rows_of(
            services, sql.SQL(_COUNTED).format(where=conditions(plain)), parameters
        )
        total = sum(int(rows) for _, rows in found)
        if wanted.types is not None:
            known = services.catalogue.schemas
            declared = {known[t].category for t in wanted.types if t in known}
            categories = sorted({category for category, _ in found} | declared)
            wanted = replace(wanted, categories=tuple(categories))
    if wanted.user_id is not None and count:
        total = 0
        for first, last in _spans(wanted.days):
            where, parameters = _filters(wanted, first, last)
            statement = sql.SQL("select count(*) from marts.event_log where {}")
            counted = await rows_of(services, statement.format(conditions(where)), parameters)
            total += counted[0][0]
    return wanted, total


def _names(wanted: Wanted) -> list[str]:
    given = {
        "types": wanted.types,
        "category": wanted.category,
        "categories": wanted.categories,
        "user_id": wanted.user_id,
    }
    return ["days", *(name for name, value in given.items() if value is not None)]


_COLUMNS: Final = sql.SQL(", ").join(
    sql.SQL("{}::text").format(sql.Identifier(column.name))
    if column.kind == "json"
    else sql.Identifier(column.name)
    for column in TABLE.columns
)
_COUNTED: Final = """
select event_category, sum(total_events)
from marts.event_aggregations
where
    aggregation_type = 'daily'
    and {where}
group by event_category
"""
