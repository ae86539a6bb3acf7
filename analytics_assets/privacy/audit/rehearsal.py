"""Releasing generated worlds by the real thing: dbt on Postgres, with keys from a seed.

Belongs here: a scratch database and dbt on it. Does not: worlds, attacks. Invariant: what is tried
is the project's own dbt folder (or the copy that is named), never a re-implementation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from psycopg import sql

from analytics_assets.dbt_environment import environment_of_dbt
from analytics_assets.privacy.audit.worlds import Worlds, fill
from analytics_assets.privacy.period_keys import ensure_period_keys
from analytics_assets.settings import exported
from analytics_assets.store.database import Database
from analytics_assets.windows import Window


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
        from dbt.cli.main import dbtRunner

        environment = environment_of_dbt(
            self.database,
            Window(self.start_day, self.as_of.date()),
            as_of=self.as_of,
            start_day=self.start_day,
        )
        with exported(environment):
            result = dbtRunner().invoke(
                [
                    *("--quiet", "--log-level", "none", "--log-level-file", "none"),
                    *(command, *arguments),
                    *("--threads", "2"),
                    *("--project-dir", str(self.project_dir)),
                    *("--profiles-dir", str(self.project_dir)),
                    *("--target-path", str(self.folder / "target")),
                    *("--log-path", str(self.folder / "logs")),
                ]
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


@contextmanager
def cloned_database(template: Database, name: str) -> Iterator[Database]:
    """A copy of a database nobody is connected to, gone when it is left."""
    from analytics_assets.store.migrate import restrict_connections

    clone = template.named(name)
    with template.connect_as_admin("postgres") as admin:
        admin.execute(
            sql.SQL("create database {} template {} owner analytics_owner").format(
                sql.Identifier(clone.name), sql.Identifier(template.name)
            )
        )
        restrict_connections(admin, clone.name, dagster=False)
    try:
        yield clone
    finally:
        with template.connect_as_admin("postgres") as admin:
            admin.execute(
                sql.SQL("drop database {} with (force)").format(sql.Identifier(clone.name))
            )
