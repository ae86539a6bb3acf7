"""The evaluation is run as an operator runs it, and holds what it promises."""

from __future__ import annotations

import json

import pytest
from servers.gemini import GeminiServer
from typer.testing import CliRunner

from analytics_assets.cli.main import app
from analytics_assets.insights.evaluation.agreement import adjusted_rand, mutual_information
from analytics_assets.insights.evaluation.measure import Measure


def test_partitions_are_compared_as_the_textbooks_do() -> None:
    assert adjusted_rand("aabb", "xxyy") == 1
    assert adjusted_rand("aabb", "xyxy") == pytest.approx(-0.5)
    assert adjusted_rand([0, 0, 1, 2], [0, 0, 1, 1]) == pytest.approx(0.5714, abs=1e-4)
    assert mutual_information("aabb", "xxyy") == pytest.approx(1)
    assert mutual_information("aabb", "xyxy") == pytest.approx(0)
    assert Measure("m", None, 0.5).verdict == "not taken"
    assert Measure("m", 0.4, 0.5, "lower").verdict == "ok"


def test_by_rules_every_measure_holds_without_any_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_LLM_PROVIDER", "none")
    done = CliRunner().invoke(app, ["insights", "eval", "--users", "200", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["read_by"] == "rules"
    verdicts = {one["name"]: one["verdict"] for one in told["measures"]}
    assert set(verdicts.values()) <= {"ok", "reported"}
    assert sum(verdict == "ok" for verdict in verdicts.values()) >= 8


def test_a_model_is_asked_only_where_that_is_said_and_its_misses_are_told(
    monkeypatch: pytest.MonkeyPatch, gemini: GeminiServer
) -> None:
    for name, value in {
        "GEMINI_API_KEY": gemini.key, "GEMINI_BASE_URL": gemini.url,
        "LLM_REQUESTS_PER_MINUTE": "100000",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"ANALYTICS_{name}", value)
    # A model of no wit: whatever is said, it is about dashboards.
    done = CliRunner().invoke(
        app,
        ["insights", "eval", "--live", "--conversations", "60", "--users", "60", "--json"],
    )
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["read_by"] == "gemini-2.5-flash-lite"
    assert len(gemini.requests) == 60
    assert told["cost_micros"] > 0
    verdicts = {one["name"]: one["verdict"] for one in told["measures"]}
    assert verdicts["topic reconstruction, top level"] == "missed"
