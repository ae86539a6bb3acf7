"""What was released, checked against the floor and the ledger.

Belongs here: re-counting what stands in ``anonymous`` and ``published``. Does not: the rule
(dbt/macros/release.sql) or the refusal of an insert (store/sql/release_guard.sql). Invariant:
a violation names tables and kinds of periods, never a value or a count of people.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from analytics_assets.privacy.plan import FLOOR
from analytics_assets.privacy.plan_store import current_entries
from analytics_assets.store.database import qualified

# Retention deletes whole periods, the oldest first: a period may be gone, but not while an older
# one of its kind is there. Rows of a table that does not name the kind of their period are of the
# kind that the ledger has released for it.
_CHECK = sql.SQL("""
    with ledger as (
        select * from ops.release_ledger where release_table = {name}
    ),
    counted as (
        select {period} as period, {kind} as kind, {columns}, {people} as people
        from {table}
        group by {period}, 2 {grouped}
    ),
    classes as (
        select
            coalesce(
                kind,
                (
                    select period_kind from ledger
                    where ledger.period = counted.period and ledger.state = 'closed'
                ),
                {first_kind}
            ) as period_kind,
            period,
            people,
            concat_ws('|', {told}, people) as told
        from counted
    ),
    periods as (
        select
            period_kind, period, count(*) as classes, sum(people) as people,
            encode(sha256(convert_to(
                string_agg(told, e'\\n' order by told collate "C"), 'UTF8'
            )), 'hex') as rows_sha256
        from classes
        group by period_kind, period
    ),
    oldest as (
        select period_kind, min(period) as period from periods group by period_kind
    ),
    violations (period_kind, what) as (
        select period_kind, 'classes under the floor' from classes where people <= {floor}
        union all
        select periods.period_kind, 'periods with rows that the ledger does not call closed'
        from periods
        left join ledger using (period_kind, period)
        where ledger.state is distinct from 'closed'
        union all
        select periods.period_kind, 'periods that differ from the ledger'
        from periods
        join ledger using (period_kind, period)
        where ledger.state = 'closed'
            and (
                (ledger.released_classes, ledger.released_people)
                    is distinct from (periods.classes, periods.people)
                -- Periods closed before there was a plan have no digest.
                or ledger.rows_sha256 <> periods.rows_sha256
            )
        union all
        select ledger.period_kind, 'closed periods without rows'
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
    entries = current_entries(connection)
    if table is not None and table not in entries:
        raise ValueError(
            f"{table} is not a released table; these are: {', '.join(sorted(entries))}"
        )
    return [
        violation
        for name, entry in entries.items()
        if table in (None, name)
        for violation in _violations(connection, name, entry)
    ]


def _violations(connection: psycopg.Connection[Any], name: str, entry: dict[str, Any]) -> list[str]:
    columns = [sql.Identifier(dimension["name"]) for dimension in entry["dimensions"]]
    people, kind = entry["count_column"], entry["kind_column"]
    listed = sql.SQL(", ").join(columns)
    found = connection.execute(
        _CHECK.format(
            name=sql.Literal(name),
            table=qualified(name),
            period=sql.Identifier(entry["period_column"]),
            kind=sql.Identifier(kind) if kind else sql.SQL("null::text"),
            people=(
                sql.SQL("sum({})").format(sql.Identifier(people)) if people else sql.SQL("count(*)")
            ),
            columns=listed if columns else sql.SQL("true as everybody"),
            grouped=sql.SQL(", ").join([sql.SQL(""), *columns]),
            told=(
                sql.SQL(", ").join(
                    sql.SQL("coalesce({}::text, '-')").format(column) for column in columns
                )
                if columns
                else sql.SQL("null")
            ),
            first_kind=sql.Literal(entry["periods"][0]),
            floor=sql.Literal(FLOOR),
        )
    ).fetchall()
    return [f"{name}, {kind}: {count} {what}" for kind, what, count in found]
