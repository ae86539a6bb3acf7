"""Batches through the real SDK: half the price, and no batch paid twice, whatever crashes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from insights_company import DAY, LIMITS, MODEL, NEXT, NOW, Company
from servers import gemini as wire
from servers.gemini import GeminiServer

from analytics_assets.insights.asking.batching import BatchLimits
from analytics_assets.insights.asking.budget import Budget, spent
from analytics_assets.insights.asking.configured import configured
from analytics_assets.insights.asking.outcome import StageOutcome
from analytics_assets.insights.asking.stage_run import Limits
from analytics_assets.insights.asking.wording import worded
from analytics_assets.insights.conversations.facets import read_conversations
from analytics_assets.insights.conversations.preview import preview
from analytics_assets.insights.conversations.reading_plan import ReadingPlan
from analytics_assets.insights.providers.gemini_batch import GeminiBatchProvider
from analytics_assets.insights.providers.pricing import price_of
from analytics_assets.settings import load_settings
from analytics_assets.windows import Window

PRICE = price_of(MODEL, DAY)
assert PRICE is not None
# 600 fresh and 100 answered tokens at half their price; 400 cached ones cost what they cost online.
BATCHED, ONLINE = 60, 110
PEOPLE = 12
QUICK = Limits(
    **LIMITS,
    budget=Budget(PRICE, 10**9, 10**9),
    batch=BatchLimits(least=5, wait=0.05, poll=0.02),
)


@pytest.fixture(scope="module")
def server() -> Iterator[GeminiServer]:
    with GeminiServer() as running:
        yield running


@pytest.fixture
def gemini(server: GeminiServer) -> GeminiServer:
    """One server for all, as new."""
    fresh = GeminiServer()
    for name in vars(fresh):
        setattr(server, name, getattr(fresh, name))
    return server


@pytest.fixture
def people(company: Company) -> Company:
    for number in range(PEOPLE):
        company.user(f"u{number:02}", name="Zorbulon Quixley" if number == 0 else "Nobody Known")
        company.says(f"u{number:02}", f"Quixley, build thing {number:02}.")
    return company


def read(
    company: Company,
    gemini: GeminiServer,
    limits: Limits = QUICK,
    now: datetime = NOW,
    days: int = 1,
) -> StageOutcome:
    provider = GeminiBatchProvider(
        gemini.key, MODEL, gemini.url, timeout=5.0, initial_delay=0.01, max_delay=0.02, jitter=0.0
    )
    return read_conversations(
        lambda: company.database.connect("analytics_pipeline"),
        Window(DAY, DAY + timedelta(days=days)),
        provider,
        now,
        limits,
    )


def under_way(company: Company) -> int:
    return int(company.rows("select count(*) from vault.batch_items")[0][0])


def test_a_batch_is_answered_at_half_the_price_and_names_nobody(
    people: Company, gemini: GeminiServer
) -> None:
    outcome = read(people, gemini)
    assert outcome.complete
    assert (outcome.analysed, outcome.batched, gemini.requests) == (PEOPLE, PEOPLE, [])
    assert len(people.facets("model")) == PEOPLE
    assert spent(people.conn).today == outcome.cost_micros == PEOPLE * BATCHED
    (batch,) = gemini.batches
    assert "quixley" not in batch.raw.lower()
    assert not any(f"u{number:02}" in batch.raw for number in range(PEOPLE))
    keys = people.rows("select cache_key from ops.llm_call")
    assert not any(key in batch.raw for (key,) in keys)
    # What the keys stood for is forgotten, and the vendor is told to forget the texts.
    assert (under_way(people), batch.deleted) == (0, True)
    again = read(people, gemini)
    assert (again.unchanged, len(gemini.batches), gemini.requests) == (PEOPLE, 1, [])


def test_items_that_failed_are_asked_online_and_refusals_are_not(
    people: Company, gemini: GeminiServer
) -> None:
    gemini.item_faults = {
        "thing 03": {"error": {"code": 13, "message": "internal"}},
        "thing 05": {"response": {"promptFeedback": {"blockReason": "SAFETY"}}},
    }
    outcome = read(people, gemini)
    assert [("thing 03" in r.text) for r in gemini.requests] == [True]
    assert (outcome.poisoned, outcome.failed, outcome.batched) == (1, 0, PEOPLE - 2)
    assert len(people.facets("model")) == PEOPLE - 1
    assert outcome.cost_micros is not None
    read(people, gemini)
    assert (len(gemini.requests), len(gemini.batches)) == (1, 1)


def test_a_batch_that_takes_longer_is_collected_by_a_later_run(
    people: Company, gemini: GeminiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gemini.batch_state = "BATCH_STATE_RUNNING"
    outcome = read(people, gemini)
    assert outcome.not_attempted == PEOPLE
    assert "a batch is under way" in outcome.missing[0]
    assert len(people.facets("rules")) == PEOPLE
    gemini.batch_state = "BATCH_STATE_SUCCEEDED"
    # One user withdrew meanwhile: the answer is dropped, and what it cost is kept.
    people.user("u07", consent=False, since=NOW)
    # At scale others might be chosen by now; what was sent is kept all the same.
    monkeypatch.setattr(
        "analytics_assets.insights.conversations.facets.plan_day",
        lambda *_: ReadingPlan(3, 1_000, frozenset()),
    )
    outcome = read(people, gemini, replace(QUICK, batch=None))
    assert (len(gemini.batches), gemini.requests) == (1, [])
    assert set(people.facets()) == {(f"u{n:02}", DAY) for n in range(PEOPLE) if n != 7}
    assert not people.facets("rules")
    assert people.calls().count(("failed", "batch_unclaimed")) == 1
    assert spent(people.conn).today == PEOPLE * BATCHED
    assert under_way(people) == 0


def test_consent_withdrawn_before_an_answer_is_kept_drops_the_answer(
    people: Company, gemini: GeminiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # u07 goes while the batch is read, u08 when its answer is about to be kept.
    def withdraw(text: str) -> dict[str, object]:
        if "thing 07" in text:
            people.user("u07", consent=False, since=NOW)
        return wire.facets_by_rules(text)

    def late(answer: Any, stage: Any, text: str, scrubber: Any) -> Any:
        if "thing 08" in text:
            people.user("u08", consent=False, since=NOW)
        return worded(answer, stage, text, scrubber)

    gemini.facet_rule = withdraw
    monkeypatch.setattr("analytics_assets.insights.asking.stage_run.worded", late)
    read(people, gemini)
    assert set(people.facets()) == {(f"u{n:02}", DAY) for n in range(PEOPLE) if n not in (7, 8)}
    dropped = [error for state, error in people.calls() if state == "failed"]
    assert sorted(map(str, dropped)) == ["batch_unclaimed", "consent_withdrawn"]
    assert spent(people.conn).today == PEOPLE * BATCHED
    assert under_way(people) == 0


def test_a_run_over_another_day_has_the_day_of_a_finished_batch_rebuilt(
    people: Company, gemini: GeminiServer
) -> None:
    gemini.batch_state = "BATCH_STATE_RUNNING"
    read(people, gemini, days=1)
    gemini.batch_state = "BATCH_STATE_SUCCEEDED"
    people.says("u01", "Build something else.", day=NEXT)
    dirty = "select day from ops.dirty_days where closed_at is null and reason = 'batch'"
    for _ in range(2):
        read_conversations(
            lambda: people.database.connect("analytics_pipeline"),
            Window.of_day(NEXT),
            GeminiBatchProvider(gemini.key, MODEL, gemini.url),
            NOW,
            QUICK,
        )
    # Told once, its answers left to the run of its own day.
    assert people.rows(dirty) == [(DAY,)]
    assert (under_way(people), gemini.batches[0].deleted) == (PEOPLE, False)
    assert read(people, gemini).batched == PEOPLE


def test_a_batch_about_a_day_whose_messages_are_gone_is_settled(
    people: Company, gemini: GeminiServer
) -> None:
    gemini.batch_state = "BATCH_STATE_RUNNING"
    read(people, gemini)
    gemini.batch_state = "BATCH_STATE_SUCCEEDED"
    people.conn.execute("truncate raw.messages, insights.conversation_facets")
    read(people, gemini)
    assert (under_way(people), gemini.batches[0].deleted) == (0, True)
    assert spent(people.conn).today == PEOPLE * BATCHED


def test_looking_at_one_user_leaves_batches_alone(people: Company, gemini: GeminiServer) -> None:
    gemini.batch_state = "BATCH_STATE_RUNNING"
    read(people, gemini)
    gemini.batch_state = "BATCH_STATE_SUCCEEDED"
    settings = load_settings(
        as_of=NOW, start_day=DAY, gemini_api_key=gemini.key, gemini_base_url=gemini.url,
        scrub_ner="off",
    )  # fmt: skip
    (shown,) = preview(people.database, settings, "u03", DAY, ask=True)
    assert "rules" in shown.answered_by
    assert (under_way(people), gemini.requests) == (PEOPLE, [])


def test_a_batch_that_failed_is_sent_once_more_and_then_asked_online(
    people: Company, gemini: GeminiServer
) -> None:
    gemini.batch_states = ["BATCH_STATE_EXPIRED"]
    outcome = read(people, gemini)
    assert (outcome.batched, len(gemini.batches), gemini.requests) == (PEOPLE, 2, [])
    assert people.calls().count(("failed", "batch_expired")) == PEOPLE
    assert spent(people.conn).today == PEOPLE * BATCHED
    people.conn.execute("delete from insights.conversation_facets")
    gemini.batch_states = ["", "", "BATCH_STATE_FAILED", "BATCH_STATE_CANCELLED"]
    outcome = read(people, gemini)
    # One failure of each question is remembered from before: two more would be three.
    assert (outcome.batched, outcome.analysed, len(gemini.batches)) == (0, PEOPLE, 3)
    assert len(gemini.requests) == PEOPLE


@pytest.mark.parametrize("told", [None, wire.server_error(503), wire.html()])
def test_a_batch_whose_acceptance_was_not_heard_is_found_and_not_created_twice(
    people: Company, gemini: GeminiServer, told: wire.Fault | None
) -> None:
    gemini.drop_after_accept, gemini.fault_after_accept = True, told
    outcome = read(people, gemini)
    assert (len(gemini.batches), gemini.requests) == (1, [])
    assert outcome.batched == len(people.facets("model")) == PEOPLE


def test_a_batch_that_is_not_listed_yet_is_not_sent_again(
    people: Company, gemini: GeminiServer
) -> None:
    gemini.drop_after_accept = gemini.hidden = True
    for _ in range(2):
        outcome = read(people, gemini)
        assert (outcome.not_attempted, len(gemini.batches), gemini.requests) == (PEOPLE, 1, [])
    gemini.hidden = False
    outcome = read(people, gemini)
    assert (outcome.batched, len(gemini.batches), gemini.requests) == (PEOPLE, 1, [])


def test_a_run_killed_after_its_batch_was_accepted_collects_it_and_creates_no_other(
    people: Company, gemini: GeminiServer
) -> None:
    child = os.fork()
    if child == 0:
        read(people, gemini)
        os._exit(0)
    gemini.on_batch = lambda: os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(gemini.batches) == 1
    assert spent(people.conn).today > PEOPLE * BATCHED
    outcome = read(people, gemini)
    assert (outcome.batched, len(gemini.batches), gemini.requests) == (PEOPLE, 1, [])
    assert spent(people.conn).today == PEOPLE * BATCHED


def test_a_crash_before_the_batch_was_created_gives_its_reserve_back(
    people: Company, gemini: GeminiServer
) -> None:
    people.conn.execute(
        "insert into ops.llm_call (call_id, cache_key, stage, model, state, reserved_micros, "
        "batch_name, started_at) overriding system value values (1000, 'k', 'conversation_facets', "
        "'m', 'reserved', 5000, 'never sent', now() - interval '1 hour')"
    )
    people.conn.execute("insert into vault.batch_items values (1000, 'never sent', 'i', %s)", [DAY])
    few = replace(QUICK, batch=BatchLimits(least=50, wait=0.1, poll=0.05))
    outcome = read(people, gemini, few)
    assert (outcome.analysed, len(gemini.requests), gemini.batches) == (PEOPLE, PEOPLE, [])
    assert ("failed", "batch_not_created") in people.calls()
    assert spent(people.conn).today == PEOPLE * ONLINE


def test_where_batches_are_refused_the_online_way_answers(
    people: Company, gemini: GeminiServer
) -> None:
    gemini.batch_faults = [wire.refused(400, "FAILED_PRECONDITION")]
    outcome = read(people, gemini)
    assert (outcome.analysed, outcome.batched, len(gemini.requests)) == (PEOPLE, 0, PEOPLE)
    assert outcome.errors["batch_http_400"] == 1
    assert spent(people.conn).today == PEOPLE * ONLINE


def test_a_batch_the_vendor_has_lost_counts_as_spent_and_is_asked_again(
    people: Company, gemini: GeminiServer
) -> None:
    gemini.batch_state = "BATCH_STATE_RUNNING"
    read(people, gemini)
    reserved = spent(people.conn).today
    gemini.batches[0].deleted = True
    gemini.batch_state = "BATCH_STATE_SUCCEEDED"
    outcome = read(people, gemini)
    assert (outcome.batched, len(gemini.batches)) == (PEOPLE, 2)
    assert spent(people.conn).today == reserved + PEOPLE * BATCHED


def test_the_budget_holds_for_batches(people: Company, gemini: GeminiServer) -> None:
    poor = replace(QUICK, budget=Budget(PRICE, 3_000, 10**9))
    read(people, gemini, poor)
    sent = len(gemini.batches[0].items)
    assert 0 < sent < PEOPLE
    assert spent(people.conn).today == sent * BATCHED + len(gemini.requests) * ONLINE <= 3_000


def test_a_day_that_is_not_over_is_asked_online_unless_batches_are_forced(
    people: Company, gemini: GeminiServer
) -> None:
    noon = NOW.replace(month=6, day=1, hour=12)
    outcome = read(people, gemini, now=noon)
    assert (gemini.batches, len(gemini.requests), outcome.analysed) == ([], PEOPLE, PEOPLE)


def test_the_settings_say_when_batches_are_used() -> None:
    keyed = {"start_day": DAY, "gemini_api_key": "k"}
    limits = configured(load_settings(**keyed)).limits.batch
    assert limits is not None
    assert (limits.least, limits.wait, limits.open_day) == (100, 600, False)
    limits = configured(
        load_settings(**keyed, llm_batch="on", llm_batch_wait_minutes=2, llm_batch_questions=20)
    ).limits.batch
    assert limits is not None
    assert (limits.least, limits.wait, limits.open_day) == (20, 120, True)
    assert configured(load_settings(**keyed, llm_batch="off")).limits.batch is None
