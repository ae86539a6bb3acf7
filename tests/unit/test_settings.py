"""Settings: read in one place, and every wrong one named with what it must be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from analytics_assets.settings import (
    SettingsError,
    exported,
    load_settings,
    write_deployment_file,
)


def test_an_unset_clock_is_the_systems(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    assert before <= load_settings(home=tmp_path).now() <= datetime.now(UTC)


def test_a_pinned_clock_is_read_as_utc(tmp_path: Path) -> None:
    in_nepal = datetime(2026, 5, 1, 5, 45, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    assert load_settings(home=tmp_path, as_of=in_nepal).now() == datetime(2026, 5, 1, tzinfo=UTC)
    assert load_settings(home=tmp_path, as_of="2026-05-01").now().tzinfo is UTC


def test_every_wrong_variable_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_UI_PORT", "70000")
    monkeypatch.setenv("ANALYTICS_START_DAY", "yesterday")
    with pytest.raises(SettingsError) as error:
        load_settings(home=tmp_path)
    assert "ANALYTICS_UI_PORT" in str(error.value)
    assert "ANALYTICS_START_DAY" in str(error.value)


def test_a_message_never_repeats_the_value_it_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_START_DAY", "hunter2")
    with pytest.raises(SettingsError) as error:
        load_settings(home=tmp_path)
    assert "hunter2" not in str(error.value)


def test_a_deployment_cannot_start_after_its_clock(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="ANALYTICS_START_DAY"):
        load_settings(home=tmp_path, start_day="2026-05-02", as_of="2026-05-01")


def test_a_clock_in_the_future_is_refused(tmp_path: Path) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(SettingsError, match="ANALYTICS_AS_OF: lies in the future"):
        load_settings(home=tmp_path, as_of=tomorrow)


def test_the_environment_goes_before_the_deployments_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_deployment_file(tmp_path, {"start_day": "2026-02-01", "ui_port": "3100"})
    monkeypatch.setenv("ANALYTICS_UI_PORT", "3200")
    settings = load_settings(home=tmp_path)
    assert settings.start_day.isoformat() == "2026-02-01"
    assert settings.ui_port == 3200


def test_secrets_do_not_show_in_the_settings_text(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, gemini_api_key="key-of-ours", database_url="secret-url")
    assert "key-of-ours" not in repr(settings)
    assert "secret-url" not in repr(settings)


def test_exported_values_are_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("ANALYTICS_TEST_SET", "before")
    with exported({"ANALYTICS_TEST_SET": "within", "ANALYTICS_TEST_NEW": "within"}):
        assert os.environ["ANALYTICS_TEST_SET"] == "within"
    assert os.environ["ANALYTICS_TEST_SET"] == "before"
    assert "ANALYTICS_TEST_NEW" not in os.environ
