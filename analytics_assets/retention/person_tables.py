"""Which tables hold rows about people, and which of their rows and partitions are past their time.

Belongs here: the list of tables and reading the database's own catalog. Does not: cut-offs (see
policy.py) or dropping anything (see prune.py). Invariant: what a partition holds is read from its
bounds, never from its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.retention.policy import RAW_TABLE_RETENTION, Expiry
from analytics_assets.store.database import qualified
from analytics_assets.windows import Window

EVENTS: Final = "raw.platform_events"


@dataclass(frozen=True)
class PersonTable:
    """A table with rows about people. ``follows`` is its retention class, or None where every row
    names its own in ``event_category``.
    """

    name: str
    day_column: str = "day"
    follows: str | None = None


RAW_TABLES: Final = (
    PersonTable(EVENTS),
    *(
        PersonTable(f"raw.{name}", "received_day" if name == "rejected_events" else "day", name)
        for name in RAW_TABLE_RETENTION
    ),
)
# Built from raw, row by row about a person, and pruned with what they were built from. Counts that
# keep nobody apart (event_aggregations, daily_metrics, server_installs, search_usage, ...) are not
# here: they outlive raw.
DERIVED_TABLES: Final = (
    PersonTable("marts.int_profile_days", follows="analytics"),
    PersonTable("marts.int_subject_days"),
    PersonTable("marts.int_subject_installs", follows="registry"),
    PersonTable("marts.int_subject_searches", follows="registry"),
    PersonTable("marts.int_user_hours"),
    PersonTable("marts.user_days"),
    PersonTable("insights.user_activity", follows="messages"),
    PersonTable("insights.conversation_facets", follows="messages"),
    PersonTable("insights.analysis_cache", "analysis_date", "messages"),
    PersonTable("insights.payment_signals", follows="messages"),
    PersonTable("insights.return_predictions", "as_of_day", "messages"),
    PersonTable("insights.facet_vectors", follows="messages"),
    PersonTable("insights.segments", "month", "messages"),
)


@dataclass(frozen=True)
class Partition:
    """A leaf partition; ``window`` is None where its bounds are not plain days."""

    oid: int
    schema: str
    name: str
    parent_schema: str
    parent_name: str
    retention_class: str | None
    window: Window | None

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    @property
    def parent(self) -> sql.Identifier:
        return sql.Identifier(self.parent_schema, self.parent_name)


_PARTITIONS = """
with leaves as (
    select
        leaf.oid,
        leaf_schema.nspname as schema,
        leaf.relname as name,
        parent_schema.nspname as parent_schema,
        parent.relname as parent_name,
        pg_get_expr(parent.relpartbound, parent.oid) as parent_bound,
        regexp_match(
            pg_get_expr(leaf.relpartbound, leaf.oid),
            $$^FOR VALUES FROM \\('([^',]+)'\\) TO \\('([^',]+)'\\)$$
        ) as days
    from pg_partition_tree(%s::regclass) as tree
    join pg_class as leaf on leaf.oid = tree.relid and leaf.relkind = 'r'
    join pg_namespace as leaf_schema on leaf_schema.oid = leaf.relnamespace
    join pg_class as parent on parent.oid = tree.parentrelid
    join pg_namespace as parent_schema on parent_schema.oid = parent.relnamespace
)

select
    oid,
    schema,
    name,
    parent_schema,
    parent_name,
    replace(
        (regexp_match(parent_bound, $$^FOR VALUES IN \\('((?:[^']|'')*)'\\)$$))[1], $$''$$, $$'$$
    ),
    days[1]::date,
    days[2]::date
from leaves
order by schema, name
"""


def partitions(connection: psycopg.Connection[Any], table: PersonTable) -> list[Partition]:
    """All leaf partitions of a raw table."""
    return [
        Partition(
            oid=oid,
            schema=schema,
            name=name,
            parent_schema=parent_schema,
            parent_name=parent_name,
            retention_class=table.follows or category,
            window=Window(first, after) if first and after else None,
        )
        for oid, schema, name, parent_schema, parent_name, category, first, after in (
            connection.execute(_PARTITIONS, [table.name]).fetchall()
        )
    ]


def is_table(connection: psycopg.Connection[Any], table: PersonTable) -> bool:
    """Whether the table is there: dbt makes some on its first run."""
    row = connection.execute(
        "select 1 from pg_class where oid = to_regclass(%s) and relkind in ('r', 'p')",
        [table.name],
    ).fetchone()
    return row is not None


def past(table: PersonTable, expiry: Expiry) -> tuple[sql.Composed, list[Any]]:
    """A condition on the table's rows that are past their time, with its parameters."""
    day = sql.Identifier(table.day_column)
    condition = sql.SQL("{day} < %s").format(day=day)
    parameters: list[Any] = [expiry.cutoff]
    if expiry.released_days:
        condition = sql.SQL("({} or {} = any(%s))").format(condition, day)
        parameters.append(sorted(expiry.released_days))
    if table.follows is None:
        condition = sql.SQL("event_category = %s and {}").format(condition)
        parameters.insert(0, expiry.name)
    return condition, parameters


def count_past(connection: psycopg.Connection[Any], table: PersonTable, expiry: Expiry) -> int:
    """Rows of the class that are past their time and still there."""
    condition, parameters = past(table, expiry)
    return count(
        connection.execute(
            sql.SQL("select count(*) from {} where {}").format(qualified(table.name), condition),
            parameters,
        )
    )


def count(cursor: psycopg.Cursor[Any]) -> int:
    """Read the one number of a counting query."""
    (number,) = cursor.fetchone() or (0,)
    return int(number)


def classes_of(table: PersonTable, expiries: dict[str, Expiry]) -> list[Expiry]:
    """The expiries that apply to the table's rows."""
    if table.follows is not None:
        return [expiries[table.follows]]
    return [expiry for name, expiry in expiries.items() if name not in RAW_TABLE_RETENTION]


def unclassified(connection: psycopg.Connection[Any], expiries: dict[str, Expiry]) -> list[str]:
    """Categories that have event partitions but stand in no catalogue file."""
    (events,) = (table for table in RAW_TABLES if table.name == EVENTS)
    found = {partition.retention_class for partition in partitions(connection, events)}
    return sorted(name or "(unnamed)" for name in found if name not in expiries)
