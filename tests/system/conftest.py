"""Deployments that the system suites share: each costs a minute to make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from deployment import Deployment, copy_secrets, draw_keys

from analytics_assets.store.database import Database
from analytics_assets.store.migrate import migrate


@pytest.fixture(scope="session")
def main_job(
    postgres_server: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Deployment, dict[str, Any]]]:
    """A deployment of 43 days after its first run, and what that run reported.

    Tests may run it again, for that changes nothing, but not change its sources.
    """
    home = tmp_path_factory.mktemp("deployment")
    copy_secrets(postgres_server, home)
    deployment = Deployment(
        home,
        postgres_server.named("main_job"),
        home / "company" / "sources.yaml",
        "2026-04-27",
        "2026-06-08",
    )
    migrate(deployment.database)
    draw_keys(deployment)
    written = deployment.command(
        "sample", str(home / "company"), "--users", "150", "--events", "12000"
    )
    assert written.returncode == 0, written.stderr
    yield deployment, deployment.run()
    drop(deployment.database)


def drop(database: Database) -> None:
    with database.connect_as_admin("postgres") as admin:
        for name in (database.name, database.dagster_name):
            admin.execute(f"drop database if exists {name} with (force)".encode())
