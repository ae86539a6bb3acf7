"""Quarantined records tried again, when what made them fail may have changed.

Belongs here: which rows are tried, and what becomes of them. Does not: the checks, which are those
of every load. Invariant: a row is tried again only after the catalogue or the first day changed,
when its time has come, or when somebody asks for it; replaying twice without a change touches
nothing, and a replay never undoes what was loaded after the row was received.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from analytics_assets.events.sql_text import problem_code, problem_message
from analytics_assets.sources.config import TableName
from analytics_assets.sources.contract import CONTRACTS, Contract
from analytics_assets.sources.inbox import payload_columns
from analytics_assets.sources.stages import stage_for
from analytics_assets.sources.staging import (
    LoadRules,
    Origin,
    PartitionMaker,
    Stage,
    in_transaction,
)
from analytics_assets.store.database import Database

ROWS_PER_TRANSACTION: Final = 10_000
_ORIGIN: Final = Origin("replay", "replay", "replay ")
_HISTORIES: Final = ("users", "servers")
_Key = tuple[date, UUID]


@dataclass
class ReplayOutcome:
    """Quarantined rows by what became of them, and the days that got rows."""

    tried: int = 0
    replayed: int = 0
    suppressed: int = 0
    days: set[date] = field(default_factory=set)

    def add(self, other: ReplayOutcome) -> None:
        self.tried += other.tried
        self.replayed += other.replayed
        self.suppressed += other.suppressed
        self.days |= other.days


def replay_rejected(
    database: Database,
    rules: LoadRules,
    partitions: PartitionMaker,
    table: TableName = "platform_events",
) -> ReplayOutcome:
    """Try a table's quarantined records again with the present catalogue and settings.

    Those that pass enter ``raw.<table>`` and are marked replayed (their payload goes, since the row
    is where it belongs); those past their retention, and those a newer version was loaded of, are
    discarded; those of erased people are deleted; the others keep their newest reason and count
    the attempt.
    """
    outcome = ReplayOutcome()
    contract = CONTRACTS[table]
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        fingerprint = _fingerprint(rules, contract)
        changed = _last_fingerprint(connection, contract) != fingerprint
        keys = _candidates(connection, rules, contract, after=None, everything=changed)
        if keys:
            stage = stage_for(table, rules, partitions)
            stage.open(connection)
            work = _Replay(connection, stage, outcome)
        while keys:
            work.keys = keys
            in_transaction(connection, partitions, work.run)
            keys = _candidates(connection, rules, contract, after=keys[-1], everything=changed)
        if changed:
            _remember(connection, fingerprint, contract)
    return outcome


@dataclass
class _Replay:
    """One batch of a replay, in the caller's transaction."""

    connection: psycopg.Connection[Any]
    stage: Stage
    outcome: ReplayOutcome
    keys: list[_Key] = field(default_factory=list)

    def run(self) -> None:
        contract = self.stage.contract
        columns = payload_columns(contract)
        rows = self._by_arrival()
        if contract.record != "event":
            self._discard_superseded(contract, rows)
        taken = self.connection.execute(
            sql.SQL(_STAGE).format(
                staged=self.stage.staged,
                names=sql.SQL(", ").join(map(sql.Identifier, columns)),
                values=sql.SQL(", ").join(columns.values()),
            ),
            rows,
        ).rowcount
        suppressed = self.stage.leave_out(self.connection)
        if suppressed:
            self.connection.execute(_DELETE, {**rows, "numbers": suppressed})
        admitted = self.stage.admit(self.connection, _ORIGIN, "replay")
        found = self.connection.execute(
            sql.SQL(_SETTLE).format(
                checked=self.stage.checked,
                code=problem_code(sql.SQL("c.problem")),
                message=problem_message(sql.SQL("c.problem")),
                # Histories are kept as long as the platform.
                expired=sql.SQL("false" if contract.table in _HISTORIES else "c.expired"),
            ),
            rows,
        ).fetchall()
        self.outcome.tried += taken
        self.outcome.suppressed += len(suppressed)
        self.outcome.replayed += sum(n for status, n in found if status == "replayed")
        self.outcome.days |= admitted.days

    def _by_arrival(self) -> dict[str, Any]:
        """The batch as parameters: of several versions of a record the last one counts."""
        given = {"days": [day for day, _ in self.keys], "ids": [i for _, i in self.keys]}
        ordered = self.connection.execute(_BY_ARRIVAL, given).fetchall()
        return {
            "days": [day for day, _ in ordered],
            "ids": [identity for _, identity in ordered],
            "now": self.stage.rules.now,
        }

    def _discard_superseded(self, contract: Contract, rows: dict[str, Any]) -> None:
        """Events never change; of all else a later version may have been loaded meanwhile."""
        newer: LiteralString = _NEWER_SPAN if contract.table in _HISTORIES else _NEWER_VERSION
        self.connection.execute(
            sql.SQL(_SUPERSEDED).format(
                newer=sql.SQL(newer).format(
                    table=sql.Identifier("raw", contract.table),
                    id=sql.Identifier(contract.id_column),
                    id_name=sql.Literal(contract.id_column),
                    time_name=sql.Literal(contract.time_column),
                )
            ),
            rows,
        )


def _candidates(
    connection: psycopg.Connection[Any],
    rules: LoadRules,
    contract: Contract,
    *,
    after: _Key | None,
    everything: bool,
) -> list[_Key]:
    found = connection.execute(
        _CANDIDATES,
        {
            "kind": contract.record,
            "time": contract.time_column,
            "after_day": after[0] if after else date.min,
            "after_id": after[1] if after else UUID(int=0),
            "everything": everything,
            "latest": rules.now + rules.clock_skew,
            "limit": ROWS_PER_TRANSACTION,
        },
    ).fetchall()
    return [(day, identity) for day, identity in found]


def _fingerprint(rules: LoadRules, contract: Contract) -> str:
    """What decides whether a record of this kind is valid, beside itself."""
    catalogue = f"{rules.catalogue.fingerprint} " if contract.record == "event" else ""
    return hashlib.sha256(f"{catalogue}{rules.start_day.isoformat()}".encode()).hexdigest()


def _log_source(contract: Contract) -> str:
    return "(replay)" if contract.record == "event" else f"(replay {contract.record})"


def _last_fingerprint(connection: psycopg.Connection[Any], contract: Contract) -> str | None:
    row = connection.execute(
        "select fingerprint from ops.load_log where source = %s"
        " order by loaded_at desc, load_id desc limit 1",
        [_log_source(contract)],
    ).fetchone()
    return row[0] if row else None


def _remember(connection: psycopg.Connection[Any], fingerprint: str, contract: Contract) -> None:
    connection.execute(
        "insert into ops.load_log (source, fingerprint, chunk, lane, finished)"
        " values (%s, %s, 0, 0, true) on conflict (source, fingerprint, chunk, lane)"
        " do update set loaded_at = now()",
        [_log_source(contract), fingerprint],
    )


_CANDIDATES: Final = """
select received_day, rejected_id
from raw.rejected_events
where
    processing_status = 'rejected'
    and kind = %(kind)s
    and payload is not null
    and received_day >= %(after_day)s
    and (received_day, rejected_id) > (%(after_day)s, %(after_id)s)
    and (
        %(everything)s
        or replay_requested_at is not null
        or (
            error_code = 'future_timestamp'
            and ops.try_timestamptz(payload ->> %(time)s) <= %(latest)s
        )
    )
order by received_day, rejected_id
limit %(limit)s
"""

_BY_ARRIVAL: Final = """
select r.received_day, r.rejected_id
from unnest(%(days)s::date[], %(ids)s::uuid[]) as w (day, id)
join raw.rejected_events as r on r.received_day = w.day and r.rejected_id = w.id
order by r.received_at, length(r.location), r.location, r.rejected_id
"""

_STAGE: Final = """
with wanted as (
    select day, id, number
    from unnest(%(days)s::date[], %(ids)s::uuid[]) with ordinality as w (day, id, number)
),

taken as (
    select w.number, r.source, r.payload
    from wanted as w
    join raw.rejected_events as r on r.received_day = w.day and r.rejected_id = w.id
    where r.processing_status = 'rejected'
    for update of r skip locked
)

insert into {staged} (line_no, payload, origin, {names})
select number, payload, source, {values}
from taken
"""

_DELETE: Final = """
delete from raw.rejected_events as r
using unnest(%(days)s::date[], %(ids)s::uuid[]) with ordinality as w (day, id, number)
where
    w.number = any(%(numbers)s)
    and r.received_day = w.day
    and r.rejected_id = w.id
"""

_SETTLE: Final = """
with wanted as (
    select day, id, number
    from unnest(%(days)s::date[], %(ids)s::uuid[]) with ordinality as w (day, id, number)
),

settled as (
    update raw.rejected_events as r
    set
        processing_status = case
            when c.problem is not null then 'rejected'
            when {expired} then 'discarded'
            else 'replayed'
        end,
        payload = case when c.problem is not null then r.payload end,
        error_code = coalesce({code}, r.error_code),
        error_message = coalesce({message}, r.error_message),
        retry_count = r.retry_count + 1,
        replay_requested_at = null,
        updated_at = %(now)s
    from wanted as w
    join {checked} as c on c.line_no = w.number
    where r.received_day = w.day and r.rejected_id = w.id
    returning r.processing_status
)

select processing_status, count(*)
from settled
group by 1
"""

_SUPERSEDED: Final = """
with wanted as (
    select day, id
    from unnest(%(days)s::date[], %(ids)s::uuid[]) as w (day, id)
),

superseded as (
    select r.received_day, r.rejected_id
    from wanted as w
    join raw.rejected_events as r on r.received_day = w.day and r.rejected_id = w.id
    where
        r.processing_status = 'rejected'
        and {newer}
    for update of r skip locked
)

update raw.rejected_events as r
set
    processing_status = 'discarded',
    payload = null,
    error_code = 'superseded',
    error_message = 'a newer version of the record has been loaded since; there is nothing to do',
    retry_count = r.retry_count + 1,
    replay_requested_at = null,
    updated_at = %(now)s
from superseded as s
where r.received_day = s.received_day and r.rejected_id = s.rejected_id
"""

_NEWER_VERSION: Final = """exists (
            select
            from {table} as p
            where
                p.{id} = r.payload ->> {id_name}
                and p.day between
                (ops.try_timestamptz(r.payload ->> {time_name}) at time zone 'UTC')::date - 1
                and (ops.try_timestamptz(r.payload ->> {time_name}) at time zone 'UTC')::date + 1
                and p.ingested_at > r.rejected_at
        )"""

# A snapshot without a time of its own says what held when it was received.
_NEWER_SPAN: Final = """exists (
            select
            from {table} as p
            where
                p.{id} = r.payload ->> {id_name}
                and case
                    when coalesce(r.payload ->> {time_name}, '') = ''
                        then p.valid_from > r.received_at
                    else
                        p.valid_from = ops.try_timestamptz(r.payload ->> {time_name})
                        and p.ingested_at > r.rejected_at
                end
        )"""
