"""The deployment files say what the platform relies on, and real tools load them.

Belongs here: dagster.yaml, workspace.yaml, Dockerfile, .dockerignore, compose.yaml. Does not: the
commands that containers run. Invariant: no Docker engine is needed; where a `docker compose` client
is installed, it judges compose.yaml too, and the test says so where it is not.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql

from analytics_assets.instance import dagster_environment, prepare_dagster_home
from analytics_assets.settings import PROJECT_ROOT, load_settings
from analytics_assets.store.database import Database

PLATFORM_SERVICES = {"migrate", "code-server", "webserver", "api", "daemon"}
PASSWORD_VARIABLE = "ANALYTICS_POSTGRES_PASSWORD"


@pytest.fixture
def dagster_database(database: Database) -> Iterator[Database]:
    """This test's database, with a database for Dagster's storage beside it."""
    name = sql.Identifier(database.dagster_name)
    with database.connect_as_admin("postgres") as admin:
        admin.execute(sql.SQL("create database {} owner analytics_dagster").format(name))
    yield database
    with database.connect_as_admin("postgres") as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(name))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """compose.yaml with its anchors resolved and its variables as written."""
    loaded: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / "compose.yaml").read_text())
    return loaded


def test_the_instance_file_loads_and_keeps_dagsters_records_in_its_own_database(
    dagster_database: Database, home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg
    from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage

    settings = load_settings(home=home, database_url=database_url)
    for name, value in dagster_environment(settings, dagster_database).items():
        monkeypatch.setenv(name, value)

    with dg.DagsterInstance.from_config(str(prepare_dagster_home(settings))) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("kept"))

        assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
        assert isinstance(instance.run_storage, PostgresRunStorage)
        assert instance.get_latest_materialization_event(dg.AssetKey("kept")) is not None
        assert type(instance.run_coordinator).__name__ == "QueuedRunCoordinator"
        concurrency = instance.get_concurrency_config()
        assert concurrency.pool_config.default_pool_limit == 1
        assert str(concurrency.pool_config.pool_granularity).endswith(".OP")
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_max_runtime_seconds == 7200
        assert instance.run_retries_enabled
        assert instance.get_settings("run_retries")["retry_on_asset_or_op_failure"] is False
        assert not instance.telemetry_enabled

    parameters = dagster_database.parameters(
        "analytics_dagster", dbname=dagster_database.dagster_name
    )
    with psycopg.connect(**parameters) as connection:
        assert connection.execute("select count(*) from asset_keys").fetchone() == (1,)


def test_every_kind_of_tick_is_purged_in_the_end(
    dagster_database: Database, home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.scheduler.instigation import TickStatus

    settings = load_settings(home=home, database_url=database_url)
    for name, value in dagster_environment(settings, dagster_database).items():
        monkeypatch.setenv(name, value)

    with dg.DagsterInstance.from_config(str(prepare_dagster_home(settings))) as instance:
        for kind in (
            InstigatorType.SCHEDULE,
            InstigatorType.SENSOR,
            InstigatorType.AUTO_MATERIALIZE,
        ):
            days = instance.get_tick_retention_settings(kind)
            assert set(days) == set(TickStatus), kind
            assert all(0 < day <= 30 for day in days.values()), kind


def test_the_instance_file_names_no_secret_and_only_variables_the_platform_exports(
    database: Database, home: Path, database_url: str
) -> None:
    config = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())
    exported = dagster_environment(load_settings(home=home, database_url=database_url), database)

    for key, value in config["storage"]["postgres"]["postgres_db"].items():
        assert list(value) == ["env"], f"{key} must come from the environment"
        assert value["env"] in exported


def test_the_workspace_file_reaches_the_code_server_the_platform_names(
    database: Database, home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    settings = load_settings(
        home=home, database_url=database_url, code_server_host="code-server", code_server_port=4711
    )
    for name, value in dagster_environment(settings, database).items():
        monkeypatch.setenv(name, value)

    [origin] = location_origins_from_yaml_paths([str(PROJECT_ROOT / "workspace.yaml")])

    assert origin.location_name == "analytics_assets"
    assert (origin.host, origin.port) == ("code-server", 4711)  # type: ignore[attr-defined]


def test_compose_accepts_the_file() -> None:
    arguments = ["--file", str(PROJECT_ROOT / "compose.yaml"), "config", "--format", "json"]
    environment = {**os.environ, PASSWORD_VARIABLE: "secret"}

    completed = subprocess.run(
        [*compose_client(), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert completed.returncode == 0, completed.stderr
    assert set(json.loads(completed.stdout)["services"]) == {"postgres", *PLATFORM_SERVICES}


def test_compose_refuses_to_start_without_an_administrators_password() -> None:
    environment = {k: v for k, v in os.environ.items() if k != PASSWORD_VARIABLE}

    completed = subprocess.run(
        [*compose_client(), "--file", str(PROJECT_ROOT / "compose.yaml"), "config", "--quiet"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert completed.returncode != 0
    assert PASSWORD_VARIABLE in completed.stderr


def test_every_process_waits_for_what_it_needs(compose: dict[str, Any]) -> None:
    waits = {
        name: {on: how["condition"] for on, how in service.get("depends_on", {}).items()}
        for name, service in compose["services"].items()
    }

    assert waits == {
        "postgres": {},
        "migrate": {"postgres": "service_healthy"},
        "code-server": {"migrate": "service_completed_successfully"},
        "webserver": {"code-server": "service_healthy"},
        "api": {"migrate": "service_completed_successfully"},
        "daemon": {"code-server": "service_healthy"},
    }
    for name in ("postgres", "code-server", "webserver", "api"):
        assert compose["services"][name]["healthcheck"]["test"][0] == "CMD"


def test_only_migrate_and_postgres_know_the_administrators_password(
    compose: dict[str, Any],
) -> None:
    knowing = {
        name
        for name, service in compose["services"].items()
        if PASSWORD_VARIABLE in json.dumps(service)
    }

    assert knowing == {"postgres", "migrate"}


def test_one_image_without_privileges_runs_every_process(compose: dict[str, Any]) -> None:
    for name in PLATFORM_SERVICES:
        service = compose["services"][name]
        assert service["image"] == compose["services"]["migrate"]["image"]
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert "home:/var/lib/analytics" in service["volumes"]


def test_ports_without_login_or_encryption_are_reachable_from_the_machine_itself_only(
    compose: dict[str, Any],
) -> None:
    ports = [port for s in compose["services"].values() for port in s.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_image_parses_dbt_with_the_connection_of_compose(compose: dict[str, Any]) -> None:
    """Another connection at run time would make dbt discard the manifest and parse again."""
    built = dict(
        line.removeprefix("ARG ").split("=", 1)
        for line in dockerfile_lines()
        if line.startswith("ARG ANALYTICS_DBT_")
    )
    address = Database.from_url(
        compose["services"]["code-server"]["environment"]["ANALYTICS_DATABASE_URL"], Path()
    )

    assert built == {
        "ANALYTICS_DBT_HOST": address.host,
        "ANALYTICS_DBT_PORT": str(address.port),
        "ANALYTICS_DBT_DBNAME": address.name,
        "ANALYTICS_DBT_USER": "analytics_pipeline",
    }


def test_the_image_ends_as_an_ordinary_user_and_installs_only_what_the_lock_hashes() -> None:
    lines = dockerfile_lines()
    final = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM ")) :]
    installs = [line for line in lines if "uv pip install" in line and "--no-deps" not in line]

    assert [line for line in final if line.startswith("USER ")] == ["USER 10001:10001"]
    assert installs
    assert all("--require-hashes" in line and "--no-build" in line for line in installs)


def test_the_build_context_holds_what_the_image_copies_and_nothing_secret() -> None:
    ignore = (PROJECT_ROOT / ".dockerignore").read_text().splitlines()
    admitted = {line[1:] for line in ignore if line.startswith("!")}
    copied = {
        word.removeprefix("./")
        for line in dockerfile_lines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }

    assert next(line for line in ignore if line and not line.startswith("#")) == "*"
    assert admitted == copied
    assert all((PROJECT_ROOT / name).exists() for name in admitted)


def dockerfile_lines() -> list[str]:
    """The Dockerfile's instructions, one a line: continuations joined, comments left out."""
    text = (PROJECT_ROOT / "Dockerfile").read_text()
    kept = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [" ".join(line.split()) for line in "\n".join(kept).replace("\\\n", " ").splitlines()]


def compose_client() -> list[str]:
    """The command of an installed Compose client; skips, saying so, where there is none."""
    standalone = shutil.which("docker-compose")
    if standalone:
        return [standalone]
    docker = shutil.which("docker")
    if (
        docker
        and subprocess.run(
            [docker, "compose", "version"], check=False, capture_output=True
        ).returncode
        == 0
    ):
        return [docker, "compose"]
    pytest.skip("no `docker compose` client is installed; compose.yaml was not judged by one")
