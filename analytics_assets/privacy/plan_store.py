"""The plan in the database: its versions, and the tables it names.

Belongs here: ``ops.release_plan``, making and guarding released tables. Does not: what a plan is
(plan.py) or releasing. Invariant: only the owner's role writes here, so that nothing that releases
can widen what may be released.
"""

from __future__ import annotations

from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from analytics_assets.privacy.plan import PlanError, PlannedTable, ReleasePlan
from analytics_assets.store.database import qualified

RELEASE_OWNER = sql.Identifier("release_owner")
_CURRENT = """
    select distinct on (release_table) release_table, version, entry
    from ops.release_plan
    where retired_at is null
    order by release_table, version desc
"""
_COLUMNS = """
    select attname, format_type(atttypid, null)
    from pg_attribute
    where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
    order by attnum
"""
# As grants.sql gives them for the tables that migrations make.
_GRANTS: Final[tuple[LiteralString, ...]] = (
    "grant select on {} to analytics_reader, analytics_analyst, analytics_api",
    "grant select, insert on {} to analytics_pipeline",
    "grant select, delete on {} to analytics_retention",
)


def current_entries(connection: psycopg.Connection[Any]) -> dict[str, dict[str, Any]]:
    """The entry of every table that is released at present, by name."""
    return {name: entry for name, _, entry in connection.execute(_CURRENT).fetchall()}


def is_applied(connection: psycopg.Connection[Any], plan: ReleasePlan) -> bool:
    """Whether the database releases by exactly this plan."""
    return current_entries(connection) == {
        table.name: table.entry() for table in plan.tables.values()
    }


def apply_plan(connection: psycopg.Connection[Any], plan: ReleasePlan) -> None:
    """Make and guard the plan's tables, and keep what changed as new versions, as the owner.

    A version holds for the periods that are still open. A table that is gone from the plan is
    released no more; its rows stay. Raises PlanError where a table that stands has other columns.
    The caller commits.
    """
    connection.execute("select pg_advisory_xact_lock(hashtextextended('ops.release_plan', 0))")
    problems = []
    for table in plan.tables.values():
        stands = connection.execute(_COLUMNS, [table.name]).fetchall()
        if not stands:
            _make(connection, table)
        elif dict(stands) != table.column_types:
            problems.append(_differs(table, dict(stands)))
            continue
        _guard(connection, table)
    if problems:
        raise PlanError(problems)
    current = {
        name: (version, entry) for name, version, entry in connection.execute(_CURRENT).fetchall()
    }
    for table in plan.tables.values():
        entry = table.entry()
        if table.name not in current or current[table.name][1] != entry:
            connection.execute(
                """
                insert into ops.release_plan (release_table, version, entry, places)
                select %(table)s, coalesce(max(version), 0) + 1, %(entry)s, %(places)s
                from ops.release_plan where release_table = %(table)s
                """,
                {
                    "table": table.name,
                    "entry": Jsonb(entry),
                    "places": Jsonb(table.places()),
                },
            )
        else:
            connection.execute(
                "update ops.release_plan set places = %s where release_table = %s and version = %s",
                [Jsonb(table.places()), table.name, current[table.name][0]],
            )
    connection.execute(
        """
        update ops.release_plan set retired_at = now()
        where retired_at is null and not release_table = any (%s)
        """,
        [list(plan.tables)],
    )


def _make(connection: psycopg.Connection[Any], table: PlannedTable) -> None:
    columns = []
    for name, kind in table.column_types.items():
        required = kind in ("date", "text") or name == table.count_column
        columns.append(
            sql.SQL("{} {}{}{}").format(
                sql.Identifier(name),
                sql.SQL(kind),
                sql.SQL(" not null" if required else ""),
                sql.SQL(" not null default gen_random_uuid()" if kind == "uuid" else ""),
            )
        )
    if table.count_column:
        columns.append(
            sql.SQL("constraint floor check ({} > 10)").format(sql.Identifier(table.count_column))
        )
        key = [
            table.period_column,
            *filter(None, [table.kind_column]),
            *(dimension.name for dimension in table.shown),
        ]
        columns.append(
            sql.SQL("unique nulls not distinct ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, key))
            )
        )
    target = qualified(table.name)
    connection.execute(sql.SQL("set local role {}").format(RELEASE_OWNER))
    connection.execute(sql.SQL("create table {} ({})").format(target, sql.SQL(", ").join(columns)))
    connection.execute(
        sql.SQL("comment on table {} is {}").format(target, sql.Literal(table.description))
    )
    for grant in _GRANTS:
        connection.execute(sql.SQL(grant).format(target))
    connection.execute("reset role")


def _guard(connection: psycopg.Connection[Any], table: PlannedTable) -> None:
    target = qualified(table.name)
    connection.execute(sql.SQL("set local role {}").format(RELEASE_OWNER))
    connection.execute(
        sql.SQL(
            "create or replace trigger guard_release after insert on {} "
            "referencing new table as new_rows "
            "for each statement execute function vault.guard_release()"
        ).format(target)
    )
    if table.count_column:
        # Before the CHECK, whose message would print the row.
        connection.execute(
            sql.SQL(
                "create or replace trigger refuse_small_class before insert on {table} "
                "for each row when (new.{people} is null or new.{people} <= 10) "
                "execute function vault.refuse('a class has 10 people or fewer')"
            ).format(table=target, people=sql.Identifier(table.count_column))
        )
    connection.execute("reset role")


def _differs(table: PlannedTable, stands: dict[str, str]) -> str:
    return (
        f"{table.place}: {table.name} stands with the columns {_listed(stands)}; the plan says "
        f"{_listed(table.column_types)}. A released table is never rebuilt: give the new shape a "
        "name of its own"
    )


def _listed(columns: dict[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())
