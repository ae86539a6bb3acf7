"""What was released, checked against the floor and the ledger.

Belongs here: re-counting what stands in ``anonymous`` and ``published``. Does not: the rule
(dbt/macros/release.sql) or the refusal of an insert (store/sql/release_guard.sql). Invariant:
a violation names tables and kinds of periods, never a value or a count of people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

FLOOR = 10  # a class has more people than this


@dataclass(frozen=True)
class ReleasedTable:
    """Where a released table keeps period, kind and count; no count: every row is a person."""

    name: str
    period: str
    kind: str | None
    people: str | None
    dimensions: tuple[str, ...]

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(*self.name.split("."))

    @property
    def kind_expression(self) -> sql.Composable:
        return sql.Identifier("period_kind") if self.kind is None else sql.Literal(self.kind)

    @property
    def people_expression(self) -> sql.Composable:
        if self.people is None:
            return sql.SQL("count(*)")
        return sql.SQL("sum({})").format(sql.Identifier(self.people))


RELEASED_TABLES = (
    ReleasedTable(
        "anonymous.analytics_events",
        "created_at",
        "day",
        None,
        (
            "event_type",
            "archetype",
            "activity_score_bucket",
            "collab_score_bucket",
            "diversity_score_bucket",
            "ai_savviness_bucket",
            "ai_percentage_bucket",
            "top_languages",
            "tools_detected",
            "template_used",
        ),
    ),
    ReleasedTable("published.ai_usage_trends", "week", "week", "analyses_count", ()),
    ReleasedTable("published.archetype_distribution", "period", "month", "count", ("archetype",)),
    ReleasedTable(
        "published.event_trends", "period", None, "n_people", ("event_category", "event_type")
    ),
    ReleasedTable("published.install_trends", "period", None, "n_people", ("server_id",)),
    ReleasedTable("published.search_trends", "period", None, "n_people", ("query",)),
)

# Retention deletes whole periods, the oldest first: a period may be gone, but not while an older
# one of its kind is there.
_CHECK = sql.SQL("""
    with classes as (
        select {kind} as period_kind, {period} as period, {people} as people
        from {table}
        group by {columns}
    ),
    periods as (
        select period_kind, period, count(*) as classes, sum(people) as people
        from classes
        group by period_kind, period
    ),
    ledger as (
        select * from ops.release_ledger where release_table = {name}
    ),
    oldest as (
        select period_kind, min(period) as period from periods group by period_kind
    ),
    violations (period_kind, what) as (
        select period_kind, {small} from classes where people <= {floor}
        union all
        select periods.period_kind, {unledgered}
        from periods
        left join ledger using (period_kind, period)
        where ledger.state is distinct from 'closed'
        union all
        select periods.period_kind, {different}
        from periods
        join ledger using (period_kind, period)
        where ledger.state = 'closed'
            and (ledger.released_classes, ledger.released_people)
                is distinct from (periods.classes, periods.people)
        union all
        select ledger.period_kind, {missing}
        from ledger
        join oldest on oldest.period_kind = ledger.period_kind and oldest.period < ledger.period
        where ledger.state = 'closed'
            and not exists (
                select from periods
                where periods.period_kind = ledger.period_kind
                    and periods.period = ledger.period
            )
    )
    select period_kind, what, count(*) from violations group by 1, 2 order by 1, 2
""")


def k_floor_violations(connection: psycopg.Connection[Any], table: str | None = None) -> list[str]:
    """What is wrong with ``table`` (``schema.name``; all released tables if None); empty if none.

    Raises ValueError for a table that is not released.
    """
    checked = [entry for entry in RELEASED_TABLES if table in (None, entry.name)]
    if not checked:
        known = ", ".join(entry.name for entry in RELEASED_TABLES)
        raise ValueError(f"{table} is not a released table; these are: {known}")
    return [violation for entry in checked for violation in _violations(connection, entry)]


def _violations(connection: psycopg.Connection[Any], table: ReleasedTable) -> list[str]:
    columns = [table.period, *(["period_kind"] if table.kind is None else []), *table.dimensions]
    found = connection.execute(
        _CHECK.format(
            kind=table.kind_expression,
            period=sql.Identifier(table.period),
            people=table.people_expression,
            table=table.identifier,
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            name=sql.Literal(table.name),
            floor=sql.Literal(FLOOR),
            small=sql.Literal("classes under the floor"),
            unledgered=sql.Literal("periods with rows that the ledger does not call closed"),
            different=sql.Literal("periods that differ from the ledger"),
            missing=sql.Literal("closed periods without rows"),
        )
    ).fetchall()
    return [f"{table.name}, {kind}: {count} {what}" for kind, what, count in found]
