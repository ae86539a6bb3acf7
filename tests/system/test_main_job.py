"""The main job as an operator runs it: sample in, every zone filled, in one Dagster run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analytics_assets.store.database import Database
from analytics_assets.store.migrate import migrate

ANALYST_QUERIES = (
    "select date_trunc('week', created_at) as week, avg(ai_percentage_bucket), count(*)"
    " from anonymous.analytics_events group by week",
    "select archetype, count(*) as count, avg(ai_savviness_bucket) as avg_ai_score"
    " from anonymous.analytics_events group by archetype",
)
# Everything that must not change when a window is materialized again; run times may.
CONTENT = {
    "raw.platform_events": "event_id, event_type, day, user_id, user_role, event_data",
    "raw.rejected_events": "rejected_id, error_code",
    "marts.event_aggregations": "event_type, aggregation_type, period_start, total_events,"
    " unique_users",
    "marts.daily_metrics": "date, metric_name, metric_value",
    "marts.server_installs": "*",
    "insights.user_activity": "*",
    "anonymous.analytics_events": "*",
    "published.ai_usage_trends": "*",
    "published.archetype_distribution": "*",
    "published.event_trends": "*",
    "published.install_trends": "*",
    "published.search_trends": "*",
}


class Platform:
    """A deployment on this session's server, driven through the command line."""

    def __init__(self, home: Path, database: Database) -> None:
        self.home = home
        self.database = database
        self.environment = {
            **os.environ,
            "ANALYTICS_HOME": str(home),
            "ANALYTICS_DATABASE_URL": (
                f"postgresql://{database.superuser}:{database.admin_password}"
                f"@{database.host}:{database.port}/{database.name}"
            ),
            "ANALYTICS_START_DAY": "2026-04-27",
            "ANALYTICS_AS_OF": "2026-06-08",
            "ANALYTICS_SOURCES_FILE": str(home / "company" / "sources.yaml"),
        }

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("analytics-assets")
        return subprocess.run(
            [str(program), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    def run(self, *arguments: str) -> dict[str, Any]:
        done = self.command("run", "--json", *arguments)
        assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
        outcome: dict[str, Any] = json.loads(done.stdout)
        return outcome

    def query(self, statement: str, role: str = "analytics_pipeline") -> list[Any]:
        with self.database.connect(role) as connection:
            return connection.execute(statement.encode()).fetchall()

    def content(self) -> dict[str, str]:
        found = {}
        for table, columns in CONTENT.items():
            [(digest,)] = self.query(
                f"select md5(coalesce(string_agg(r::text, '' order by r::text), ''))"
                f" from (select {columns} from {table}) as r"
            )
            found[table] = digest
        return found

    def runs_in_dagster(self) -> list[Any]:
        dagster = self.database.named(self.database.dagster_name)
        with dagster.connect("analytics_dagster") as connection:
            return connection.execute("select status from runs order by id").fetchall()


@pytest.fixture(scope="module")
def platform(
    postgres_server: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Platform, dict[str, Any]]]:
    home = tmp_path_factory.mktemp("deployment")
    (home / "secrets").mkdir()
    for secret in postgres_server.secrets_dir.iterdir():
        (home / "secrets" / secret.name).write_bytes(secret.read_bytes())
    deployment = Platform(home, postgres_server.named("main_job"))
    migrate(deployment.database)
    written = deployment.command(
        "sample", str(home / "company"), "--users", "150", "--events", "12000"
    )
    assert written.returncode == 0, written.stderr
    yield deployment, deployment.run()
    with postgres_server.connect_as_admin("postgres") as admin:
        for name in (deployment.database.name, deployment.database.dagster_name):
            admin.execute(f"drop database {name} with (force)")


def test_every_zone_is_filled_by_one_dagster_run(
    platform: tuple[Platform, dict[str, Any]],
) -> None:
    deployment, outcome = platform
    assert outcome["failures"] == []
    assert deployment.runs_in_dagster()[0] == ("SUCCESS",)
    rows = {zone: dict(tables) for zone, tables in outcome["zones"].items()}
    assert rows["inbox"]["entries"] == 0
    for zone in ("raw", "marts", "anonymous", "published"):
        assert all(count > 0 for count in rows[zone].values()), (zone, rows[zone])
    assert rows["insights"]["user_activity"] > 0
    assert rows["insights"]["daily_summary"] == outcome_days(outcome)
    assert outcome["pruned"], "profile events of the closed month were to be pruned"


def outcome_days(outcome: dict[str, Any]) -> int:
    from datetime import date

    first, last = date.fromisoformat(outcome["first_day"]), date.fromisoformat(outcome["last_day"])
    return (last - first).days + 1


def test_what_was_loaded_is_what_the_truth_says(
    platform: tuple[Platform, dict[str, Any]],
) -> None:
    deployment, _ = platform
    truth = json.loads((deployment.home / "company" / "truth.json").read_text())
    [(loaded, rejected, duplicate)] = deployment.query(
        "select sum(rows_loaded), sum(rows_rejected), sum(rows_duplicate) from ops.load_log"
        " where source = 'sample_events' and finished"
    )
    assert loaded == truth["events"]["valid_distinct"]
    assert duplicate == truth["events"]["duplicates"]
    assert rejected == sum(truth["events"]["malformed"].values())


def test_the_users_two_queries_run_on_the_anonymous_rows(
    platform: tuple[Platform, dict[str, Any]],
) -> None:
    deployment, _ = platform
    for statement in ANALYST_QUERIES:
        assert deployment.query(statement, role="analytics_reader")


def test_materializing_again_leaves_identical_tables(
    platform: tuple[Platform, dict[str, Any]],
) -> None:
    deployment, _ = platform
    before = deployment.content()
    deployment.run()
    assert deployment.content() == before


def test_a_day_outside_the_deployment_is_refused_by_name(
    platform: tuple[Platform, dict[str, Any]],
) -> None:
    deployment, _ = platform
    done = deployment.command("run", "--start", "2020-01-01")
    assert done.returncode == 2
    assert "2020-01-01 is not a day of this deployment" in done.stderr
