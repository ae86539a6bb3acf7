"""Drop what is past its time: raw partitions by DROP, person-level rows built from them by DELETE.

Belongs here: the order of steps and their transactions. Does not: what must go (policy.py) or
where it lies (person_tables.py). Invariant: a class's floor in ``ops.retention_floor`` is raised in
the transaction that drops, so that no crash lets a rebuilt mart shrink; re-running only drops what
is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from analytics_assets.events.catalogue import Catalogue
from analytics_assets.retention.person_tables import (
    DERIVED_TABLES,
    RAW_TABLES,
    Partition,
    PersonTable,
    classes_of,
    count,
    count_past,
    is_table,
    partitions,
    past,
    unclassified,
)
from analytics_assets.retention.policy import Expiry, Release, expiries, profile_releases
from analytics_assets.retention.report import (
    PruneReport,
    RetentionBlockedError,
    RetentionIncompleteError,
)
from analytics_assets.store.database import Database, lock_table, qualified
from analytics_assets.windows import Window

LOCK_TIMEOUT: Final = timedelta(seconds=10)
_ONE_AT_A_TIME: Final = "ops.retention_log"


def prune(
    database: Database,
    catalogue: Catalogue,
    now: datetime,
    start_day: date,
    *,
    dry_run: bool = False,
    run_id: str | None = None,
    lock_timeout: timedelta = LOCK_TIMEOUT,
) -> PruneReport:
    """Drop every partition and delete every derived row past its class's cut-off.

    Each partition goes in a transaction of its own and is recorded there in ``ops.retention_log``;
    at the end all classes are counted again. A dry run drops nothing and raises no floor, and
    records what it would have dropped.

    Raises RetentionBlockedError when another session keeps a table locked for ``lock_timeout``,
    RetentionIncompleteError when rows past their time are left, RetentionPolicyError when the
    catalogue has no usable rules. After each of them it is safe to run again.
    """
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        limits = expiries(catalogue, now, start_day, _released(connection))
        report = PruneReport(dry_run, {name: limits[name].kept_from for name in limits})
        work = _Work(connection, report, limits, run_id, lock_timeout)
        for table in RAW_TABLES:
            work.drop_partitions(table)
        for table in DERIVED_TABLES:
            if is_table(connection, table):
                work.delete_rows(table)
        work.count_survivors()
        report.unclassified = unclassified(connection, limits)
    if not dry_run and not report.complete:
        raise RetentionIncompleteError(report)
    return report


class _Work:
    """One pruning: its connection, what it must drop and what it has done so far."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        report: PruneReport,
        limits: dict[str, Expiry],
        run_id: str | None,
        lock_timeout: timedelta,
    ) -> None:
        self.connection = connection
        self.report = report
        self.limits = limits
        self.run_id = run_id
        self.lock_timeout = lock_timeout
        self.gone: Counter[tuple[str, str]] = Counter()  # rows by table and class

    def drop_partitions(self, table: PersonTable) -> None:
        """Drop a raw table's partitions past their time, each in its own transaction."""
        for partition in partitions(self.connection, table):
            expiry = self.limits.get(partition.retention_class or "")
            window = partition.window
            if expiry and window and expiry.covers_all(window):
                with self._transaction(f"{partition.schema}.{partition.name}"):
                    self._drop(table, partition, window, expiry)

    def _drop(
        self, table: PersonTable, partition: Partition, window: Window, expiry: Expiry
    ) -> None:
        survivors = 0
        if self.report.dry_run:
            rows = self._count(partition)
        else:
            # Before anything is locked: a mart being rebuilt holds the floor while it reads raw.
            self._raise_floor(expiry)
            # The parent first, as every reader and writer of it does, or two would wait for each
            # other; not its other partitions, which need not stand still.
            self._execute("lock table only {} in access exclusive mode", partition.parent)
            if not self._exists(partition):
                return
            # Counted under the lock, so that no row comes in between.
            self._execute("lock table {} in access exclusive mode", partition.identifier)
            rows = self._count(partition)
            self._execute("drop table {}", partition.identifier)
            only = Expiry(expiry.name, date.min, frozenset(window.days()))
            survivors = count_past(self.connection, table, only)
        self._record(
            expiry,
            table,
            partition=f"{partition.schema}.{partition.name}",
            day=window.start,
            rows=rows,
            survivors=survivors,
        )
        self.report.partitions_dropped[expiry.name] += 1
        self.report.raw_rows[expiry.name] += rows
        self.gone[table.name, expiry.name] += rows

    def delete_rows(self, table: PersonTable) -> None:
        """Delete a derived table's rows past their time, one class a transaction."""
        for expiry in classes_of(table, self.limits):
            with self._transaction(table.name):
                # The lock that a rebuild of the table takes first, too.
                lock_table(self.connection, table.name)
                if self.report.dry_run:
                    rows = count_past(self.connection, table, expiry)
                else:
                    condition, parameters = past(table, expiry)
                    rows = self.connection.execute(
                        sql.SQL("delete from {} where {}").format(qualified(table.name), condition),
                        parameters,
                    ).rowcount
                if not rows:
                    continue
                if not self.report.dry_run:
                    self._raise_floor(expiry)
                self._record(expiry, table, rows=rows)
                self.report.derived_rows[table.name] += rows
                self.gone[table.name, expiry.name] += rows

    def count_survivors(self) -> None:
        """Count what is past its time in every table; a dry run takes off what would go."""
        for table in (*RAW_TABLES, *DERIVED_TABLES):
            if not is_table(self.connection, table):
                continue
            for expiry in classes_of(table, self.limits):
                left = count_past(self.connection, table, expiry)
                if self.report.dry_run:
                    left -= self.gone[table.name, expiry.name]
                if left:
                    self._record(expiry, table, rows=0, survivors=left)
                    self.report.survivors[table.name] += left

    def _raise_floor(self, expiry: Expiry) -> None:
        self.connection.execute(
            """
            insert into ops.retention_floor as floor (event_category, kept_from)
            values (%s, %s)
            on conflict (event_category) do update
            set kept_from = excluded.kept_from, updated_at = now()
            where floor.kept_from < excluded.kept_from
            """,
            [expiry.name, expiry.kept_from],
        )

    def _record(
        self,
        expiry: Expiry,
        table: PersonTable,
        *,
        rows: int,
        survivors: int = 0,
        partition: str | None = None,
        day: date | None = None,
    ) -> None:
        self.connection.execute(
            """
            insert into ops.retention_log (
                event_category, table_name, partition_name, day, rows_dropped, survivors, cutoff,
                dry_run, run_id
            )
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                expiry.name,
                table.name,
                partition,
                day,
                rows,
                survivors,
                expiry.kept_from,
                self.report.dry_run,
                self.run_id,
            ],
        )

    @contextmanager
    def _transaction(self, what: str) -> Iterator[None]:
        milliseconds = int(self.lock_timeout.total_seconds() * 1000)
        try:
            with self.connection.transaction():
                self.connection.execute(
                    "select set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"]
                )
                lock_table(self.connection, _ONE_AT_A_TIME)
                yield
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            raise RetentionBlockedError(
                f"{what} could not be pruned: another session has kept it, or the table it "
                f"belongs to, locked for {self.lock_timeout.total_seconds():g} s. Nothing of it "
                "was dropped, and what was dropped before stays so. Wait until loads and rebuilds "
                "have ended, or find the session in pg_stat_activity, then run the pruning again"
            ) from error

    def _exists(self, partition: Partition) -> bool:
        found = self.connection.execute("select 1 from pg_class where oid = %s", [partition.oid])
        return found.fetchone() is not None

    def _count(self, partition: Partition) -> int:
        return count(self._execute("select count(*) from {}", partition.identifier))

    def _execute(self, statement: LiteralString, name: sql.Identifier) -> psycopg.Cursor[Any]:
        return self.connection.execute(sql.SQL(statement).format(name))


def _released(connection: psycopg.Connection[Any]) -> list[Release]:
    rows = connection.execute(
        """
        select release_table, period_kind, period
        from ops.release_ledger
        where release_table = any(%s)
        """,
        [sorted({table for table, _ in profile_releases()})],
    ).fetchall()
    return [Release(*row) for row in rows]
