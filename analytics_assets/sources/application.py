"""The application's own Postgres: its tables read by window over COPY, straight into the stages.

Belongs here: reaching such a database and streaming from it. Does not: what the rows go through.
Invariant: nothing is ever written there; after a load the source's rows of the window are what the
application has, whatever was changed or deleted in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.settings import child_environment
from analytics_assets.sources.config import PostgresSource, PostgresTable, TableName
from analytics_assets.sources.contract import CONTRACTS, Contract
from analytics_assets.sources.errors import SourceError, SourceUnavailable
from analytics_assets.sources.stage_records import RecordStage
from analytics_assets.sources.stages import stage_for
from analytics_assets.sources.staging import (
    LoadRules,
    Origin,
    Outcome,
    PartitionMaker,
    Stage,
    in_transaction,
)
from analytics_assets.store.database import Database
from analytics_assets.windows import Window

# A window of a year is read in parts: one transaction holds at most this many days.
DAYS_PER_TRANSACTION: Final = 7
CONNECT_SECONDS: Final = 10


def load_table(
    database: Database,
    source: PostgresSource,
    table: TableName,
    rules: LoadRules,
    partitions: PartitionMaker,
    *,
    progress: Callable[[str, str, int], None] | None = None,
) -> Outcome:
    """Bring ``raw.<table>`` in line with the application's for the window of the run.

    Users and servers have no window and are read whole. Raises SourceUnavailable when the database
    cannot be reached, SourceError when a query or its columns are wrong.
    """
    contract, described = CONTRACTS[table], source.tables[table]
    total = Outcome()
    with (
        reading(source) as remote,
        database.connect("analytics_pipeline", autocommit=True) as local,
    ):
        reader = ApplicationReader(source, described, contract, remote)
        reader.prepare()
        stage = stage_for(table, rules, partitions)
        stage.open(local)
        work = _Copying(reader, local, stage)
        for part in [None] if not isinstance(stage, RecordStage) else _parts(rules.window):
            work.part = part
            total.add(in_transaction(local, partitions, work.run))
            if progress:
                progress(source.name, table, total.counts.read)
    return total


@contextmanager
def reading(source: PostgresSource) -> Iterator[psycopg.Connection[Any]]:
    """A read-only connection to the source, closed on leaving."""
    url = source.url
    setting = "`url`"
    if source.url_env is not None:
        setting = source.url_env
        url = child_environment({}).get(source.url_env)
        if not url:
            raise SourceUnavailable(
                f"source {source.name}: the environment variable {setting} is not set; it must "
                "hold the address of the application's database, postgresql://user:password@host/db"
            )
    try:
        connection = psycopg.connect(
            url or "",
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name="analytics-assets source",
            client_encoding="utf8",
        )
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        # The message of a wrong address would repeat the address, password included.
        reason = "" if isinstance(error, psycopg.ProgrammingError) else f": {_reason(error)}"
        raise SourceUnavailable(
            f"source {source.name} cannot be reached{reason}. Check that the application's "
            f"database runs and that {setting} is right"
        ) from None
    with connection:
        connection.execute("set default_transaction_read_only = on")
        connection.execute("set timezone = 'UTC'")
        yield connection


@dataclass
class ApplicationReader:
    """Reads one table of a source as text in the contract's columns."""

    source: PostgresSource
    table: PostgresTable
    contract: Contract
    remote: psycopg.Connection[Any]
    columns: list[str] = field(default_factory=list)

    @property
    def time_column(self) -> str:
        return self.table.time_column or self.contract.time_column

    @property
    def _query(self) -> sql.Composable:
        if self.table.query is not None:
            # The operator's own SQL, run under the rights of the role in the address.
            return sql.SQL(self.table.query.strip().rstrip(";"))
        parts = (self.table.table or "").split(".")
        return sql.SQL("select * from {}").format(sql.Identifier(*parts))

    def prepare(self) -> None:
        """Find the query's columns. Raises SourceError where it fails or one is missing."""
        try:
            cursor = self.remote.execute(
                sql.SQL("select * from ({}) as q limit 0").format(self._query)
            )
        except psycopg.Error as error:
            raise SourceError(
                f"source {self.source.name}: the query for {self.contract.table} fails: "
                f"{_reason(error)}"
            ) from None
        there = [column.name for column in cursor.description or []]
        needed = list(self.contract.required)
        if self.contract.derives_ids:
            needed.append(self.contract.id_column)
        if self.contract.by_name[self.contract.time_column].required:
            needed.append(self.time_column)
        missing = [name for name in dict.fromkeys(needed) if name not in there]
        if missing:
            raise SourceError(
                f"source {self.source.name}: the query for {self.contract.table} gives no column "
                f"{', '.join(map(repr, missing))}; it gives {', '.join(there)}. Name the columns "
                "with `as`"
            )
        self.columns = [name for name in self.contract.names if name in there]

    def stage_rows(
        self,
        local: psycopg.Connection[Any],
        stage: Stage,
        window: Window | None,
        limit: int | None = None,
    ) -> None:
        """Stream the rows of a window, or of all time, into a stage, within a transaction.

        Raises SourceUnavailable where the source breaks off.
        """
        names = ["line_no", *self.columns]
        into = sql.SQL("copy {} ({}) from stdin (format csv)").format(
            stage.staged, sql.SQL(", ").join(map(sql.Identifier, names))
        )
        try:
            with (
                self.remote.cursor() as source,
                source.copy(self._statement(window, limit)) as out,
                local.cursor() as target,
                target.copy(into) as copy,
            ):
                for block in out:
                    copy.write(block)
        except psycopg.Error as error:
            if local.broken:
                raise
            raise SourceUnavailable(
                f"source {self.source.name}: reading {self.contract.table} broke off: "
                f"{_reason(error)}. What was loaded stays; run again"
            ) from None

    def _statement(self, window: Window | None, limit: int | None) -> sql.Composed:
        """COPY of the rows of a window as CSV: their number, then the columns as text."""
        where: sql.Composable = sql.SQL("")
        if window is not None:
            where = sql.SQL(" where {time} >= {start} and {time} < {end}").format(
                time=sql.Identifier("q", self.time_column),
                start=sql.Literal(window.start_ts.isoformat()),
                end=sql.Literal(window.end_ts.isoformat()),
            )
        return sql.SQL(
            "copy (select row_number() over (), {columns} from ({query}) as q{where}"
            " limit {limit}) to stdout (format csv)"
        ).format(
            columns=sql.SQL(", ").join(map(self._as_text, self.columns)),
            query=self._query,
            where=where,
            limit=sql.Literal(limit),
        )

    def _as_text(self, name: str) -> sql.Composed:
        column = sql.Identifier("q", name)
        kind = self.contract.by_name[name].kind
        if kind == "moment":
            return sql.SQL(
                "to_char({}::timestamptz at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
            ).format(column)
        if kind == "json":
            return sql.SQL("to_jsonb({})::text").format(column)
        return sql.SQL("{}::text").format(column)


@dataclass
class _Copying:
    """One part of a window, in the caller's transaction."""

    reader: ApplicationReader
    local: psycopg.Connection[Any]
    stage: Stage
    part: Window | None = None

    def run(self) -> Outcome:
        name = self.reader.source.name
        self.reader.stage_rows(self.local, self.stage, self.part)
        origin = Origin(name, name, f"{name} row ", by_content=True)
        outcome = self.stage.promote(self.local, origin)
        windowed = self.reader.time_column == self.stage.contract.time_column
        if self.part is not None and windowed and isinstance(self.stage, RecordStage):
            # Windowed by another time, rows that were not read may still be there.
            outcome.days |= self.stage.delete_gone(
                self.local, origin, self.part.start, self.part.end
            )
        return outcome


def _parts(window: Window) -> Iterator[Window]:
    start: date = window.start
    while start < window.end:
        end = min(start + timedelta(days=DAYS_PER_TRANSACTION), window.end)
        yield Window(start, end)
        start = end


def _reason(error: psycopg.Error) -> str:
    """Why the source failed; errors about values quote them, so only their kind is told."""
    if isinstance(error, psycopg.DataError):
        return f"a value cannot be converted ({type(error).__name__})"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
