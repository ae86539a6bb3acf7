"""Runs whose process was killed: found, called failed, and their places in the pools given back.

Belongs here: what Dagster does not notice by itself for hours, while the dead run keeps every later
one waiting for its pool. Does not: running anything. Invariant: a run of the command line holds an
advisory lock in Dagster's database as long as its process lives, so a free lock means a dead run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg

from analytics_assets.store.database import Database

if TYPE_CHECKING:
    import dagster as dg

LAUNCHED_BY_TAG = "analytics/launched_by"
COMMAND_LINE = "command line"
# Nobody but the person at the command line starts such a run again.
COMMAND_LINE_TAGS = {LAUNCHED_BY_TAG: COMMAND_LINE, "dagster/max_retries": "0"}


@contextmanager
def shown_alive(database: Database, run_id: str) -> Iterator[None]:
    """Hold the lock that says the run's process lives; the server frees it when it dies."""
    connection = _dagster_connection(database)
    try:
        connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [run_id])
        yield
    finally:
        # The server may have gone away meanwhile, and the lock with it.
        with suppress(psycopg.Error):
            connection.close()


def end_killed_commands(instance: dg.DagsterInstance, database: Database) -> list[str]:
    """Call runs of the command line failed whose process is gone; returns their ids."""
    ended = []
    with _dagster_connection(database) as connection:
        for run in _under_way(instance):
            if run.tags.get(LAUNCHED_BY_TAG) != COMMAND_LINE:
                continue
            row = connection.execute(
                "select pg_try_advisory_lock(hashtextextended(%s, 0))", [run.run_id]
            ).fetchone()
            if row == (True,):
                connection.execute("select pg_advisory_unlock_all()")
                _end(instance, run, "The process of this run was killed.")
                ended.append(run.run_id)
    return ended


def end_launched_runs(instance: dg.DagsterInstance) -> list[str]:
    """Call launched runs failed; for when no code server is up that could be running them."""
    ended = []
    for run in _under_way(instance):
        if run.tags.get(LAUNCHED_BY_TAG) != COMMAND_LINE:
            _end(instance, run, "The platform was stopped while this run was under way.")
            ended.append(run.run_id)
    return ended


def runs_holding_pools(instance: dg.DagsterInstance) -> list[str]:
    """Ids of the runs that others have to wait for; finished ones give their places back."""
    waiting = []
    for run_id in sorted(instance.event_log_storage.get_concurrency_run_ids()):
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        else:
            waiting.append(run_id)
    return waiting


def _under_way(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    import dagster as dg

    states = [
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    records = instance.get_run_records(dg.RunsFilter(statuses=states))
    return [record.dagster_run for record in records]


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, message: str) -> None:
    instance.report_run_failed(run, message)
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _dagster_connection(database: Database) -> psycopg.Connection[Any]:
    return database.named(database.dagster_name).connect("analytics_dagster", autocommit=True)
