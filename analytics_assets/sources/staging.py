"""From staged text to typed rows in ``raw`` or in quarantine: the one way in, for every source.

Belongs here: the steps all tables share. Does not: what is special about events, records or
histories (the ``stage_*`` modules). Invariant: a staged row ends as loaded, duplicate, expired,
rejected or suppressed, in one transaction with whatever its source keeps about it.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.events.catalogue import Catalogue
from analytics_assets.events.envelope import EnvelopeRules
from analytics_assets.events.sql_text import problem_code, problem_message
from analytics_assets.sources.contract import Contract
from analytics_assets.sources.suppressed_rows import remove_suppressed
from analytics_assets.store import dirty_days
from analytics_assets.store.database import Database
from analytics_assets.store.load_log import RowCounts
from analytics_assets.store.partitions import (
    ensure_day_partitions,
    ensure_event_partitions,
)
from analytics_assets.windows import Window

# Quarantine keeps a whole record up to this size, so that it can be replayed.
MAX_PAYLOAD_BYTES: Final = 64 * 1024
KEPT_CHARACTERS: Final = 4_000
_ATTEMPTS: Final = 3
_SETTINGS: Final = (
    # A crash of the server may lose the newest chunks whole, never half of one: the entry in the
    # load log, or the rows in the inbox, come back with them.
    "set synchronous_commit = off",
    "set work_mem = '64MB'",
    "set temp_buffers = '32MB'",
    "set jit = off",
    # Chunks are analyzed for their size and a few shares: a small sample is enough.
    "set default_statistics_target = 10",
)


@dataclass(frozen=True)
class LoadRules:
    """What all loads of a run have in common. ``now`` is the platform's clock, in UTC."""

    catalogue: Catalogue
    now: datetime
    clock_skew: timedelta
    start_day: date
    window: Window

    @property
    def envelope(self) -> EnvelopeRules:
        return EnvelopeRules(self.now, self.clock_skew, self.start_day)

    @property
    def today(self) -> date:
        return self.now.astimezone(UTC).date()


@dataclass(frozen=True)
class Origin:
    """Where staged rows come from. ``key`` and a row's number make the id of a rejected row, so
    that it is rejected once; where numbers change from load to load, its content does
    (``by_content``). ``label`` and the number are its location.
    """

    source: str
    key: str
    label: str
    by_content: bool = False


@dataclass
class Outcome:
    """Rows by what became of them, and the UTC days whose raw rows changed."""

    counts: RowCounts = field(default_factory=RowCounts)
    days: set[date] = field(default_factory=set)

    def add(self, other: Outcome) -> None:
        self.counts.add(other.counts)
        self.days |= other.days


class PartitionMaker:
    """Makes partitions over a connection of its own; shared by the lanes of a load."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._events: set[tuple[str, date]] = set()
        self._days: set[tuple[str, date]] = set()

    def events(self, wanted: Collection[tuple[str, date]]) -> None:
        """Make sure that events of these categories and days have a place."""
        with self._lock:
            missing = set(wanted) - self._events
            if missing:
                with self._database.connect("analytics_pipeline", autocommit=True) as connection:
                    ensure_event_partitions(connection, missing)
                self._events |= missing

    def days(self, table: str, wanted: Collection[date]) -> None:
        """Make sure that rows of these days have a place in a table."""
        with self._lock:
            missing = {(table, day) for day in wanted} - self._days
            if missing:
                with self._database.connect("analytics_pipeline", autocommit=True) as connection:
                    ensure_day_partitions(connection, table, {day for _, day in missing})
                self._days |= missing

    def forget(self) -> None:
        """Look again: a partition may have been pruned meanwhile."""
        with self._lock:
            self._events.clear()
            self._days.clear()


class Stage(ABC):
    """Temporary tables of one connection through which rows of one table enter ``raw``.

    ``staged`` has the contract's columns as text or jsonb, and ``line_no``, ``problem``
    (``code|message``), ``byte_size``, ``raw_text``, ``payload`` (the record as sent, where it is
    not these columns), ``origin`` (who sent it, where rows differ in that) and ``suspect`` (its id
    may have been loaded before). Both tables are emptied by each commit.
    """

    def __init__(self, contract: Contract, rules: LoadRules, partitions: PartitionMaker) -> None:
        self.contract = contract
        self.rules = rules
        self.partitions = partitions

    @cached_property
    def staged(self) -> sql.Identifier:
        return sql.Identifier("pg_temp", f"staged_{self.contract.table}")

    @cached_property
    def checked(self) -> sql.Identifier:
        return sql.Identifier("pg_temp", f"checked_{self.contract.table}")

    def open(self, connection: psycopg.Connection[Any]) -> None:
        """Create the temporary tables. The connection must not be in a transaction."""
        # Plans kept from a chunk of another size would be wrong for the next one.
        connection.prepare_threshold = None
        with connection.transaction():
            for setting in _SETTINGS:
                connection.execute(setting)
            connection.execute(
                sql.SQL(
                    "create temporary table {} (line_no bigint, {}, problem text,"
                    " byte_size integer, raw_text text, payload jsonb, origin text,"
                    " suspect boolean default true)"
                    " on commit delete rows"
                ).format(
                    self.staged,
                    sql.SQL(", ").join(
                        sql.SQL("{} {}").format(
                            sql.Identifier(column.name),
                            sql.SQL("jsonb" if column.kind == "json" else "text"),
                        )
                        for column in self.contract.columns
                    ),
                )
            )
            self._create_checked(connection)
        self.partitions.days("rejected_events", {self.rules.today})

    def promote(self, connection: psycopg.Connection[Any], origin: Origin) -> Outcome:
        """Move what is staged into ``raw`` and quarantine, in the caller's transaction."""
        suppressed = self.leave_out(connection)
        outcome = self.admit(connection, origin)
        outcome.counts.reject(self.reject(connection, origin))
        outcome.counts.suppressed = len(suppressed)
        outcome.counts.sum_up()
        return outcome

    def leave_out(self, connection: psycopg.Connection[Any]) -> list[int]:
        """Take rows of erased people out of the stage; their numbers."""
        self._hold(connection)
        return remove_suppressed(connection, self.contract, self.staged, self.rules.now)

    def admit(
        self,
        connection: psycopg.Connection[Any],
        origin: Origin,
        reason: dirty_days.Reason = "late_data",
    ) -> Outcome:
        """Check what is staged and load what is valid; the rest stays in ``checked``.

        Days outside the run's window become dirty for ``reason``.
        """
        self._hold(connection)
        self.check(connection)
        outcome = self._load(connection, origin)
        late = {day for day in outcome.days if day not in self.rules.window}
        dirty_days.mark(connection, late, reason)
        return outcome

    def reject(self, connection: psycopg.Connection[Any], origin: Origin) -> dict[str, int]:
        """Put what failed a check into quarantine; rows by error code."""
        found = connection.execute(
            sql.SQL(_REJECT).format(
                checked=self.checked,
                code=problem_code(sql.Identifier("c", "problem")),
                message=problem_message(sql.Identifier("c", "problem")),
                fields=self._payload_fields(),
                event_type=sql.SQL("left(c.event_type, 200)")
                if self.contract.table == "platform_events"
                else sql.SQL("null::text"),
            ),
            {
                "now": self.rules.now,
                "today": self.rules.today,
                "kind": self.contract.record,
                "source": origin.source,
                "key": origin.key,
                "label": origin.label,
                "by_content": origin.by_content,
                "largest": MAX_PAYLOAD_BYTES,
                "kept": KEPT_CHARACTERS,
            },
        ).fetchall()
        return {str(code): int(rows) for code, rows in found}

    @staticmethod
    def _hold(connection: psycopg.Connection[Any]) -> None:
        """Wait for a pruning or an erasure that is going on, and keep the next one waiting.

        Rows of a day that has just been dropped must not bring it back, nor those of somebody who
        is being erased.
        """
        connection.execute("lock table ops.retention_floor in share mode")

    @abstractmethod
    def _create_checked(self, connection: psycopg.Connection[Any]) -> None: ...

    @abstractmethod
    def check(self, connection: psycopg.Connection[Any]) -> None:
        """Fill ``checked`` from ``staged``: each row with its problem, or its values parsed."""

    @abstractmethod
    def _load(self, connection: psycopg.Connection[Any], origin: Origin) -> Outcome: ...

    def _payload_fields(self) -> sql.Composable:
        """The contract's columns as (name, jsonb) rows: a record that can be sent again."""
        return sql.SQL(", ").join(
            sql.SQL("({}, to_jsonb(c.{}))").format(
                sql.Literal(column.name), sql.Identifier(column.name)
            )
            for column in self.contract.columns
        )


def in_transaction(
    connection: psycopg.Connection[Any], partitions: PartitionMaker, work: Any
) -> Any:
    """Run ``work()`` in one transaction; again where another session got in its way."""
    for attempt in range(_ATTEMPTS):
        try:
            with connection.transaction():
                return work()
        except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
            if attempt == _ATTEMPTS - 1:
                raise
        except psycopg.errors.CheckViolation as error:
            # A partition that was there a moment ago has been pruned.
            if attempt == _ATTEMPTS - 1 or "no partition" not in str(error):
                raise
        partitions.forget()
    raise AssertionError


_REJECT: Final = """
with rejected as (
    select
        c.line_no,
        c.problem,
        c.raw_text,
        c.origin,
        {event_type} as event_type,
        case
            when c.payload is not null then c.payload
            when c.raw_text is null then (
                select jsonb_object_agg(given.name, given.value)
                from (values {fields}) as given (name, value)
                where given.value is not null
            )
        end as payload
    from {checked} as c
    where c.problem is not null
),

identified as (
    select
        rejected.*,
        md5(concat_ws(
            '|', %(kind)s::text, %(source)s::text, %(key)s::text,
            case when %(by_content)s then rejected.payload::text else rejected.line_no::text end
        ))::uuid as rejected_id
    from rejected
),

inserted as (
    insert into raw.rejected_events (
        received_day, rejected_id, received_at, kind, source, location, payload, raw_text,
        event_type, processing_status, error_code, error_message, retry_count, updated_at
    )
    select
        %(today)s,
        c.rejected_id,
        %(now)s,
        %(kind)s,
        coalesce(c.origin, %(source)s),
        %(label)s || c.line_no,
        case when octet_length(c.payload::text) <= %(largest)s then c.payload end,
        coalesce(
            c.raw_text,
            case when octet_length(c.payload::text) > %(largest)s
                then left(c.payload::text, %(kept)s) end
        ),
        c.event_type,
        'rejected',
        {code},
        {message},
        0,
        %(now)s
    from identified as c
    where not (
        %(by_content)s
        and exists (
            select from raw.rejected_events as e where e.rejected_id = c.rejected_id
        )
    )
    on conflict do nothing
)

select {code}, count(*)
from rejected as c
group by 1
"""
