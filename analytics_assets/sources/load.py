"""One run's load: everything that waits, from every source, into ``raw``.

Belongs here: the order of sources and tables, and the report. Does not: how each of them loads.
Invariant: a source that fails does not keep the others from loading, and is raised at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.events.catalogue import Catalogue
from analytics_assets.events.schema_table import sync_event_schemas
from analytics_assets.retention.policy import refuse_expired
from analytics_assets.settings import Settings
from analytics_assets.sources import application
from analytics_assets.sources.config import PostgresSource, Sources, TableName, read_sources
from analytics_assets.sources.contract import LOAD_ORDER
from analytics_assets.sources.errors import LoadError, LoadInterrupted, SourceError
from analytics_assets.sources.file_load import PartlyLoaded, Progress, load_files
from analytics_assets.sources.inbox import move_inbox, vacuum_inbox
from analytics_assets.sources.lanes import Lanes
from analytics_assets.sources.replay import ReplayOutcome, replay_rejected
from analytics_assets.sources.staging import LoadRules, Outcome, PartitionMaker
from analytics_assets.store.database import Database
from analytics_assets.store.load_log import RowCounts
from analytics_assets.windows import Window

_LOCK: Final = "load"


@dataclass
class LoadReport:
    """What one run loaded, per raw table. ``days`` are the UTC days whose rows changed."""

    tables: dict[str, RowCounts] = field(
        default_factory=lambda: {table: RowCounts() for table in LOAD_ORDER}
    )
    days: set[date] = field(default_factory=set)
    files: int = 0
    files_skipped: int = 0
    replay: ReplayOutcome = field(default_factory=ReplayOutcome)

    def add(self, table: str, outcome: Outcome) -> None:
        self.tables[table].add(outcome.counts)
        self.days |= outcome.days

    @property
    def rejected_rows(self) -> int:
        return sum(counts.rejected_rows for counts in self.tables.values())

    def metadata(self, table: str) -> dict[str, int]:
        """Counts of one table for people to see; ``rejected_events`` sums up all rejections."""
        if table == "rejected_events":
            codes: dict[str, int] = {}
            for counts in self.tables.values():
                for code, rows in counts.rejected.items():
                    codes[code] = codes.get(code, 0) + rows
            return {
                "rows_rejected": self.rejected_rows,
                "rows_tried_again": self.replay.tried,
                "rows_replayed": self.replay.replayed,
                "rows_suppressed": self.replay.suppressed,
                **{f"rejected/{code}": rows for code, rows in sorted(codes.items())},
            }
        counts = self.tables[table]
        return {
            "rows_read": counts.read,
            "rows_loaded": counts.loaded,
            "rows_duplicate": counts.duplicate,
            "rows_expired": counts.expired,
            "rows_rejected": counts.rejected_rows,
            "rows_suppressed": counts.suppressed,
        }


def load_window(
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    window: Window,
    progress: Progress | None = None,
) -> LoadReport:
    """Load what waits in the sources of the settings; see ``load_raw``."""
    sources = Sources() if settings.sources_file is None else read_sources(settings.sources_file)
    return load_raw(database, settings, window, sources, catalogue, progress)


def load_raw(
    database: Database,
    settings: Settings,
    window: Window,
    sources: Sources,
    catalogue: Catalogue,
    progress: Progress | None = None,
) -> LoadReport:
    """Load everything that waits: files and inbox whole, databases for the window.

    Days that change outside the window become dirty; those inside are the caller's to rebuild.
    Raises RetentionGuardError for a window of which nothing may be kept, and LoadError naming every
    source that failed, after all others have been loaded; LoadInterrupted where Postgres breaks
    the load off. Safe to repeat after any crash.
    """
    now = settings.now()
    refuse_expired(window, catalogue, now)
    load = _Load(
        database,
        sources,
        LoadRules(catalogue, now, settings.clock_skew, settings.start_day, window),
        PartitionMaker(database),
        progress,
    )
    try:
        with database.connect("analytics_pipeline", autocommit=True) as connection:
            sync_event_schemas(connection, catalogue)
            with _one_load_at_a_time(connection):
                for table in LOAD_ORDER:
                    load.table(connection, table)
    except psycopg.Error as error:
        # Its own message, its details above all, may quote rows.
        raise _interrupted(error) from None
    if load.failures:
        raise LoadError(load.failures)
    return load.report


@dataclass
class _Load:
    database: Database
    sources: Sources
    rules: LoadRules
    partitions: PartitionMaker
    progress: Progress | None
    report: LoadReport = field(default_factory=LoadReport)
    failures: list[SourceError] = field(default_factory=list)

    def table(self, connection: psycopg.Connection[Any], table: TableName) -> None:
        replayed = replay_rejected(self.database, self.rules, self.partitions, table)
        self.report.replay.add(replayed)
        self.report.days |= replayed.days
        self._files(connection, table)
        for source in self.sources.databases():
            if table in source.tables:
                self._from_database(source, table)
        moved = move_inbox(
            self.database, table, self.rules, self.partitions, progress=self.progress
        )
        self.report.add(table, moved)
        if moved.counts.read:
            vacuum_inbox(self.database)
        if self.report.tables[table].loaded:
            # The planner must not take a table that has just been filled for an empty one.
            _analyze(connection, table)

    def _files(self, connection: psycopg.Connection[Any], table: TableName) -> None:
        sources = self.sources.files(table)
        if not sources:
            return
        with Lanes(self.database, table, self.rules, self.partitions) as lanes:
            for source in sources:
                try:
                    result = load_files(connection, lanes, source, progress=self.progress)
                except PartlyLoaded as error:
                    self.failures.append(error)
                    result = error.result
                except SourceError as error:
                    self.failures.append(error)
                    continue
                self.report.add(table, result.outcome)
                self.report.files += result.files
                self.report.files_skipped += result.skipped

    def _from_database(self, source: PostgresSource, table: TableName) -> None:
        try:
            outcome = application.load_table(
                self.database, source, table, self.rules, self.partitions, progress=self.progress
            )
        except SourceError as error:
            self.failures.append(error)
        else:
            self.report.add(table, outcome)


@contextmanager
def _one_load_at_a_time(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Two runs would read the same files twice; the inbox alone could be shared."""
    connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [_LOCK])
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", [_LOCK])


def _interrupted(error: psycopg.Error) -> LoadInterrupted:
    what = type(error).__name__
    if error.sqlstate:
        what = f"{what}, SQLSTATE {error.sqlstate}"
    return LoadInterrupted(
        f"Postgres broke the load off ({what}). What was committed stays; see that the server "
        "runs and has room (its log says more), then run again: nothing is lost or loaded twice"
    )


def _analyze(connection: psycopg.Connection[Any], table: TableName) -> None:
    if table in {"users", "servers"}:
        connection.execute(sql.SQL("analyze {}").format(sql.Identifier("raw", table)))
