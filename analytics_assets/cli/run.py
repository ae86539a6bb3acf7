"""``analytics-assets run``: load the sources and materialize every asset in one run.

Belongs here: choosing window and clock, progress, and what is printed afterwards. Does not: the
run itself, which is Dagster's. Invariant: one call is one Dagster run, kept in its history.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analytics_assets.cli import report
from analytics_assets.cli.console import errors, notes, settings_or_exit, told_plainly
from analytics_assets.cli.sample import DAYS, START_DAY, write_sample
from analytics_assets.cli.serve import prepare
from analytics_assets.settings import (
    DEPLOYMENT_FILE,
    PREFIX,
    Settings,
    export_to_process,
    write_deployment_file,
)
from analytics_assets.windows import Window, next_month

if TYPE_CHECKING:
    import dagster as dg

MONTH_HOLD_BACK = timedelta(days=7)
# Dagster keeps every event; the terminal shows progress and the outcome instead.
POLL_SECONDS = 1.0
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run(
    sources: Annotated[
        Path | None, typer.Option(help="Sources file; the sample where there is none.")
    ] = None,
    start: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day to materialize.")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day to materialize.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Load the sources and materialize all assets for all days, in one run."""
    settings = _deployment(sources)
    export_to_process(prepare(settings))

    import dagster as dg

    from analytics_assets.partitions import daily_partitions, deployment_window, range_tags

    whole = deployment_window(settings)
    try:
        window = Window(
            start.date() if start else whole.start,
            end.date() + timedelta(days=1) if end else whole.end,
        )
        tags = range_tags(window, daily_partitions(settings))
    except ValueError as error:
        errors.print(f"error: {error}", style="bold red")
        raise typer.Exit(2) from None
    began = datetime.now(UTC)
    with told_plainly(), _database_loss_told(), dg.DagsterInstance.get() as instance:
        # Kept connections: one for each of 1,400 events is 7 s of a run.
        instance.optimize_for_webserver(statement_timeout=0, pool_recycle=3600, max_overflow=10)
        result = _execute(settings, instance, tags, quiet=as_json)
        record = instance.get_run_record_by_id(result.run_id)
        step_seconds = _step_seconds(instance, result.run_id)
        seconds = (datetime.now(UTC) - began).total_seconds()
        outcome = report.collect(settings, window, result.run_id, seconds, step_seconds)
        _keep_duration(settings, window, record)
    outcome.new_rows = _new_rows(result)
    outcome.suppressed_rows = _counted(result, "rows_suppressed")
    failures = _failures(result)
    report.show(outcome, failures, as_json=as_json)
    if not result.success:
        raise typer.Exit(1)


def _execute(
    settings: Settings, instance: dg.DagsterInstance, tags: dict[str, str], *, quiet: bool
) -> dg.ExecuteInProcessResult:
    """Run everything in this process, after the runs that would keep it waiting."""
    from analytics_assets.jobs import EVERYTHING
    from analytics_assets.killed_runs import COMMAND_LINE_TAGS, end_killed_commands, shown_alive
    from analytics_assets.store.database import Database

    with warnings.catch_warnings():
        # Dagster and dbt print notes of beta parameters on every load.
        warnings.simplefilter("ignore")
        from analytics_assets.definitions import build_definitions

        job = build_definitions(settings).resolve_job_def(EVERYTHING)
        database = Database.open(settings)
        end_killed_commands(instance, database)
        _wait_for_pools(instance)
        run_id = str(uuid.uuid4())
        with (
            shown_alive(database, run_id),
            _progress(instance, quiet),
            _noise_to(settings.home / "logs" / "run.log"),
        ):
            return job.execute_in_process(
                run_id=run_id,
                instance=instance,
                tags={**tags, **COMMAND_LINE_TAGS},
                run_config=QUIET,
                raise_on_error=False,
            )


def _wait_for_pools(instance: dg.DagsterInstance) -> None:
    """Wait here, where Ctrl-C is heard, and not inside the run, where Dagster defers it."""
    from analytics_assets.killed_runs import runs_holding_pools

    told = False
    while holding := runs_holding_pools(instance):
        if not told:
            names = ", ".join(run_id[:8] for run_id in holding)
            notes.print(
                f"waiting for run {names}, which writes the same tables; if the platform that "
                "ran it was killed, `analytics-assets up` ends it (Ctrl-C stops waiting)"
            )
            told = True
        time.sleep(POLL_SECONDS)


@contextmanager
def _database_loss_told() -> Iterator[None]:
    """Say plainly that Postgres went away under the run; Dagster itself only raises."""
    import psycopg
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, DagsterPostgresException, psycopg.OperationalError):
        errors.print(
            "error: Postgres went away during the run; nothing is lost. Run the same command "
            "again: it continues from what was committed",
            style="bold red",
        )
        raise typer.Exit(1) from None


def _deployment(sources: Path | None) -> Settings:
    """Settings of this run; a new deployment without sources becomes that of the sample."""
    settings = settings_or_exit()
    if sources is not None:
        return settings_or_exit(sources_file=sources)
    if settings.sources_file is not None:
        _refresh_sample(settings)
        return settings
    file = write_sample(settings.home / "sample")
    last = START_DAY + timedelta(days=DAYS)
    as_of = (
        datetime.combine(next_month(last - timedelta(days=1)), clock_time.min, UTC)
        + MONTH_HOLD_BACK
    )
    path = write_deployment_file(
        settings.home,
        {
            "sources_file": str(file),
            "start_day": START_DAY.isoformat(),
            "as_of": as_of.isoformat(),
        },
    )
    notes.print(f"clock pinned to {as_of:%Y-%m-%d} for the sample, in {path}")
    return settings_or_exit()


def _refresh_sample(settings: Settings) -> None:
    """Write the sample again if someone has removed its files."""
    sample_folder = settings.home / "sample"
    if settings.sources_file is not None and settings.sources_file.parent == sample_folder:
        write_sample(sample_folder)
    elif settings.sources_file is not None and not settings.sources_file.exists():
        errors.print(
            f"error: {settings.sources_file} does not exist; correct {PREFIX}SOURCES_FILE, which "
            f"may stand in {settings.home / DEPLOYMENT_FILE}",
            style="bold red",
        )
        raise typer.Exit(1)


@contextmanager
def _progress(instance: dg.DagsterInstance, quiet: bool) -> Iterator[None]:
    """Show the newest run's steps as they end, until left."""
    if quiet:
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    done = threading.Event()
    columns = (
        TextColumn("{task.description:<44}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    terminal = Console(file=sys.stdout)
    with Progress(*columns, console=terminal, transient=not terminal.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        watcher = threading.Thread(
            target=_watch, args=(instance, bar, task, done), name="progress", daemon=True
        )
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join(timeout=5)


@contextmanager
def _noise_to(log: Path) -> Iterator[None]:
    """Send what libraries print to a file; dbt's lines are there for whoever looks."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file, redirect_stdout(file):
        # A root logger without a handler would write every retry to the terminal.
        handler = logging.StreamHandler(file)
        logging.getLogger().addHandler(handler)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(handler)


def _watch(instance: dg.DagsterInstance, bar: Any, task: Any, done: threading.Event) -> None:
    import dagster as dg

    known = {record.dagster_run.run_id for record in instance.get_run_records(limit=1)}
    while not done.wait(0.5):
        newest = instance.get_run_records(limit=1)
        if not newest or newest[0].dagster_run.run_id in known:
            continue
        run_id = newest[0].dagster_run.run_id
        plan = instance.get_run_by_id(run_id)
        total = len(plan.step_keys_to_execute or []) if plan else 0
        finished = instance.all_logs(
            run_id, of_type={dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}
        )
        started = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_START)
        current = started[-1].step_key if started else "planning"
        bar.update(task, description=str(current), completed=len(finished), total=total or None)


def _step_seconds(instance: dg.DagsterInstance, run_id: str) -> dict[str, float]:
    """Seconds of each step that ended.

    Dagster's own step statistics read every materialization back: 2 GB for 4,800 days.
    """
    import dagster as dg

    begin = dg.DagsterEventType.STEP_START
    ends = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}
    started: dict[str | None, float] = {}
    seconds = {}
    for entry in instance.all_logs(run_id, of_type={begin, *ends}):
        if entry.get_dagster_event().event_type is begin:
            started[entry.step_key] = entry.timestamp
        elif entry.step_key in started:
            seconds[str(entry.step_key)] = entry.timestamp - started[entry.step_key]
    return seconds


def _failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """One line for each step or check that failed; messages were scrubbed where they arose."""
    lines = []
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            cause = error.cause if error and error.cause else error
            lines.append(f"{event.step_key}: {cause.message.strip() if cause else 'failed'}")
    return lines


def _new_rows(result: dg.ExecuteInProcessResult) -> int:
    """How many rows the sources gave that were not there before, good and bad."""
    # Each table tells its own rejected rows, and quarantine tells all of them.
    return _counted(result, "rows_loaded") + _counted(
        result, "rows_rejected", "rows_replayed", of="rejected_events"
    )


def _counted(result: dg.ExecuteInProcessResult, *names: str, of: str | None = None) -> int:
    """Sum of these facts over all tables, or one.

    There is one event for each day, and every one of them tells what the whole window had.
    """
    counted: dict[tuple[str, ...], int] = {}
    for event in result.get_asset_materialization_events():
        key, facts = tuple(event.materialization.asset_key.path), event.materialization.metadata
        if of is None or key == ("raw", of):
            counted[key] = sum(int(str(facts[name].value)) for name in names if name in facts)
    return sum(counted.values())


def _keep_duration(settings: Settings, window: Window, record: dg.RunRecord | None) -> None:
    from analytics_assets.store.database import Database
    from analytics_assets.store.run_durations import RunDuration, record_run

    if record is None:
        return
    with Database.open(settings).connect("analytics_pipeline") as connection:
        record_run(
            connection,
            RunDuration(
                run_id=record.dagster_run.run_id,
                job_name=record.dagster_run.job_name,
                status=record.dagster_run.status.value,
                started_at=_moment(record.start_time),
                finished_at=_moment(record.end_time),
                partition_start=window.start,
                partition_end=window.last_day,
            ),
        )


def _moment(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
