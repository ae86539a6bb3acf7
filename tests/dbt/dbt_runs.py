"""How tests run dbt: in this process, or as a process of its own.

Belongs here: environment, arguments and outcome of one ``dbt build``. Does not: fixtures, rows.
Invariant: dbt runs as the pipeline's role, with the window in its session, as in production.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from analytics_assets.dbt_environment import connection_of_dbt
from analytics_assets.dbt_in_process import SILENT, dbt_arguments, invoke_dbt
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
    session: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The variables dbt is given, ``session`` settings among them; an end of None is left unset."""
    settings = {
        "analytics.min_day": min_day and min_day.isoformat(),
        "analytics.max_day": max_day and max_day.isoformat(),
        "analytics.as_of": as_of.isoformat(),
        "analytics.start_day": start_day.isoformat(),
        **(session or {}),
    }
    return connection_of_dbt(
        database, {name: value for name, value in settings.items() if value is not None}
    )


class DbtBuilder:
    """Runs ``dbt build`` for one database."""

    flags: tuple[str, ...] = (*SILENT, "--no-write-json")

    def __init__(self, database: Database, folder: Path, project: Path = PROJECT_DIR) -> None:
        self.database = database
        self.folder = folder
        self.project = project

    def build(
        self,
        min_day: date | None,
        max_day: date | None,
        *,
        select: str = "tag:marts",
        as_of: datetime = AS_OF,
        start_day: date = START_DAY,
        threads: int = 2,
        session: Mapping[str, str] | None = None,
        extra: Sequence[str] = (),
        command: str = "build",
    ) -> DbtOutcome:
        """Build in this process (importing dbt anew costs seconds); never raises on failures.

        With the command ``test``, tests alone, each of them whichever other fails.
        """
        environment = dbt_environment(
            self.database, min_day, max_day, as_of=as_of, start_day=start_day, session=session
        )
        result = invoke_dbt(
            self.project, environment, self._arguments(command, select, threads, *extra)
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
        self,
        min_day: date,
        max_day: date,
        *,
        select: str = "tag:marts",
        lane: str = "lane",
        as_of: datetime = AS_OF,
        start_day: date = START_DAY,
        extra: Sequence[str] = (),
    ) -> subprocess.Popen[str]:
        """Start ``dbt build`` as a process of its own, as Dagster does."""
        arguments = self._arguments("build", select, 2, *extra, target=lane)
        return subprocess.Popen(
            [sys.executable, "-m", "dbt.cli.main", *arguments],
            env={
                **os.environ,
                **dbt_environment(
                    self.database, min_day, max_day, as_of=as_of, start_day=start_day
                ),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _arguments(
        self, command: str, select: str, threads: int, *extra: str, target: str = "target"
    ) -> list[str]:
        selection = ("--select", select, "--threads", str(threads), *extra)
        return dbt_arguments(
            self.project,
            command,
            *selection,
            folder=self.folder,
            target=target,
            flags=self.flags,
        )
