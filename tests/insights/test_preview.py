"""The preview shows an admin what is sent, byte by byte, and of nobody who has not agreed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from insights_company import DAY, NEXT, NOW, Company
from servers.gemini import GeminiServer
from typer.testing import CliRunner, Result

from analytics_assets.cli.main import app


@pytest.fixture
def deployed(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("ANALYTICS_HOME", str(home))
    monkeypatch.setenv("ANALYTICS_DATABASE_URL", database_url)
    monkeypatch.setenv("ANALYTICS_AS_OF", NOW.isoformat())
    monkeypatch.setenv("ANALYTICS_START_DAY", DAY.isoformat())
    return monkeypatch


def preview(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["insights", "preview", *arguments])


def test_the_prompt_shown_is_the_prompt_sent(
    company: Company, gemini: GeminiServer, deployed: pytest.MonkeyPatch
) -> None:
    company.user("u1", name="Zorbulon Quixley")
    company.user("u2", consent=False)
    company.says("u1", "an older day")
    company.says("u1", "I am Zorbulon Quixley and it fails with an error", day=NEXT)
    company.says("u2", "not mine to show", day=NEXT)

    # Before anything is switched on: nothing is sent, rules answer.
    shown = preview("--user", "u1")
    assert shown.exit_code == 0
    assert "U: I am [NAME_1] and it fails with an error" in shown.stdout
    assert "rules: no model read it yet" in shown.stdout
    assert "personal data" in shown.stderr
    assert company.facets() == {}
    refused = preview("--user", "u1", "--ask")
    assert refused.exit_code == 1
    assert "ANALYTICS_GEMINI_API_KEY" in refused.stderr

    deployed.setenv("ANALYTICS_GEMINI_API_KEY", gemini.key)
    deployed.setenv("ANALYTICS_GEMINI_BASE_URL", gemini.url)
    (told,) = json.loads(preview("--user", "u1", "--ask", "--json").stdout)
    (request,) = gemini.requests
    assert told["text"] == request.text
    assert told["system"] == request.body["systemInstruction"]["parts"][0]["text"]
    assert told["answer"]["friction"] == "error"
    assert told["answered_by"] == "gemini-2.5-flash-lite"
    assert company.calls() == [("done", None)]
    (again,) = json.loads(preview("--user", "u1", "--json").stdout)
    assert again == told
    assert len(gemini.requests) == 1
    (older,) = json.loads(preview("--user", "u1", "--day", DAY.isoformat(), "--json").stdout)
    assert "U: an older day" in older["text"]

    for user in ("u2", "nobody"):
        refused = preview("--user", user)
        assert refused.exit_code == 1
        assert "not mine to show" not in refused.stdout + refused.stderr
        assert "has not agreed" in refused.stderr
