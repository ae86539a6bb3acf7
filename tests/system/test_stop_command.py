"""``analytics-assets stop``: the embedded server ends, and nothing else is ever stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from analytics_assets.cli.main import app
from analytics_assets.store.embedded import EmbeddedPostgres


def test_stopping_ends_the_embedded_server_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_HOME", str(tmp_path))
    server = EmbeddedPostgres(tmp_path)
    try:
        server.ensure_running()
        first = CliRunner().invoke(app, ["stop"])
        assert (first.exit_code, first.output) == (0, "Postgres is stopped\n")
        assert not server.is_running()
        again = CliRunner().invoke(app, ["stop"])
        assert (again.exit_code, again.output) == (0, "Postgres was not running\n")
    finally:
        server.destroy()


def test_a_server_of_the_users_is_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_HOME", str(tmp_path))
    monkeypatch.setenv("ANALYTICS_DATABASE_URL", "postgresql://someone@db.example/analytics")
    refused = CliRunner().invoke(app, ["stop"])
    assert refused.exit_code == 1
    assert "not ours to stop" in refused.output
