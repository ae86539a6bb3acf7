"""A deployment as its operator has it: a home, a database, the command line, Dagster's GraphQL.

Belongs here: driving the platform's processes from outside. Does not: what is expected of them.
Invariant: nothing is imported from Dagster; waiting is asking again, with a limit.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx

from analytics_assets.privacy.period_keys import ensure_period_keys
from analytics_assets.store.database import Database

PROGRAM = str(Path(sys.executable).with_name("analytics-assets"))
PATIENCE = 200.0
# Everything that must not change when a window is materialized again; run times and drawn ids may.
CONTENT = {
    "raw.platform_events": "event_id, event_type, day, user_id, user_role, event_data",
    "raw.rejected_events": "rejected_id, error_code",
    "raw.conversations": "conversation_id, user_id, day, title",
    "raw.messages": "message_id, user_id, day, content",
    "raw.service_jobs": "job_id, user_id, day, status",
    "marts.event_aggregations": "event_type, aggregation_type, period_start, total_events,"
    " unique_users",
    "marts.daily_metrics": "date, metric_name, metric_value",
    "marts.server_installs": "*",
    "insights.user_activity": "*",
    "insights.return_predictions": "*",
    "insights.payment_signals": "*",
    "insights.metric_anomalies": "*",
    "insights.success_metrics": "*",
    "insights.daily_summary": "day, markdown",
    "anonymous.analytics_events": "event_type, archetype, activity_score_bucket,"
    " collab_score_bucket, diversity_score_bucket, ai_savviness_bucket, ai_percentage_bucket,"
    " top_languages, tools_detected, template_used, created_at",
    "published.ai_usage_trends": "*",
    "published.archetype_distribution": "*",
    "published.event_trends": "*",
    "published.install_trends": "*",
    "published.search_trends": "*",
    "published.use_cases": "*",
    "published.feature_requests": "*",
    "published.friction_points": "*",
    "published.personas": "*",
    "insights.use_cases": "*",
    "insights.feature_requests": "*",
    "insights.friction_points": "*",
    "insights.personas": "*",
    "insights.segments": "*",
    "insights.clusters": "*",
}


class Deployment:
    """One home; without a database it has the embedded server of that home."""

    def __init__(
        self, home: Path, database: Database | None, sources: Path, start: str, as_of: str
    ) -> None:
        self.home = home
        self.external = database
        self.ui_port, self.code_port, self.api_port = free_ports(3)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("ANALYTICS_")},
            "ANALYTICS_HOME": str(home),
            "ANALYTICS_START_DAY": start,
            "ANALYTICS_AS_OF": as_of,
            "ANALYTICS_SOURCES_FILE": str(sources),
            # A process of its own in each run; tests/insights has its tests.
            "ANALYTICS_SCRUB_NER": "off",
            "ANALYTICS_UI_PORT": str(self.ui_port),
            "ANALYTICS_CODE_SERVER_PORT": str(self.code_port),
            "ANALYTICS_API_PORT": str(self.api_port),
        }
        if database is not None:
            self.environment["ANALYTICS_DATABASE_URL"] = (
                f"postgresql://{database.superuser}:{database.admin_password}"
                f"@{database.host}:{database.port}/{database.name}"
            )

    @property
    def database(self) -> Database:
        if self.external is not None:
            return self.external
        from analytics_assets.settings import load_settings

        return Database.open(load_settings(home=self.home, start_day="2025-01-01"))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command left running, what it prints on standard output and error in ``home``."""
        self.home.mkdir(exist_ok=True)
        with (
            (self.home / "stdout.txt").open("w") as out,
            (self.home / "stderr.txt").open("w") as err,
        ):
            return subprocess.Popen(
                [PROGRAM, *arguments], env=self.environment, stdout=out, stderr=err, text=True
            )

    def said(self) -> str:
        """What the last started command printed."""
        return "".join((self.home / f"std{n}.txt").read_text() for n in ("out", "err"))

    def run(self, *arguments: str) -> dict[str, Any]:
        done = self.command("run", "--json", *arguments)
        assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
        outcome: dict[str, Any] = json.loads(done.stdout)
        return outcome

    def query(self, statement: str, role: str = "analytics_pipeline") -> list[Any]:
        with self.database.connect(role) as connection:
            return connection.execute(statement.encode()).fetchall()

    def query_dagster(self, statement: str) -> list[Any]:
        dagster = self.database.named(self.database.dagster_name)
        with dagster.connect("analytics_dagster") as connection:
            return connection.execute(statement.encode()).fetchall()

    def content(self) -> dict[str, str]:
        """A digest of every table that must come out the same."""
        return {
            table: self.query(
                f"select md5(coalesce(string_agg(r::text, '' order by r::text), ''))"
                f" from (select {columns} from {table}) as r"
            )[0][0]
            for table, columns in CONTENT.items()
        }

    def ask(self, query: str, **variables: Any) -> Any:
        """One GraphQL query to the webserver; its data."""
        answer = httpx.post(
            f"http://127.0.0.1:{self.ui_port}/graphql",
            json={"query": query, "variables": variables},
            timeout=60,
        )
        told = answer.json()
        assert "errors" not in told, told
        return told["data"]

    def processes(self) -> dict[int, str]:
        """Every process with this home in its environment, by id."""
        mark = f"ANALYTICS_HOME={self.home}\0".encode()
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                try:
                    if mark in (folder / "environ").read_bytes():
                        line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                        if line:
                            found[int(folder.name)] = line
                except OSError:
                    continue
        return found

    def kill_all(self) -> None:
        """For the end of a test that failed: nothing of this home goes on."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def wait_until(what: str, holds: Callable[[], Any], *, every: float = 0.25) -> Any:
    """Ask until something true comes back, and return it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = holds()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"waited {PATIENCE:.0f} s for {what}")


def free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def draw_keys(deployment: Deployment) -> None:
    """The keys that its first run would draw, from a seed: the same people get the same noise."""
    source = random.Random(20260608)  # noqa: S311
    start, as_of = (deployment.environment[f"ANALYTICS_{name}"] for name in ("START_DAY", "AS_OF"))
    with deployment.database.connect("analytics_pipeline") as connection:
        ensure_period_keys(
            connection,
            date.fromisoformat(start),
            datetime.fromisoformat(as_of).replace(tzinfo=UTC),
            source.randbytes,
        )


def copy_secrets(source: Database, home: Path) -> None:
    """Role passwords of a server that several homes share."""
    (home / "secrets").mkdir(parents=True)
    for secret in source.secrets_dir.iterdir():
        (home / "secrets" / secret.name).write_bytes(secret.read_bytes())
