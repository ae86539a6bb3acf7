"""Day partitions of the raw tables, made on demand for the days that have data.

Belongs here: names of partitions and attaching them. Does not: dropping them (retention/).
Invariant: partitions are attached in small transactions of their own, never inside a load, and
two processes making the same one both succeed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from datetime import date
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from analytics_assets.store.database import lock_table
from analytics_assets.windows import DAY

EVENTS: Final = "platform_events"
# Each new partition takes about seven locks (table, toast, indexes), and a server with default
# settings has room for some 6,400: one transaction fails near its 2,500th partition.
PARTITIONS_PER_TRANSACTION: Final = 100
_LONGEST_NAME: Final = 63
_LOCK: Final = "raw partitions"
_EVENT_PARTITIONS: Final = """
select
    (regexp_match(pg_get_expr(parent.relpartbound, parent.oid), $$IN \\('(.*)'\\)$$))[1],
    (regexp_match(pg_get_expr(leaf.relpartbound, leaf.oid), $$FROM \\('([^']*)'\\)$$))[1]::date
from pg_partition_tree('raw.platform_events') as tree
join pg_class as leaf on leaf.oid = tree.relid
join pg_class as parent on parent.oid = tree.parentrelid
where tree.isleaf and tree.level = 2
"""


class _Partition(NamedTuple):
    parent: str
    name: str
    bound: sql.Composable
    below: sql.Composable  # what the new table is partitioned by itself, or nothing


def event_partition_name(category: str, day: date) -> str:
    """Name, in schema ``raw``, of the partition for one category and UTC day."""
    return _day_name(_category_name(category), day)


def ensure_event_partitions(
    connection: psycopg.Connection[Any], wanted: Collection[tuple[str, date]]
) -> int:
    """Attach the missing partitions of ``raw.platform_events`` and return how many were missing.

    ``wanted`` holds (event category, UTC day) pairs. The connection must not be in a transaction:
    this commits in between.
    """
    categories = [
        _Partition(
            EVENTS,
            _category_name(category),
            sql.SQL("in ({})").format(sql.Literal(category)),
            sql.SQL("partition by range (day)"),
        )
        for category in sorted({category for category, _ in wanted})
    ]
    days = [_of_day(_category_name(category), day) for category, day in sorted(wanted)]
    return _ensure(connection, categories) + _ensure(connection, days)


def event_partitions(connection: psycopg.Connection[Any]) -> set[tuple[str, date]]:
    """The (event category, UTC day) pairs that have a partition, read from their bounds."""
    return {
        (category.replace("''", "'"), day)
        for category, day in connection.execute(_EVENT_PARTITIONS).fetchall()
    }


def ensure_day_partitions(
    connection: psycopg.Connection[Any], table: str, days: Collection[date]
) -> int:
    """Attach the missing day partitions of ``raw.<table>`` and return how many were missing.

    The connection must not be in a transaction: this commits in between.
    """
    return _ensure(connection, [_of_day(table, day) for day in sorted(set(days))])


def _ensure(connection: psycopg.Connection[Any], wanted: list[_Partition]) -> int:
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise RuntimeError("partitions must be attached outside of any other transaction")
    attached = 0
    for few in _batches(_missing(connection, wanted), PARTITIONS_PER_TRANSACTION):
        with connection.transaction():
            lock_table(connection, _LOCK)
            missing = _missing(connection, few)
            for partition in missing:
                _attach(connection, partition)
            attached += len(missing)
    if not connection.autocommit:
        connection.rollback()  # looking for missing ones has begun a transaction
    return attached


def _missing(connection: psycopg.Connection[Any], wanted: list[_Partition]) -> list[_Partition]:
    if not wanted:
        return []
    found = connection.execute(
        "select relname from pg_class where relnamespace = 'raw'::regnamespace"
        " and relname = any(%s)",
        [[partition.name for partition in wanted]],
    ).fetchall()
    there = {name for (name,) in found}
    return [partition for partition in wanted if partition.name not in there]


def _attach(connection: psycopg.Connection[Any], partition: _Partition) -> None:
    # Attaching leaves readers and writers of the parent alone; `create table ... partition of`
    # would wait for them, and they for it.
    parent, name = sql.Identifier("raw", partition.parent), sql.Identifier("raw", partition.name)
    connection.execute(
        sql.SQL(
            "create table {name} (like {parent} including all excluding comments) {below};"
            "alter table {parent} attach partition {name} for values {bound}"
        ).format(name=name, parent=parent, below=partition.below, bound=partition.bound)
    )


def _of_day(parent: str, day: date) -> _Partition:
    bound = sql.SQL("from ({}) to ({})").format(
        sql.Literal(day.isoformat()), sql.Literal((day + DAY).isoformat())
    )
    return _Partition(parent, _day_name(parent, day), bound, sql.SQL(""))


def _category_name(category: str) -> str:
    # Room for the day. A longer name would be cut by Postgres, and two categories could share it.
    return _fitting(f"{EVENTS}_{category}", _LONGEST_NAME - len("_yyyymmdd"))


def _day_name(parent: str, day: date) -> str:
    return _fitting(f"{parent}_{day:%Y%m%d}", _LONGEST_NAME)


def _fitting(name: str, limit: int) -> str:
    encoded = name.encode()
    if len(encoded) <= limit:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:12]
    return f"{encoded[: limit - 13].decode(errors='ignore')}_{digest}"


def _batches(items: list[_Partition], size: int) -> Iterator[list[_Partition]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
