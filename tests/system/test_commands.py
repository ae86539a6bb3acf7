"""What the operator's commands print, refuse and find wrong."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from deployment import free_ports
from typer.testing import CliRunner

from analytics_assets.cli.main import app
from analytics_assets.settings import PREFIX, PROJECT_ROOT
from analytics_assets.store import database as database_module

runner = CliRunner()


@pytest.fixture
def environment(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This test's database and home as the environment names them; returns the home."""
    ui, code, api = free_ports(3)
    for name, value in {
        "HOME": home,
        "DATABASE_URL": database_url,
        "UI_PORT": ui,
        "CODE_SERVER_PORT": code,
        "API_PORT": api,
        "START_DAY": "2026-04-27",
        "AS_OF": "2026-06-08",
    }.items():
        monkeypatch.setenv(f"{PREFIX}{name}", str(value))
    return home


def doctor() -> tuple[int, dict[str, tuple[str, str]]]:
    """Exit code, and state and detail of each finding."""
    done = runner.invoke(app, ["doctor", "--json"])
    return done.exit_code, {f["what"]: (f["state"], f["detail"]) for f in json.loads(done.stdout)}


# --- doctor ---------------------------------------------------------------------------------------


def test_a_sound_deployment_has_nothing_wrong(environment: Path) -> None:
    code, findings = doctor()
    assert code == 0, findings
    for what in ("python", "disk", "ports", "database"):
        assert findings[what][0] == "ok", findings[what]
    assert findings["clock"] == ("note", "pinned to 2026-06-08 00:00 UTC; days from 2026-04-27")
    assert findings["model key"][0] == "note"
    assert "ANALYTICS_GEMINI_API_KEY is not set" in findings["model key"][1]


@pytest.mark.parametrize("name", ["UI_PORT", "CODE_SERVER_PORT"])
def test_a_port_taken_by_another_program_is_named(environment: Path, name: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(os.environ[f"{PREFIX}{name}"])))
        holder.listen()
        code, findings = doctor()
    assert code == 1
    state, detail = findings["ports"]
    assert state == "wrong"
    assert f"port {holder_port(name)} is in use by another program" in detail
    assert f"set {PREFIX}{name}" in detail


def test_a_taken_port_of_the_api_is_only_noted_for_the_rest_starts_without_it(
    environment: Path,
) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(holder_port("API_PORT"))))
        holder.listen()
        code, findings = doctor()
    assert (code, findings["ports"][0]) == (0, "note")
    assert f"set {PREFIX}API_PORT to another port" in findings["ports"][1]


def holder_port(name: str) -> str:
    return os.environ[f"{PREFIX}{name}"]


def test_a_port_held_by_the_platforms_own_ui_is_right(environment: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"dagster_webserver_version": "1.13.27"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", int(holder_port("UI_PORT"))), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        code, findings = doctor()
        server.shutdown()
    assert (code, findings["ports"][0]) == (0, "ok"), findings


def test_too_little_disk_is_named_with_the_setting(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}MIN_FREE_DISK_MIB", str(2**40))
    monkeypatch.setenv(f"{PREFIX}HOME", str(environment / "not" / "made" / "yet"))
    code, findings = doctor()
    assert code == 1
    assert findings["disk"][0] == "wrong"
    assert f"{PREFIX}MIN_FREE_DISK_MIB asks for" in findings["disk"][1]


def test_a_server_too_old_is_named(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "MINIMUM_VERSION", 990000)
    code, findings = doctor()
    assert code == 1
    assert findings["database"][0] == "wrong"
    assert "is too old: the platform needs" in findings["database"][1]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("not a url", "is not a Postgres URL"),
        ("postgresql://postgres:hush-hush@127.0.0.1:1/analytics", "cannot connect to Postgres at"),
    ],
)
def test_a_wrong_database_url_is_named_and_its_password_is_not(
    environment: Path, monkeypatch: pytest.MonkeyPatch, url: str, told: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", url)
    code, findings = doctor()
    assert code == 1
    assert told in findings["database"][1]
    assert f"{PREFIX}DATABASE_URL" in findings["database"][1]
    assert "hush-hush" not in str(findings)


def test_a_database_that_is_not_migrated_is_named(environment: Path, database: Any) -> None:
    with database.connect_as_admin(database.name) as admin:
        for (schema,) in admin.execute(
            "select table_schema from information_schema.tables"
            " where table_name = 'alembic_version'"
        ).fetchall():
            admin.execute(f"update {schema}.alembic_version set version_num = 'older'".encode())
    code, findings = doctor()
    assert code == 1
    assert "run `analytics-assets migrate`" in findings["database"][1]


def test_a_stale_manifest_and_missing_sources_are_named(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "dbt"
    shutil.copytree(PROJECT_ROOT / "dbt", project, ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setenv(f"{PREFIX}DBT_PROJECT_DIR", str(project))
    monkeypatch.setenv(f"{PREFIX}SOURCES_FILE", str(tmp_path / "none.yaml"))
    code, findings = doctor()
    assert code == 1
    assert findings["manifest"][0] == "note"
    assert findings["manifest"][1].startswith("stale or missing")
    assert findings["sources"][0] == "wrong"
    assert f"set {PREFIX}SOURCES_FILE" in findings["sources"][1]


def test_a_wrong_setting_is_named_by_its_variable(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}START_DAY", "yesterday")
    code, findings = doctor()
    assert code == 1
    assert f"{PREFIX}START_DAY" in findings["settings"][1]
