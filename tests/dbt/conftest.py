"""Real dbt against a real database: one builder a module, and a few ways to put raw rows in.

Belongs here: how tests of models run dbt. Does not: what the models must say. Invariant: dbt runs
as the pipeline's role, with the window in its session, as in production.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from analytics_assets.settings import PROJECT_ROOT
from analytics_assets.store.database import Database

PROJECT_DIR = PROJECT_ROOT / "dbt"
START_DAY = date(2026, 4, 27)
AS_OF = datetime(2026, 6, 8, tzinfo=UTC)
FINE = frozenset({"success", "pass", "warn"})


@dataclass(frozen=True)
class DbtOutcome:
    """What one ``dbt build`` did: the status, seconds and message of each node by its name."""

    success: bool
    statuses: Mapping[str, str]
    seconds: Mapping[str, float]
    messages: Mapping[str, str]

    def failed(self) -> dict[str, str]:
        """Nodes that neither succeeded nor were skipped, with their messages."""
        return {
            name: self.messages[name]
            for name, status in self.statuses.items()
            if status not in FINE and status != "skipped"
        }

    def check(self) -> DbtOutcome:
        """This outcome, or an assertion error that names what failed."""
        assert self.success, self.failed()
        return self


def dbt_environment(
    database: Database,
    min_day: date | None,
    max_day: date | None,
    *,
    as_of: datetime = AS_OF,
    start_day: date = START_DAY,
) -> dict[str, str]:
    """The variables dbt is given; a window end of None is left unset."""
    session = {
        "analytics.min_day": min_day and min_day.isoformat(),
        "analytics.max_day": max_day and max_day.isoformat(),
        "analytics.as_of": as_of.isoformat(),
        "analytics.start_day": start_day.isoformat(),
        "enable_partitionwise_aggregate": "on",
        "timezone": "UTC",
        "jit": "off",
    }
    parameters = database.parameters("analytics_pipeline")
    return {
        "ANALYTICS_DBT_HOST": str(parameters["host"]),
        "ANALYTICS_DBT_PORT": str(parameters["port"]),
        "ANALYTICS_DBT_DBNAME": str(parameters["dbname"]),
        "ANALYTICS_DBT_USER": str(parameters["user"]),
        "ANALYTICS_DBT_PASSWORD": str(parameters["password"]),
        "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in session.items() if value),
    }


class DbtBuilder:
    """Runs ``dbt build`` for one database; the parsed project is kept between its runs."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder

    def build(
        self,
        min_day: date | None,
        max_day: date | None,
        *,
        select: str = "tag:marts",
        as_of: datetime = AS_OF,
        start_day: date = START_DAY,
        threads: int = 2,
        extra: Sequence[str] = (),
    ) -> DbtOutcome:
        """Build in this process (importing dbt anew costs seconds); never raises on failures."""
        from dbt.cli.main import dbtRunner

        environment = dbt_environment(
            self.database, min_day, max_day, as_of=as_of, start_day=start_day
        )
        with _environment(environment):
            result = dbtRunner().invoke(
                [*self._arguments("target", select, threads, quiet=True), *extra]
            )
        if result.exception is not None:
            raise result.exception
        assert result.result is not None
        statuses: dict[str, str] = {}
        seconds: dict[str, float] = {}
        messages: dict[str, str] = {}
        for node in result.result.results:  # type: ignore[union-attr]
            statuses[node.node.name] = str(node.status)
            seconds[node.node.name] = node.execution_time
            messages[node.node.name] = str(node.message)
        return DbtOutcome(bool(result.success), statuses, seconds, messages)

    def start(
        self, min_day: date, max_day: date, *, select: str = "tag:marts", lane: str = "lane"
    ) -> subprocess.Popen[str]:
        """Start ``dbt build`` as a process of its own, as Dagster does."""
        command = [sys.executable, "-m", "dbt.cli.main"]
        return subprocess.Popen(
            [*command, *self._arguments(lane, select, 2, quiet=False)],
            env={**os.environ, **dbt_environment(self.database, min_day, max_day)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _arguments(self, lane: str, select: str, threads: int, *, quiet: bool) -> list[str]:
        return [
            *(["--quiet", "--log-level", "none", "--log-level-file", "none"] if quiet else []),
            "build",
            "--select",
            select,
            "--threads",
            str(threads),
            "--project-dir",
            str(PROJECT_DIR),
            "--profiles-dir",
            str(PROJECT_DIR),
            "--target-path",
            str(self.folder / lane),
            "--log-path",
            str(self.folder / f"{lane}-logs"),
        ]


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@pytest.fixture
def run_dbt(database: Database, tmp_path: Path) -> Callable[..., DbtOutcome]:
    """``run_dbt(min_day, max_day, select=..., as_of=..., start_day=...)`` on this test's database.

    It returns the outcome whether or not it succeeded; call ``.check()`` where it must.
    """
    return DbtBuilder(database, tmp_path / "dbt").build


@pytest.fixture
def dbt_builder(database: Database, tmp_path: Path) -> DbtBuilder:
    """The builder itself, for tests that start dbt as a process."""
    return DbtBuilder(database, tmp_path / "dbt")


class RawRows:
    """Puts rows into ``raw`` as the loader would, making day partitions as needed."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def events(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert events; each needs event_type, event_category and timestamp."""
        for row in rows:
            self.event_partition(row["event_category"], row["timestamp"].date())
            self._insert("raw.platform_events", row, "timestamp", event_id=True)

    def table(self, name: str, rows: Sequence[Mapping[str, Any]], moment: str) -> None:
        """Insert into a raw table partitioned by the UTC day of its column ``moment``."""
        for row in rows:
            self.day_partition(name, row[moment].date())
            self._insert(f"raw.{name}", row, moment)

    def history(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert into raw.users or raw.servers."""
        for row in rows:
            self._insert(f"raw.{name}", row, None)

    def event_partition(self, category: str, day: date) -> None:
        parent = f"platform_events_{category}"
        self.connection.execute(
            sql.SQL(
                "create table if not exists raw.{} partition of raw.platform_events "
                "for values in ({}) partition by range (day)"
            ).format(sql.Identifier(parent), sql.Literal(category))
        )
        self.day_partition(parent, day)

    def day_partition(self, parent: str, day: date) -> None:
        self.connection.execute(
            sql.SQL(
                "create table if not exists raw.{} partition of raw.{} for values from ({}) to ({})"
            ).format(
                sql.Identifier(f"{parent}_{day:%Y%m%d}"),
                sql.Identifier(parent),
                sql.Literal(day.isoformat()),
                sql.Literal(date.fromordinal(day.toordinal() + 1).isoformat()),
            )
        )

    def drop_events_of(self, category: str, day: date) -> None:
        """Prune one day of a category as retention does: floor first, then the drop."""
        self.connection.execute(
            """
            insert into ops.retention_floor (event_category, kept_from) values (%s, %s)
            on conflict (event_category) do update set kept_from = excluded.kept_from
            """,
            [category, date.fromordinal(day.toordinal() + 1)],
        )
        self.connection.execute(
            sql.SQL("drop table raw.{}").format(
                sql.Identifier(f"platform_events_{category}_{day:%Y%m%d}")
            )
        )

    def _insert(
        self, table: str, row: Mapping[str, Any], moment: str | None, *, event_id: bool = False
    ) -> None:
        from psycopg.types.json import Jsonb

        values = {"source": "test", **row}
        if moment is not None:
            values["day"] = row[moment].astimezone(UTC).date()
        values = {k: Jsonb(v) if isinstance(v, dict) else v for k, v in values.items()}
        names = list(values)
        expressions: list[sql.Composable] = [sql.Placeholder()] * len(names)
        if event_id and "event_id" not in values:
            names.append("event_id")
            expressions.append(sql.SQL("gen_random_uuid()"))
        self.connection.execute(
            sql.SQL("insert into {} ({}) values ({})").format(
                sql.Identifier(*table.split(".")),
                sql.SQL(", ").join(map(sql.Identifier, names)),
                sql.SQL(", ").join(expressions),
            ),
            list(values.values()),
        )


@pytest.fixture
def pipeline(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the pipeline's role, every statement committed at once."""
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        yield connection


@pytest.fixture
def raw(pipeline: psycopg.Connection[Any]) -> RawRows:
    return RawRows(pipeline)
