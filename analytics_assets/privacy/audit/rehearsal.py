"""Releasing generated worlds by the real thing: dbt on Postgres, with keys from a seed.

Belongs here: a scratch database and dbt on it. Does not: worlds, attacks. Invariant: what is tried
is the project's own dbt folder (or the copy that is named), never a re-implementation.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

from psycopg import sql

from analytics_assets.dbt_environment import environment_of_dbt
from analytics_assets.dbt_in_process import dbt_arguments, invoke_dbt
from analytics_assets.privacy.audit.worlds import Worlds, fill
from analytics_assets.privacy.period_keys import ensure_period_keys
from analytics_assets.settings import child_environment
from analytics_assets.store.database import Database, qualified
from analytics_assets.windows import Window

KILL_PATIENCE: Final = 120.0


class RehearsalError(Exception):
    """dbt did not build; the message holds what each node said."""


@dataclass(frozen=True)
class Rehearsal:
    """One database, one dbt folder, and where dbt may write."""

    database: Database
    project_dir: Path
    folder: Path
    start_day: date
    as_of: datetime

    def make_people_tables(self) -> None:
        """Build what the release reads, empty: the views and tables above it."""
        self.dbt("run", "--select", "+tag:release", "--exclude", "tag:release")

    def prepare(self, worlds: Worlds) -> None:
        """Fill the tables of people."""
        with self.database.connect("analytics_pipeline") as connection:
            fill(connection, worlds)

    def draw_keys(self, seed: int = 5, draw: Callable[[int], bytes] | None = None) -> None:
        source = random.Random(seed).randbytes  # noqa: S311
        with self.database.connect("analytics_pipeline") as connection:
            ensure_period_keys(connection, self.start_day, self.as_of, draw or source)

    def release(self, select: str = "tag:release", *more: str) -> None:
        """Release every period that can close. Raises RehearsalError."""
        self.dbt("run", "--select", *select.split(), *more)

    def dbt(self, command: str, *arguments: str) -> None:
        """One dbt invocation in this process: importing dbt anew costs seconds."""
        result = invoke_dbt(
            self.project_dir, self._environment(), self._arguments(command, *arguments)
        )
        if result.exception is not None:
            raise RehearsalError(str(result.exception))
        if not result.success:
            failed = [
                f"{node.node.name}: {node.message}"
                for node in result.result.results  # type: ignore[union-attr]
                if str(node.status) not in {"success", "skipped"}
            ]
            raise RehearsalError("; ".join(failed))

    def release_killed(self, model: str, table: str) -> None:
        """Begin a release in a process of its own, and kill -9 it before its insert.

        An administrator's lock on the table holds it there: counted, noise drawn, nothing told.
        Raises RehearsalError where it never came so far.
        """
        with self.database.connect_as_admin(self.database.name, autocommit=False) as admin:
            admin.execute(sql.SQL("lock table {} in share mode").format(qualified(table)))
            run = subprocess.Popen(
                [
                    *(sys.executable, "-m", "dbt.cli.main"),
                    *self._arguments("run", "--select", model, target="killed"),
                ],
                env=child_environment(self._environment()),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                waiting = self._wait_for_lock(run)
            finally:
                run.kill()
                run.wait()
            # The server notices that its client is gone only when the lock lets it.
            for pid in waiting:
                admin.execute("select pg_terminate_backend(%s)", [pid])

    def _wait_for_lock(self, run: subprocess.Popen[bytes]) -> list[int]:
        deadline = time.monotonic() + KILL_PATIENCE
        with self.database.connect_as_admin(self.database.name) as admin:
            while time.monotonic() < deadline and run.poll() is None:
                waiting = admin.execute(
                    "select pid from pg_stat_activity where datname = current_database()"
                    " and wait_event_type = 'Lock' and wait_event = 'relation'"
                ).fetchall()
                if waiting:
                    return [pid for (pid,) in waiting]
                time.sleep(0.05)
        raise RehearsalError("the release that was to be killed never came to its insert")

    def _environment(self) -> dict[str, str]:
        return environment_of_dbt(
            self.database,
            Window(self.start_day, self.as_of.date()),
            as_of=self.as_of,
            start_day=self.start_day,
        )

    def _arguments(self, command: str, *arguments: str, target: str = "target") -> list[str]:
        return dbt_arguments(
            self.project_dir,
            command,
            *(*arguments, "--threads", "2"),
            folder=self.folder,
            target=target,
        )


@contextmanager
def scratch_database(server: Database, name: str) -> Iterator[Database]:
    """A migrated database of its own on the deployment's server, gone when it is left."""
    from analytics_assets.store.migrate import migrate

    scratch = server.named(name)
    migrate(scratch)
    try:
        yield scratch
    finally:
        with server.connect_as_admin("postgres") as admin:
            for database in (scratch.name, scratch.dagster_name):
                admin.execute(
                    sql.SQL("drop database if exists {} with (force)").format(
                        sql.Identifier(database)
                    )
                )
