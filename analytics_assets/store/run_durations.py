"""How long runs took, kept beyond Dagster's own retention of runs.

Invariant: one row a run, the last report of it wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg


@dataclass(frozen=True)
class RunDuration:
    """One finished run; times are aware, ``partition_end`` is the last day of its window."""

    run_id: str
    job_name: str
    status: str
    started_at: datetime | None
    finished_at: datetime | None
    partition_start: date | None
    partition_end: date | None


def record_run(connection: psycopg.Connection[Any], run: RunDuration) -> None:
    """Write or update the run's row."""
    connection.execute(
        """
        insert into ops.run_durations (
            run_id, job_name, status, started_at, finished_at, seconds,
            partition_start, partition_end
        )
        values (
            %(run_id)s, %(job_name)s, %(status)s, %(started_at)s, %(finished_at)s,
            extract(epoch from %(finished_at)s::timestamptz - %(started_at)s::timestamptz),
            %(partition_start)s, %(partition_end)s
        )
        on conflict (run_id) do update set
            status = excluded.status,
            finished_at = excluded.finished_at,
            seconds = excluded.seconds
        """,
        vars(run),
    )
