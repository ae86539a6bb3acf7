"""Instructions kept with the vendor: only where that pays, and never a word of a person."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from insights_company import DAY, FAST, MODEL, NOW, Company, provider_of
from servers.gemini import GeminiServer

from analytics_assets.insights.asking.budget import spent
from analytics_assets.insights.asking.outcome import StageOutcome
from analytics_assets.insights.conversations import facets
from analytics_assets.insights.conversations.facet_prompt import FACETS
from analytics_assets.insights.conversations.facets import read_conversations
from analytics_assets.insights.providers.context_cache import tokens_of, worth_keeping
from analytics_assets.insights.providers.pricing import price_of
from analytics_assets.insights.users.prompt import USER_INSIGHT
from analytics_assets.windows import Window

PEOPLE = 20
ONLINE = 110
PRICE = price_of(MODEL, DAY)
assert PRICE is not None
LONG = replace(FACETS, system=FACETS.system + "Choose well. " * 400)


@pytest.fixture
def wordy(company: Company, monkeypatch: pytest.MonkeyPatch) -> Company:
    """A company, and a stage with long instructions."""
    for number in range(PEOPLE):
        company.user(f"u{number:02}", name="Zorbulon Quixley")
        company.says(f"u{number:02}", f"Quixley, build thing {number:02}.")
    monkeypatch.setattr(facets, "FACETS", LONG)
    original = facets.FacetTable.__post_init__

    def with_long(self: facets.FacetTable) -> None:
        original(self)
        self.stage = LONG

    monkeypatch.setattr(facets.FacetTable, "__post_init__", with_long)
    return company


def read(company: Company, gemini: GeminiServer, **limits: bool) -> StageOutcome:
    return read_conversations(
        lambda: company.database.connect("analytics_pipeline"),
        Window.of_day(DAY),
        provider_of(gemini),
        NOW,
        replace(FAST, **limits),
    )


def test_todays_instructions_are_too_short_to_be_kept() -> None:
    for stage in (FACETS, USER_INSIGHT):
        assert tokens_of(stage.system) < 1024
        for model in ("gemini-2.5-flash-lite", "gemini-2.5-flash", "gemini-2.5-pro"):
            assert worth_keeping(model, PRICE, stage.system, 1_000_000) is None


def test_keeping_pays_from_a_number_of_questions_on_that_the_prices_decide() -> None:
    # A token costs 0.10 to send and 1.00 to keep for an hour, and saves 0.075 a question.
    assert worth_keeping(MODEL, PRICE, LONG.system, 14) is None
    assert worth_keeping(MODEL, PRICE, LONG.system, 15) is not None
    assert worth_keeping("a model nobody knows", PRICE, LONG.system, 10**6) is None


def test_long_instructions_are_kept_once_without_a_word_of_a_person_and_are_paid_for(
    wordy: Company, gemini: GeminiServer
) -> None:
    outcome = read(wordy, gemini)
    assert outcome.analysed == PEOPLE
    (raw,) = gemini.keeps
    sent = json.loads(raw)
    assert sent.keys() == {"model", "ttl", "systemInstruction"}
    assert sent["systemInstruction"]["parts"] == [{"text": LONG.system}]
    assert all(r.body["cachedContent"] == "cachedContents/c1" for r in gemini.requests)
    assert not any("systemInstruction" in r.body for r in gemini.requests)
    # The kept tokens are written down as a cost of their own, and given back at the end.
    ((tokens, cost),) = wordy.rows(
        "select input_tokens, cost_micros from ops.llm_call where stage = 'context_cache'"
    )
    assert (tokens, cost) == (len(LONG.system) // 4, -(-tokens * 11 // 10))
    assert spent(wordy.conn).today == outcome.cost_micros == PEOPLE * ONLINE + cost
    assert gemini.kept == {}
    assert read(wordy, gemini, context_cache=False).unchanged == PEOPLE


def test_where_the_vendor_does_not_keep_them_questions_carry_their_instructions(
    wordy: Company, gemini: GeminiServer
) -> None:
    gemini.least_tokens = 1_000_000
    outcome = read(wordy, gemini)
    assert (outcome.analysed, len(gemini.requests)) == (PEOPLE, PEOPLE)
    assert all("systemInstruction" in r.body for r in gemini.requests)
    assert spent(wordy.conn).today == PEOPLE * ONLINE
    assert ("failed", "refused") in wordy.calls()


def test_instructions_that_have_run_out_are_sent_again(
    wordy: Company, gemini: GeminiServer
) -> None:
    gemini.on_request = lambda _: gemini.kept.clear()
    outcome = read(wordy, gemini)
    assert (outcome.analysed, outcome.failed) == (PEOPLE, 0)
