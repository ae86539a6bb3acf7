"""Quarantined events tried again, when what made them fail may have changed.

Belongs here: which rows are tried, and what becomes of them. Does not: the checks, which are those
of every load. Invariant: a row is tried again only after the catalogue or the first day changed,
when its time has come, or when somebody asks for it; replaying twice without a change touches
nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql

from analytics_assets.events.sql_text import problem_code, problem_message
from analytics_assets.sources.contract import CONTRACTS
from analytics_assets.sources.inbox import payload_columns
from analytics_assets.sources.stage_events import EventStage
from analytics_assets.sources.staging import LoadRules, Origin, PartitionMaker, in_transaction
from analytics_assets.store.database import Database

ROWS_PER_TRANSACTION: Final = 10_000
_LOG_SOURCE: Final = "(replay)"
_ORIGIN: Final = Origin("replay", "replay", "replay ")
_Key = tuple[date, UUID]


@dataclass
class ReplayOutcome:
    """Quarantined rows by what became of them, and the days that got rows."""

    tried: int = 0
    replayed: int = 0
    days: set[date] = field(default_factory=set)


def replay_rejected(
    database: Database, rules: LoadRules, partitions: PartitionMaker
) -> ReplayOutcome:
    """Try quarantined events again with the present catalogue and settings.

    Those that pass enter ``raw.platform_events`` and are marked replayed (their payload goes, since
    the row is where it belongs); those past their retention are discarded; the others keep their
    newest reason and count the attempt.
    """
    outcome = ReplayOutcome()
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        fingerprint = _fingerprint(rules)
        changed = _last_fingerprint(connection) != fingerprint
        keys = _candidates(connection, rules, after=None, everything=changed)
        if keys:
            stage = EventStage(CONTRACTS["platform_events"], rules, partitions)
            stage.open(connection)
            work = _Replay(connection, stage, outcome)
        while keys:
            work.keys = keys
            in_transaction(connection, partitions, work.run)
            keys = _candidates(connection, rules, after=keys[-1], everything=changed)
        if changed:
            _remember(connection, fingerprint)
    return outcome


@dataclass
class _Replay:
    """One batch of a replay, in the caller's transaction."""

    connection: psycopg.Connection[Any]
    stage: EventStage
    outcome: ReplayOutcome
    keys: list[_Key] = field(default_factory=list)

    def run(self) -> None:
        columns = payload_columns(self.stage.contract)
        days, ids = [day for day, _ in self.keys], [identity for _, identity in self.keys]
        taken = self.connection.execute(
            sql.SQL(_STAGE).format(
                staged=self.stage.staged,
                names=sql.SQL(", ").join(map(sql.Identifier, columns)),
                values=sql.SQL(", ").join(columns.values()),
            ),
            {"days": days, "ids": ids},
        ).rowcount
        admitted = self.stage.admit(self.connection, _ORIGIN, "replay")
        found = self.connection.execute(
            sql.SQL(_SETTLE).format(
                checked=self.stage.checked,
                code=problem_code(sql.SQL("c.problem")),
                message=problem_message(sql.SQL("c.problem")),
            ),
            {"days": days, "ids": ids, "now": self.stage.rules.now},
        ).fetchall()
        self.outcome.tried += taken
        self.outcome.replayed += sum(rows for status, rows in found if status == "replayed")
        self.outcome.days |= admitted.days


def _candidates(
    connection: psycopg.Connection[Any],
    rules: LoadRules,
    *,
    after: _Key | None,
    everything: bool,
) -> list[_Key]:
    found = connection.execute(
        _CANDIDATES,
        {
            "after_day": after[0] if after else date.min,
            "after_id": after[1] if after else UUID(int=0),
            "everything": everything,
            "latest": rules.now + rules.clock_skew,
            "limit": ROWS_PER_TRANSACTION,
        },
    ).fetchall()
    return [(day, identity) for day, identity in found]


def _fingerprint(rules: LoadRules) -> str:
    decisive = f"{rules.catalogue.fingerprint} {rules.start_day.isoformat()}"
    return hashlib.sha256(decisive.encode()).hexdigest()


def _last_fingerprint(connection: psycopg.Connection[Any]) -> str | None:
    row = connection.execute(
        "select fingerprint from ops.load_log where source = %s"
        " order by loaded_at desc, load_id desc limit 1",
        [_LOG_SOURCE],
    ).fetchone()
    return row[0] if row else None


def _remember(connection: psycopg.Connection[Any], fingerprint: str) -> None:
    connection.execute(
        "insert into ops.load_log (source, fingerprint, chunk, lane, finished)"
        " values (%s, %s, 0, 0, true) on conflict (source, fingerprint, chunk, lane)"
        " do update set loaded_at = now()",
        [_LOG_SOURCE, fingerprint],
    )


_CANDIDATES: Final = """
select received_day, rejected_id
from raw.rejected_events
where
    processing_status = 'rejected'
    and kind = 'event'
    and payload is not null
    and received_day >= %(after_day)s
    and (received_day, rejected_id) > (%(after_day)s, %(after_id)s)
    and (
        %(everything)s
        or replay_requested_at is not null
        or (
            error_code = 'future_timestamp'
            and ops.try_timestamptz(payload ->> 'timestamp') <= %(latest)s
        )
    )
order by received_day, rejected_id
limit %(limit)s
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
            when c.expired then 'discarded'
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
