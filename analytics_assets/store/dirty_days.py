"""The ledger of days to rebuild: written by loads, replays, deletions; closed by runs.

Belongs here: ``ops.dirty_days`` and which days wait. Does not: starting runs (sensors.py).
Invariant: a day stays open until a run that started after it was dirtied has rebuilt it; a change
during a run is a new revision, which that run does not close.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

import psycopg

from analytics_assets.windows import Window

Reason = Literal["late_data", "replay", "deletion", "consent", "history", "failed_run", "batch"]
# Looking at every entry of a very full inbox twice a minute would cost more than it tells: the
# oldest entries name the days to start with, and the run that follows moves all of them.
_INBOX_PROBE_ROWS: Final = 50_000

_MARK: Final = """
insert into ops.dirty_days (day, reason)
select day, %(reason)s
from unnest(%(days)s::date[]) as day
order by day
"""

# A record without a usable time of its own, or from the future, waits under the day it came in on:
# it must be moved too, if only to quarantine.
_INBOX: Final = """
with probed as (
    select
        seq,
        (received_at at time zone 'UTC')::date as received_day,
        case kind
            when 'event' then payload ->> 'timestamp'
            when 'conversation' then payload ->> 'started_at'
            when 'message' then payload ->> 'created_at'
            when 'service_job' then payload ->> 'created_at'
        end as stamp
    from inbox.entries
    order by seq
    limit %(limit)s
),

dated as (
    select
        seq,
        received_day,
        case when stamp is not null
            then (ops.try_timestamptz(stamp) at time zone 'UTC')::date end as own_day
    from probed
)

select least(coalesce(own_day, received_day), received_day) as day, min(seq)
from dated
group by 1
order by 1
"""


@dataclass(frozen=True)
class WaitingDays:
    """Days to rebuild, in order, and a marker that changes only when there is something new."""

    days: tuple[date, ...]
    marker: str


def mark(connection: psycopg.Connection[Any], days: Collection[date], reason: Reason) -> None:
    """Open a revision for each day, in the caller's transaction.

    Always a new one: a run that has read an older revision of the day may not see this change.
    """
    if days:
        connection.execute(_MARK, {"days": sorted(set(days)), "reason": reason})


def open_days(connection: psycopg.Connection[Any]) -> list[tuple[int, date]]:
    """Open (revision, day) pairs in the order of their revisions."""
    found = connection.execute(
        "select revision, day from ops.dirty_days where closed_at is null order by revision"
    ).fetchall()
    return [(int(revision), day) for revision, day in found]


def newest_revision(connection: psycopg.Connection[Any]) -> int:
    """The newest open revision, which a run remembers at its start; 0 where none is open."""
    row = connection.execute(
        "select coalesce(max(revision), 0) from ops.dirty_days where closed_at is null"
    ).fetchone()
    return int(row[0]) if row else 0


def close(
    connection: psycopg.Connection[Any], up_to_revision: int, window: Window, run_id: str
) -> int:
    """Close the window's revisions that a run has read at its start; returns how many."""
    return connection.execute(
        """
        update ops.dirty_days
        set closed_at = now(), closed_by = %s
        where closed_at is null and revision <= %s and day >= %s and day < %s
        """,
        [run_id, up_to_revision, window.start, window.end],
    ).rowcount


def days_waiting(connection: psycopg.Connection[Any]) -> WaitingDays:
    """Days of records in the inbox and open dirty days."""
    inbox = connection.execute(_INBOX, {"limit": _INBOX_PROBE_ROWS}).fetchall()
    dirty = open_days(connection)
    days = {day for day, _ in inbox} | {day for _, day in dirty}
    # The oldest entry, not the newest: new arrivals behind it wait for the same run.
    oldest = min((int(seq) for _, seq in inbox), default=0)
    newest = max((revision for revision, _ in dirty), default=0)
    return WaitingDays(tuple(sorted(days)), f"{newest}:{oldest}")
