"""The failure matrix through a whole stage: what is kept, what is said, what is never paid again.

How each fault is recognised stands in test_gemini_provider.py; docs/decisions/answers.md lists the
rows and their tests.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest
from insights_company import DAY, ONE_AT_A_TIME, Analysis, Company
from servers import gemini as wire
from servers.gemini import GeminiServer


def test_while_the_vendor_is_out_of_reach_the_last_good_answer_stays_and_says_since_when(
    company: Company,
    gemini: GeminiServer,
    stages: Analysis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    company.user("u1")
    company.says("u1", "build it")
    stages.read()
    for number in range(2, 10):
        company.user(f"u{number}")
        company.says(f"u{number}", f"build thing {number}")
    company.says("u1", "now it fails with an error")

    def refused() -> str:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            return f"http://127.0.0.1:{taken.getsockname()[1]}"

    resolve = socket.getaddrinfo

    def unknown_host(host: Any, *rest: Any, **options: Any) -> Any:
        if host == "model.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", unknown_host)
    for address in (refused(), "http://model.example"):
        outcome = stages.read(limits=ONE_AT_A_TIME, base_url=address)
        assert outcome.errors == {"unreachable": 5}
        assert outcome.not_attempted == 4
        assert "unreachable" in outcome.missing[0]
        row = company.facets()["u1", DAY]
        assert (row["source"], row["outcome"], row["behind_since"]) == (
            "model",
            "achieved",
            "2026-06-08",
        )
        # Nobody else's were read: rules stand in for each.
        assert len(company.facets("rules")) == 8
    # Nothing was billed that was never sent.
    assert company.rows("select sum(cost_micros) from ops.llm_call where state <> 'done'") == [(0,)]
    assert stages.read().complete
    assert company.facets()["u1", DAY]["behind_since"] is None
    assert not company.facets("rules")


def test_each_wrong_configuration_stops_the_stage_at_its_first_call(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for number in range(6):
        company.user(f"u{number}")
        company.says(f"u{number}", f"build thing {number}")
    for status, name in (
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
    ):
        gemini.faults += [wire.refused(status, name)]
        with gemini.fresh_log() as log:
            outcome = stages.read(limits=ONE_AT_A_TIME)
        assert len(log) == 1, status
        assert (outcome.failed, outcome.not_attempted) == (1, 5)
        assert "ANALYTICS_GEMINI_" in outcome.missing[0]
    assert company.rows("select sum(cost_micros) from ops.llm_call") == [(0,)]


def test_what_the_model_will_not_or_cannot_answer_is_never_paid_for_again(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    refused = {
        "blocked": (wire.blocked_prompt, "SAFETY", 1),
        "unsafe": (wire.finished, "SAFETY", 1),
        "recited": (wire.finished, "RECITATION", 1),
        "cut": (wire.finished, "MAX_TOKENS", 2),
        "empty": (wire.finished, "STOP", 2),
        "prose": (wire.answered, "I would rather talk.", 2),
        "enum": (wire.answered, '{"task": "conquer"}', 2),
    }
    for word, (fault, argument, times) in refused.items():
        company.user(word)
        company.says(word, f"build {word}")
        gemini.faults += [fault(argument, only=f"build {word}")] * times
    outcome = stages.read()
    assert outcome.poisoned == len(refused)
    assert len(gemini.requests) == sum(times for *_, times in refused.values())
    assert {state for state, _ in company.calls()} == {"poison"}
    assert len(company.facets("rules")) == len(refused)
    # Every answer was billed, the unusable ones and their repairs too.
    billed = sum(times for *_, times in refused.values())
    assert company.rows("select sum(input_tokens) from ops.llm_call") == [(1000 * billed,)]
    with gemini.fresh_log() as log:
        outcome = stages.read()
    assert log == []
    assert outcome.complete
