"""A person removed from every zone that holds personal rows, kept out, and counted again.

Belongs here: which rows are a person's, deleting and re-counting them. Does not: keeping them out
(suppression.py), released counts, which name nobody and stay as they are, nor archives and
warehouses. Invariant: the person is suppressed before the first row goes and the accounts that
belong together are forgotten last, so that an erasure broken off anywhere is completed by asking
for it again; a table with a column of PERSON_COLUMNS is covered by having it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from itertools import groupby
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.privacy.suppression import codes_of, ensure_key, is_suppressed, suppress
from analytics_assets.store import dirty_days
from analytics_assets.store.partitions import PARTITIONS_PER_TRANSACTION, event_partitions

ZONES: Final = ("inbox", "raw", "vault", "marts", "insights")
PERSON_COLUMNS: Final = ("user_id", "subject")
# Records as they were sent, with the person somewhere in them.
PAYLOADS: Final = (("inbox", "entries"), ("raw", "rejected_events"))
# Keeps its statements, under a code instead of the name.
LEDGER: Final = ("vault", "consent_ledger")
EVENTS: Final = ("raw", "platform_events")
# What finds others comes after them: the conversation after its messages, accounts at the end.
_FIRST: Final = (*PAYLOADS, ("raw", "messages"), ("raw", "service_jobs"), ("raw", "conversations"))
_LAST: Final = ("raw", "users")
_ATTEMPTS: Final = 3
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
_SAME: Final = """
    with recursive same (name) as (
        select %s::text
        union
        select unnest(array[users.user_id, coalesce(users.subject, users.user_id)])
        from same
        join raw.users on same.name in (users.user_id, users.subject)
    )
    select name from same order by 1
"""
_CONVERSATIONS: Final = """
    select conversation_id from raw.conversations
    where user_id = any (%(accounts)s) or subject = any (%(accounts)s)
    union
    select payload ->> 'conversation_id' from inbox.entries
    where kind = 'conversation'
        and array[payload ->> 'user_id', payload ->> 'subject'] && %(accounts)s
    union
    select payload ->> 'conversation_id' from raw.rejected_events
    where kind = 'conversation'
        and array[payload ->> 'user_id', payload ->> 'subject'] && %(accounts)s
"""
_BEGIN: Final = """
    insert into ops.erasure_receipts (action, codes, as_of)
    select 'erased', %(codes)s, %(at)s
    where not exists (
        select from ops.erasure_receipts
        where action = 'erased' and codes && %(codes)s and finished_at is null
    )
"""
_FINISH: Final = """
    update ops.erasure_receipts
    set finished_at = now(), complete = %(complete)s, tables_checked = %(tables)s
    where action = 'erased' and codes && %(codes)s and finished_at is null
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


@dataclass(frozen=True)
class _Part:
    """Rows of one person in one table, or in some of its partitions."""

    schema: str
    table: str
    condition: sql.Composable
    named: sql.Composable  # those of them that name the person

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table)

    @property
    def has_days(self) -> bool:
        return self.schema == "raw" and self.table not in ("users", "rejected_events")


def erase(
    connection: psycopg.Connection[Any],
    person: str,
    now: datetime | None = None,
    draw: Callable[[int], bytes] = os.urandom,
) -> Erasure:
    """Delete all rows of a person: of the user id or subject given, and all accounts of the same.

    First the person is suppressed, in a transaction of its own that waits for loads under way; then
    table after table goes in small transactions, and everything is counted again. Days that had
    rows become dirty, so that counts made from them are made again. Asking again finishes what was
    broken off, and finds nothing where nothing is left. Commits, also what the caller had not.
    Raises PersonUnknown when there is nobody and never was.
    """
    at = now or datetime.now(UTC)
    accounts = [str(name) for (name,) in connection.execute(_SAME, [person]).fetchall()]
    parts = list(_parts(connection))
    known = {"accounts": accounts}
    if not is_suppressed(connection, accounts) and not any(
        _is_there(connection, part, known) for part in parts
    ):
        raise PersonUnknown(
            "nobody has that user id or subject: give it as the source declares it. "
            "Nothing was deleted"
        )
    if not connection.autocommit:
        connection.commit()  # looking has begun a transaction, if the caller had not
    codes = _retried(connection, lambda: _keep_out(connection, accounts, at, draw))
    erasure = Erasure(len(accounts))
    days: set[date] = set()
    for part in parts:
        rows, theirs = _retried(connection, partial(_delete, connection, part, known))
        if rows:
            erasure.deleted[part.name] = erasure.deleted.get(part.name, 0) + rows
        days |= theirs
    erasure.days = len(days)
    for part in parts:
        left = _count(connection, part, known)
        if left:
            erasure.survivors[part.name] = erasure.survivors.get(part.name, 0) + left
    connection.execute(
        _FINISH,
        {
            "complete": erasure.complete,
            "codes": codes,
            "tables": sorted({part.name for part in parts}),
        },
    )
    if not connection.autocommit:
        connection.commit()
    return erasure


def _retried(connection: psycopg.Connection[Any], work: Callable[[], Any]) -> Any:
    """Run ``work()`` in one transaction; again where a load got in its way."""
    for attempt in range(_ATTEMPTS):
        try:
            with connection.transaction():
                return work()
        except psycopg.errors.DeadlockDetected:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def _keep_out(
    connection: psycopg.Connection[Any],
    accounts: list[str],
    at: datetime,
    draw: Callable[[int], bytes],
) -> list[str]:
    # Every load holds this table in share mode: those under way end first, later ones know.
    connection.execute("lock table ops.retention_floor in share row exclusive mode")
    ensure_key(connection, draw)
    talks = connection.execute(_CONVERSATIONS, {"accounts": accounts}).fetchall()
    suppress(connection, accounts, at)
    suppress(connection, [name for (name,) in talks if name is not None], at, "conversation")
    connection.execute("select vault.erase_consent(%s, %s)", [accounts, at])
    # What models said of groups names nobody, yet may rest on the person's words: it is asked anew.
    connection.execute("delete from insights.group_answers")
    codes = codes_of(connection, accounts)
    connection.execute(_BEGIN, {"codes": codes, "at": at})
    return codes


def _delete(
    connection: psycopg.Connection[Any], part: _Part, known: dict[str, list[str]]
) -> tuple[int, set[date]]:
    statement = sql.SQL("delete from {} where {}").format(part.identifier, part.condition)
    if not part.has_days:
        return connection.execute(statement, known).rowcount, set()
    found = connection.execute(
        sql.SQL(
            "with gone as ({} returning day) select day, count(*) from gone group by day"
        ).format(statement),
        known,
    ).fetchall()
    days = {day for day, _ in found}
    dirty_days.mark(connection, days, "deletion")
    return sum(rows for _, rows in found), days


def _is_there(
    connection: psycopg.Connection[Any], part: _Part, known: dict[str, list[str]]
) -> bool:
    row = connection.execute(
        sql.SQL("select exists (select from {} where {})").format(part.identifier, part.named),
        known,
    ).fetchone()
    return row is not None and bool(row[0])


def _count(connection: psycopg.Connection[Any], part: _Part, known: dict[str, list[str]]) -> int:
    row = connection.execute(
        sql.SQL("select count(*) from {} where {}").format(part.identifier, part.condition), known
    ).fetchone()
    return int(row[0]) if row else 0


def _parts(connection: psycopg.Connection[Any]) -> Iterator[_Part]:
    """Every table that may hold rows of a person, in the order in which they go."""
    by_column: dict[tuple[str, str], list[str]] = {
        (schema, table): columns
        for schema, table, columns in connection.execute(
            _TABLES, [list(ZONES), list(PERSON_COLUMNS)]
        )
    }
    by_column.pop(LEDGER, None)
    for place in PAYLOADS:
        by_column.setdefault(place, [])

    def order(place: tuple[str, str]) -> tuple[int, tuple[str, str]]:
        if place in _FIRST:
            return _FIRST.index(place), place
        return len(_FIRST) + (place == _LAST), place

    for place in sorted(by_column, key=order):
        named = _names_person(place, by_column[place])
        if place != EVENTS:
            yield _Part(*place, _is_person(place, named), named)
            continue
        for few in _few_partitions(connection):
            condition = sql.SQL("{} and ({})").format(few, named)
            yield _Part(*place, condition, condition)


def _few_partitions(connection: psycopg.Connection[Any]) -> Iterator[sql.Composed]:
    """Conditions that together hold for all events, each in a few partitions.

    One statement over all would take more locks than a server with default settings has.
    """
    for category, pairs in groupby(sorted(event_partitions(connection)), lambda pair: pair[0]):
        days = [day for _, day in pairs]
        for start in range(0, len(days), PARTITIONS_PER_TRANSACTION):
            few = days[start : start + PARTITIONS_PER_TRANSACTION]
            yield sql.SQL("event_category = {} and day between {} and {}").format(
                sql.Literal(category), sql.Literal(few[0]), sql.Literal(few[-1])
            )


def _names_person(place: tuple[str, str], columns: list[str]) -> sql.Composable:
    conditions: list[sql.Composable] = [
        sql.SQL("{} = any (%(accounts)s)").format(sql.Identifier(column)) for column in columns
    ]
    if place in PAYLOADS:
        conditions += [
            sql.SQL("payload ->> {} = any (%(accounts)s)").format(sql.Literal(column))
            for column in PERSON_COLUMNS
        ]
        text = "payload" if place[0] == "inbox" else "coalesce(raw_text, payload::text)"
        conditions.append(sql.SQL(_UNREADABLE).format(text=sql.SQL(text)))
    return sql.SQL(" or ").join(conditions)


def _is_person(place: tuple[str, str], named: sql.Composable) -> sql.Composable:
    """Answers to the person and work for them name nobody; their conversation does."""
    if place in PAYLOADS:
        return sql.SQL("{} or {}").format(
            named, sql.SQL(_UNNAMED_PAYLOAD).format(table=sql.Identifier(*place))
        )
    if place in (("raw", "messages"), ("raw", "service_jobs")):
        return sql.SQL("{} or {}").format(named, sql.SQL(_UNNAMED))
    return named


_UNNAMED: Final = """(
    user_id is null and subject is null and conversation_id in (
        select conversation_id from raw.conversations
        where user_id = any (%(accounts)s) or subject = any (%(accounts)s)
    )
)"""
_UNNAMED_PAYLOAD: Final = """(
    kind in ('message', 'service_job')
    and payload ->> 'user_id' is null
    and payload ->> 'subject' is null
    and payload ->> 'conversation_id' in (
        select name from vault.suppressed_among(
            'conversation',
            array(
                select distinct payload ->> 'conversation_id' from {table}
                where payload ->> 'user_id' is null and payload ->> 'subject' is null
            )
        )
    )
)"""
# No record, or no plain id in it: any word may be the person.
_UNREADABLE: Final = """exists (
    select
    from vault.words_of(
        case
            when jsonb_typeof(payload) is distinct from 'object' then {text}::text
            when jsonb_typeof(payload -> 'user_id') in ('object', 'array')
                or jsonb_typeof(payload -> 'subject') in ('object', 'array')
                then concat_ws(' ', payload -> 'user_id', payload -> 'subject')
        end
    ) as word
    where word = any (%(accounts)s)
)"""
