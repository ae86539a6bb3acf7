"""Insights of users: made from facets and counts of behaviour, never from words of theirs."""

from __future__ import annotations

from datetime import timedelta

from insights_company import DAY, NEXT, NOW, Analysis, Company
from servers import gemini as wire
from servers.gemini import GeminiServer

from analytics_assets.insights.asking.configured import NO_KEY
from analytics_assets.insights.users.analysis import analyse_window
from analytics_assets.settings import load_settings
from analytics_assets.windows import Window


def test_a_user_gets_one_insight_a_day_from_facets_and_counts_alone(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.conn.execute(
        "create table insights.user_activity (user_id text, day date, total_conversations int, "
        "jobs int, downloads int, shares int, credit_limits int)"
    )
    company.conn.execute(
        "insert into insights.user_activity values ('user-1', %s, 2, 7, 3, 0, 1)", [DAY]
    )
    company.user("user-1")
    company.says("user-1", "zebra stripes need an export", conversation="talk-1")
    company.says("user-1", "the zebra fails with an error", conversation="talk-2")
    stages.read()
    with gemini.fresh_log() as log:
        outcome = stages.judge()
    (request,) = log
    assert "zebra" not in request.raw
    assert "Conversation 1: task build; topic dashboards; outcome achieved" in request.text
    assert "feature_request import_export" in request.text
    assert "Conversation 2: task fix" in request.text
    assert "jobs 7; downloads 3; shares 0; credit limits 1" in request.text
    for word in ("user-1", "talk-1", "talk-2", DAY.isoformat()):
        assert word not in request.text
    assert (outcome.analysed, outcome.calls) == (1, 1)
    assert set(company.cached()) == {("user-1", DAY)}


def test_a_second_run_asks_nothing_and_leaves_identical_rows(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for number in range(6):
        company.user(f"u{number}")
        company.says(f"u{number}", f"build thing {number}")
        company.says(f"u{number}", f"build thing {number}", day=NEXT)
    stages(2)
    before, calls = (company.cache_bytes(), company.facet_bytes()), company.calls()
    with gemini.fresh_log() as log:
        outcome = stages(2)
    assert log == []
    assert (company.cache_bytes(), company.facet_bytes()) == before
    assert company.calls() == calls
    assert outcome.unchanged == 12


def test_words_that_change_no_facet_cost_no_second_insight(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1")
    company.says("u1", "build it", conversation="c1")
    stages()
    company.says("u1", "the assistant adds a word", role="assistant", conversation="c1")
    with gemini.fresh_log() as log:
        stages()
    assert [request.asks_for_facets for request in log] == [True]


def test_consent_withdrawn_deletes_facets_insights_and_the_key_of_the_user(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for user_id in ("u1", "u2"):
        company.user(user_id)
        company.says(user_id, "build it")
    stages()
    company.user("u1", consent=False, since=NOW - timedelta(hours=1))
    with gemini.fresh_log() as log:
        stages()
    assert log == []
    assert set(company.cached()) == set(company.facets()) == {("u2", DAY)}
    assert company.rows("select user_id from vault.answer_keys") == [("u2",)]


def test_an_insight_whose_facets_are_gone_goes_too(company: Company, stages: Analysis) -> None:
    company.user("u1")
    company.says("u1", "build it")
    company.says("u1", "build more", day=NEXT)
    stages(2)
    company.conn.execute("delete from insights.conversation_facets where day = %s", [DAY])
    stages.judge(2)
    assert set(company.cached()) == {("u1", NEXT)}


def test_names_in_a_models_sentences_are_masked_before_they_are_kept(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1", name="Zorbulon Quixley")
    company.says("u1", "build it")
    gemini.rule = lambda _: wire.insight(
        summary="Zorbulon Quixley built it.", will_return_reason="Quixley liked it."
    )
    stages()
    insight = company.cached()["u1", DAY]
    assert insight["summary"] == "[NAME_1] built it."
    assert "Quixley" not in str(insight)


def test_without_a_key_nothing_is_sent_and_the_outcome_says_so(company: Company) -> None:
    company.user("u1")
    company.says("u1", "build it")
    settings = load_settings(as_of=NOW, start_day=DAY)
    outcome = analyse_window(company.database, Window.of_day(DAY), settings)
    assert outcome.skipped == NO_KEY
    assert company.cached() == {}
