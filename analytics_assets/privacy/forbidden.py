"""The guard over what may not stand in ``anonymous`` and ``published``.

Belongs here: types of columns that are refused, and scanning what is stored. Does not: names that
are refused (column_names.py) or recognising a value, which is one SQL function
(``vault.forbidden_values`` in store/sql/release_guard.sql) that the release and its trigger use
too. Invariant: a finding never holds the
value it found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from analytics_assets.privacy.column_names import is_forbidden_name
from analytics_assets.privacy.plan_store import current_entries

RELEASED_SCHEMAS = ("anonymous", "published")

# Whatever is not here could carry more than a bucket, a label, a count or a day.
ALLOWED_TYPES = frozenset({"date", "int2", "int4", "int8", "numeric", "float8", "bool", "text"})
TEXT_TYPES = frozenset({"text", "varchar", "bpchar", "name", "citext"})
_COLUMNS = """
    select namespace.nspname, class.relname, attribute.attname, type.typname,
           has_column_privilege(class.oid, attribute.attnum, 'select')
    from pg_attribute as attribute
    join pg_class as class on class.oid = attribute.attrelid
    join pg_namespace as namespace on namespace.oid = class.relnamespace
    join pg_type as type on type.oid = attribute.atttypid
    where namespace.nspname = any (%(schemas)s)
        and class.relkind in ('r', 'p', 'v', 'm', 'f')
        and attribute.attnum > 0
        and not attribute.attisdropped
    order by 1, 2, attribute.attnum
"""


@dataclass(frozen=True)
class Finding:
    """A column that must not be there, or that holds what must not: where, and why."""

    schema: str
    table: str
    column: str
    reason: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}.{self.column}: {self.reason}"


def scan(
    connection: psycopg.Connection[Any],
    schemas: Sequence[str] = RELEASED_SCHEMAS,
    *,
    tables: Iterable[tuple[str, str]] | None = None,
) -> list[Finding]:
    """Every column of the schemas (or of the tables alone) that is refused, and why.

    By name, by type, by standing outside the planned columns, and by the values of text columns.
    """
    planned, random_ids = _planned_columns(connection)
    wanted = None if tables is None else set(tables)
    if wanted is not None:
        schemas = sorted({schema for schema, _ in wanted})
    findings: list[Finding] = []
    for schema, table, column, kind, readable in connection.execute(
        _COLUMNS, {"schemas": list(schemas)}
    ).fetchall():
        if wanted is not None and (schema, table) not in wanted:
            continue
        where = f"{schema}.{table}"
        reasons: list[str] = []
        if is_forbidden_name(column):
            reasons.append("forbidden column name")
        if kind not in ALLOWED_TYPES and (where, column) not in random_ids:
            reasons.append(f"type {kind} may not be released")
        if column not in planned.get(where, ()):
            reasons.append("column is not planned")
        if kind in TEXT_TYPES and readable:
            reasons += _forbidden_values(connection, schema, table, column)
        findings += [Finding(schema, table, column, reason) for reason in reasons]
    return findings


def _planned_columns(
    connection: psycopg.Connection[Any],
) -> tuple[dict[str, set[str]], set[tuple[str, str]]]:
    """Columns of every planned table, and the identifiers that may leave: random, one a row."""
    planned: dict[str, set[str]] = {}
    random_ids = set()
    for name, entry in current_entries(connection).items():
        planned[name] = set(entry["columns"])
        if entry["count_column"] is None:
            random_ids.add((name, "id"))
        if entry["monthly"]:
            shown = {column["name"] for column in entry["dimensions"] if not column["mean"]}
            planned[entry["monthly"]] = {"month", "released"} | shown
    return planned, random_ids


def _forbidden_values(
    connection: psycopg.Connection[Any], schema: str, table: str, column: str
) -> list[str]:
    found = connection.execute(
        sql.SQL(
            "select distinct reason from vault.forbidden_values("
            "array(select distinct {column}::text from {table})) order by 1"
        ).format(column=sql.Identifier(column), table=sql.Identifier(schema, table))
    ).fetchall()
    return [f"holds {reason}" for (reason,) in found]
