"""A person removed from every zone that holds personal rows, and counted again to be sure.

Belongs here: which rows are a person's, deleting and re-counting them. Does not: released counts,
which name nobody and stay as they are, nor archives and warehouses. Invariant: a table with a
column of PERSON_COLUMNS is covered by having it; nothing here is ever logged by value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.store import dirty_days

ZONES: Final = ("inbox", "raw", "vault", "marts", "insights")
PERSON_COLUMNS: Final = ("user_id", "subject")
# Records as they were sent, with the person somewhere in them.
PAYLOADS: Final = (("inbox", "entries"), ("raw", "rejected_events"))
_TABLES: Final = """
    select namespace.nspname, class.relname, array_agg(attribute.attname::text order by 1)
    from pg_class as class
    join pg_namespace as namespace on namespace.oid = class.relnamespace
    join pg_attribute as attribute on attribute.attrelid = class.oid
    where namespace.nspname = any (%s)
        and class.relkind in ('r', 'p')
        and not class.relispartition
        and attribute.attname = any (%s)
        and not attribute.attisdropped
    group by 1, 2
    order by 1, 2
"""


class PersonUnknown(Exception):
    """No table knows the person; the message says what was looked for."""


@dataclass
class Erasure:
    """Rows deleted and rows left, by table; ``days`` must be rebuilt."""

    accounts: int
    deleted: dict[str, int] = field(default_factory=dict)
    survivors: dict[str, int] = field(default_factory=dict)
    days: int = 0

    @property
    def complete(self) -> bool:
        return not self.survivors


def erase(connection: psycopg.Connection[Any], person: str) -> Erasure:
    """Delete all rows of a person: of the user id or subject given, and all accounts of the same.

    One transaction, committed here; then everything is counted again. Days that had rows become
    dirty, so that counts made from them are made again. Raises PersonUnknown when there is nobody.
    """
    with connection.transaction():
        accounts = _accounts(connection, person)
        erasure = Erasure(len(accounts))
        covered = _covered(connection)
        days = set()
        for schema, table, columns in covered:
            condition = _is_person(table, schema, columns)
            if schema == "raw" and table not in ("users", "rejected_events"):
                days |= {
                    day
                    for (day,) in connection.execute(
                        sql.SQL("select distinct day from {} where {}").format(
                            sql.Identifier(schema, table), condition
                        ),
                        {"accounts": accounts},
                    )
                }
            rows = connection.execute(
                sql.SQL("delete from {} where {}").format(sql.Identifier(schema, table), condition),
                {"accounts": accounts},
            ).rowcount
            if rows:
                erasure.deleted[f"{schema}.{table}"] = rows
        if not erasure.deleted:
            raise PersonUnknown(
                "nobody has that user id or subject: give it as the source declares it. "
                "Nothing was deleted"
            )
        dirty_days.mark(connection, days, "deletion")
        erasure.days = len(days)
    for schema, table, columns in covered:
        row = connection.execute(
            sql.SQL("select count(*) from {} where {}").format(
                sql.Identifier(schema, table), _is_person(table, schema, columns)
            ),
            {"accounts": accounts},
        ).fetchone()
        if row and row[0]:
            erasure.survivors[f"{schema}.{table}"] = row[0]
    return erasure


def _accounts(connection: psycopg.Connection[Any], person: str) -> list[str]:
    """The person's user ids and subjects, over all the history knows."""
    rows = connection.execute(
        """
        with recursive same (name) as (
            select %s::text
            union
            select unnest(array[users.user_id, coalesce(users.subject, users.user_id)])
            from same
            join raw.users on same.name in (users.user_id, users.subject)
        )
        select name from same order by 1
        """,
        [person],
    ).fetchall()
    return [name for (name,) in rows]


def _covered(connection: psycopg.Connection[Any]) -> list[tuple[str, str, list[str]]]:
    by_column: dict[tuple[str, str], list[str]] = {
        (schema, table): columns
        for schema, table, columns in connection.execute(
            _TABLES, [list(ZONES), list(PERSON_COLUMNS)]
        )
    }
    for place in PAYLOADS:
        by_column.setdefault(place, [])
    # Messages before the conversations by which they are found.
    places = sorted(by_column, key=lambda place: (place[0], place[1] != "messages", place[1]))
    return [(schema, table, by_column[schema, table]) for schema, table in places]


def _is_person(table: str, schema: str, columns: list[str]) -> sql.Composed:
    conditions: list[sql.Composable] = [
        sql.SQL("{} = any (%(accounts)s)").format(sql.Identifier(column)) for column in columns
    ]
    if (schema, table) in PAYLOADS:
        conditions += [
            sql.SQL("payload ->> {} = any (%(accounts)s)").format(sql.Literal(column))
            for column in PERSON_COLUMNS
        ]
    if (schema, table) == ("raw", "messages"):
        # Answers to the person, which name nobody.
        conditions.append(
            sql.SQL(
                "conversation_id in (select conversation_id from raw.conversations"
                " where user_id = any (%(accounts)s) or subject = any (%(accounts)s))"
            )
        )
    return sql.SQL(" or ").join(conditions)
