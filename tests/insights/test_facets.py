"""Facets of a window, with a real Postgres, the real SDK and a real HTTP server."""

from __future__ import annotations

import threading
from datetime import timedelta

import psycopg
import pytest
from insights_company import DAY, NEXT, NOW, ONE_AT_A_TIME, Analysis, Company
from servers import gemini as wire
from servers.gemini import GeminiServer

from analytics_assets.insights.asking.configured import NO_KEY
from analytics_assets.insights.asking.outcome import StageOutcome
from analytics_assets.insights.conversations.facets import read_window
from analytics_assets.insights.scrubbing.lexicon import fold
from analytics_assets.settings import load_settings
from analytics_assets.windows import Window


def test_consenting_users_get_facets_of_each_conversation(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1")
    company.user("u2")
    company.says("u1", "please build me a report with an export")
    company.says("u2", "this fails with an error")
    company.says("u2", "now it works", day=NEXT)

    outcome = stages.read(2)

    cached = company.facets()
    assert set(cached) == {("u1", DAY), ("u2", DAY), ("u2", NEXT)}
    assert cached["u1", DAY]["feature_request"] == "import_export"
    assert cached["u2", DAY]["friction"] == "error"
    assert outcome.complete
    assert (outcome.selected, outcome.analysed, outcome.calls) == (3, 3, 3)
    assert len(gemini.requests) == 3
    assert company.calls() == [("done", None)] * 3


def test_who_did_not_consent_or_is_internal_or_said_nothing_is_never_sent(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("asked-not", consent=False)
    company.user("staff", internal=True)
    company.user("silent")
    company.user("later", since=NOW + timedelta(days=1))
    for user_id in ("asked-not", "staff", "stranger", "later"):
        company.says(user_id, "hello")
    company.says("silent", "  \n ")
    company.says("silent", "only the assistant spoke", role="assistant")

    outcome = stages.read()

    assert gemini.requests == []
    assert company.facets("model") == {}
    assert outcome.selected == 0


def test_a_second_run_asks_nothing_and_leaves_identical_rows(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for number in range(8):
        company.user(f"u{number}")
        company.says(f"u{number}", f"build thing {number}")
    stages.read()
    before, calls = company.facet_bytes(), company.calls()

    with gemini.fresh_log() as log:
        outcome = stages.read()

    assert log == []
    assert company.facet_bytes() == before
    assert company.calls() == calls
    assert (outcome.unchanged, outcome.analysed) == (8, 0)


def test_only_the_day_whose_text_changed_is_asked_again(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for user_id in ("u1", "u2"):
        company.user(user_id)
        company.says(user_id, "build it")
    stages.read()
    company.says("u1", "it fails with an error")

    with gemini.fresh_log() as log:
        stages.read()

    assert len(log) == 1
    assert company.facets()["u1", DAY]["outcome"] == "not_achieved"


def test_another_model_or_wording_asks_again(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1")
    company.says("u1", "build it")
    stages.read()
    with gemini.fresh_log() as log:
        stages.read(model="gemini-2.5-flash")
    assert [request.path for request in log] == ["/v1beta/models/gemini-2.5-flash:generateContent"]
    assert company.rows("select model from insights.conversation_facets") == [("gemini-2.5-flash",)]


def test_the_same_text_of_one_user_is_paid_for_once_and_of_two_users_twice(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for user_id in ("u1", "u2"):
        company.user(user_id)
        company.says(user_id, "the usual")
        company.says(user_id, "the usual", day=NEXT)
    outcome = stages.read(2)
    assert len(gemini.requests) == 2
    assert outcome.copied == 2
    keys = company.rows(
        "select user_id, count(distinct cache_key) from insights.conversation_facets group by 1"
    )
    assert sorted(keys) == [("u1", 1), ("u2", 1)]
    assert company.rows("select count(distinct cache_key) from insights.conversation_facets") == [
        (2,)
    ]


def test_nothing_planted_is_in_any_request_nor_in_what_is_kept(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    planted = [
        "Ana María López",
        "ana.lopez@corp.example",
        "jdoe42",
        "acme/widget-api",
        "Northwind Robotics",
        "Jürgen Müller",
    ]
    company.user(
        "user-id-771", name="Ana María López", email="ana.lopez@corp.example", handle="jdoe42"
    )
    company.user(
        "u2", name="Jürgen Müller", repository="acme/widget-api", organisation="Northwind Robotics"
    )
    company.says(
        "user-id-771",
        "I'm ANA LÓPEZ (ana_lopez, ana.lopez@corp.example or other@mail.example), call +49 170 "
        "1234567; juergen mueller and Müller of northwind-robotics broke acme/widget-api.",
        conversation="conversation-id-552",
    )
    company.says(
        "user-id-771",
        "Hello Ana, jdoe42's card 4111 1111 1111 1111 was declined.",
        role="assistant",
        conversation="conversation-id-552",
    )
    gemini.facet_rule = lambda _: wire.facets(
        summary="Ana Lopez wrote to Jürgen about a+b@corp.example.",
        wish="jdoe42 is loyal.",
    )

    stages.read()

    assert len(gemini.requests) == 1
    sent = fold(gemini.requests[0].raw.encode().decode("unicode_escape", errors="ignore"))
    kept = fold(str(company.facets()))
    for where in (sent, kept):
        for value in [*planted, "lopez", "mueller", "muller", "jurgen", "widget", "northwind"]:
            assert fold(value) not in where
        for value in ("mail.example", "1234567", "4111", "corp.example"):
            assert value not in where
    for value in ("user-id-771", "conversation-id-552", "2026-06-01", "m00000"):
        assert value not in sent
    assert "[NAME_1]" in gemini.requests[0].text


def test_the_words_of_others_in_a_shared_conversation_do_not_come_along(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1")
    company.user("u2", consent=False)
    company.says("u1", "my own words", conversation="shared")
    company.says("u2", "secret of another", conversation="shared")
    company.says("u1", "the assistant quotes the secret", role="assistant", conversation="shared")
    company.says("u1", "alone with it", conversation="mine")
    company.says("u1", "a private reply", role="assistant", conversation="mine")
    stages.read()
    texts = [request.text for request in gemini.requests]
    assert len(texts) == 2
    assert any("my own words" in text for text in texts)
    assert any("a private reply" in text for text in texts)
    assert not any("secret" in text for text in texts)


def test_messages_without_a_user_belong_to_the_user_of_their_conversation(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1")
    company.user("u2", consent=False)
    company.conversation("c1", "u1", day=DAY - timedelta(days=1))
    company.conversation("c2", "u2")
    company.says(None, "words of one", conversation="c1")
    company.says(None, "words of two", conversation="c2")
    company.says(None, "words of nobody", conversation="c3")
    stages.read()
    (request,) = gemini.requests
    assert "words of one" in request.text
    assert set(company.facets()) == {("u1", DAY)}


def test_a_long_day_is_cut_to_its_newest_messages(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1")
    for number in range(200):
        company.says("u1", f"message {number:03} " + "word " * 60)
    company.says("u1", "x" * 100_000)
    company.says("u1", "the last one")
    stages.read()
    text = gemini.requests[0].text
    assert len(text) < 12_200
    assert "the last one" in text
    assert "message 199" in text
    assert "message 100 " not in text
    assert "xxx" not in text
    assert text.index("message 198") < text.index("message 199") < text.index("the last one")


def test_consent_withdrawn_deletes_what_was_kept(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for user_id in ("u1", "u2"):
        company.user(user_id)
        company.says(user_id, "build it")
    stages.read()
    company.user("u1", consent=False, since=NOW - timedelta(hours=1))
    outcome = stages.read()
    assert set(company.facets()) == {("u2", DAY)}
    assert outcome.deleted == 1
    # Given again, the answer is paid for again: it was really gone.
    company.user("u1", since=NOW - timedelta(minutes=1))
    stages.read()
    assert set(company.facets()) == {("u1", DAY), ("u2", DAY)}
    assert len(gemini.requests) == 3


def test_a_withdrawal_counts_at_once_even_with_the_clock_set_back(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1")
    company.says("u1", "build it")
    company.user("u1", consent=False, since=NOW + timedelta(days=30))
    stages.read()
    assert gemini.requests == []


def test_consent_withdrawn_between_selection_and_sending_sends_nothing(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for user_id in ("u1", "u2"):
        company.user(user_id)
        company.says(user_id, f"build it for {user_id}")

    def withdraw(_: object) -> None:
        company.user("u2", consent=False, since=NOW - timedelta(hours=1))

    gemini.on_request = withdraw
    outcome = stages.read(limits=ONE_AT_A_TIME)
    assert len(gemini.requests) == 1
    assert set(company.facets()) == {("u1", DAY)}
    assert outcome.withdrawn == 1
    assert company.calls() == [("done", None)]


def test_consent_withdrawn_while_the_model_reads_drops_the_answer(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1")
    company.says("u1", "build it")
    gemini.on_request = lambda _: company.user("u1", consent=False, since=NOW - timedelta(hours=1))
    outcome = stages.read()
    assert company.facets("model") == {}
    assert outcome.withdrawn == 1
    assert company.calls() == [("failed", "consent_withdrawn")]
    assert company.rows("select cost_micros > 0 from ops.llm_call") == [(True,)]


def test_rows_whose_messages_are_gone_are_deleted(company: Company, stages: Analysis) -> None:
    company.user("u1")
    company.says("u1", "build it")
    company.says("u1", "build more", day=NEXT)
    stages.read(2)
    company.conn.execute("delete from raw.messages where day = %s", [DAY])
    stages.read(2)
    assert set(company.facets()) == {("u1", NEXT)}


def test_without_a_key_nothing_is_sent_and_the_outcome_says_so(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for user_id in ("u1", "u2"):
        company.user(user_id)
        company.says(user_id, "build it")
    stages.read()
    company.user("u1", consent=False, since=NOW - timedelta(hours=1))
    before = len(gemini.requests)

    settings = load_settings(as_of=NOW, start_day=DAY)
    outcome = read_window(company.database, Window.of_day(DAY), settings)

    assert outcome.skipped == NO_KEY
    assert outcome.metadata()["skipped"] == "ANALYTICS_GEMINI_API_KEY is not set"
    assert len(gemini.requests) == before
    # Withdrawn consent needs no key to take effect.
    assert set(company.facets()) == {("u2", DAY)}


def test_settings_reach_the_model(company: Company, gemini: GeminiServer) -> None:
    company.user("u1")
    company.says("u1", "build it")
    settings = load_settings(
        as_of=NOW, start_day=DAY, gemini_api_key="test-key", gemini_base_url=gemini.url,
        gemini_model="gemini-2.5-pro", llm_requests_per_minute=6000,
    )  # fmt: skip
    outcome = read_window(company.database, Window.of_day(DAY), settings)
    assert outcome.complete
    assert gemini.requests[0].path == "/v1beta/models/gemini-2.5-pro:generateContent"


def test_a_rate_limit_is_waited_for_as_long_as_the_server_says(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1")
    company.says("u1", "build it")
    gemini.faults += [wire.rate_limited("0.4s"), wire.rate_limited(None, after="1")]
    outcome = stages.read()
    first, second, third = (request.at for request in gemini.requests)
    assert second - first >= 0.4
    assert third - second >= 1.0
    assert outcome.complete
    assert outcome.calls == 3
    assert company.calls() == [("done", None)]


def test_a_quota_for_the_day_stops_the_run_and_the_next_one_goes_on(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for number in range(20):
        company.user(f"u{number:02}")
        company.says(f"u{number:02}", f"build thing {number}")
    gemini.faults += [wire.rate_limited("36000s", only="thing 7")]
    outcome = stages.read(limits=ONE_AT_A_TIME)
    assert len(company.facets("model")) == 7
    assert (outcome.failed, outcome.not_attempted) == (1, 12)
    assert "rate_limited" in outcome.missing[0]
    outcome = stages.read()
    assert outcome.complete
    assert outcome.unchanged == 7
    assert len(company.facets()) == 20


def test_five_failures_in_a_row_open_the_breaker(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for number in range(30):
        company.user(f"u{number:02}")
        company.says(f"u{number:02}", f"build thing {number}")
    gemini.faults += [wire.server_error(503)] * 1000
    outcome = stages.read(limits=ONE_AT_A_TIME)
    assert outcome.failed == 5
    assert outcome.not_attempted == 25
    assert len(gemini.requests) == 5 * 4
    assert outcome.errors == {"http_503": 5}
    assert company.facets("model") == {}


def test_a_failing_model_leaves_the_rows_of_before_and_says_what_is_missing(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for user_id in ("u1", "u2"):
        company.user(user_id)
        company.says(user_id, f"build for {user_id}")
    stages.read()
    company.says("u1", "and another thing")
    gemini.faults += [wire.server_error()] * 4
    outcome = stages.read()
    assert set(company.facets()) == {("u1", DAY), ("u2", DAY)}
    assert outcome.stale == 1
    assert not outcome.complete
    assert outcome.missing == [
        "conversation_facets of some users: the model failed (http_500); the next run asks again"
    ]


def test_a_wrong_key_stops_at_the_first_call_and_names_the_setting(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for number in range(20):
        company.user(f"u{number:02}")
        company.says(f"u{number:02}", f"build thing {number}")
    outcome = stages.read(limits=ONE_AT_A_TIME, api_key="wrong")
    assert len(gemini.requests) == 1
    assert outcome.not_attempted == 19
    assert "ANALYTICS_GEMINI_API_KEY" in outcome.missing[0]
    assert company.calls() == [("failed", "http_403")]


def test_a_blocked_text_is_never_paid_for_again(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1")
    company.user("u2")
    company.says("u1", "something awful")
    company.says("u2", "build it")
    gemini.faults += [wire.blocked_prompt(only="awful")]
    outcome = stages.read()
    assert outcome.poisoned == 1
    assert outcome.errors == {"blocked_safety": 1}
    assert set(company.facets("model")) == {("u2", DAY)}
    assert set(company.facets("rules")) == {("u1", DAY)}
    before = company.facet_bytes()
    with gemini.fresh_log() as log:
        outcome = stages.read()
    assert log == []
    assert company.facet_bytes() == before
    assert outcome.poisoned == 1
    assert outcome.complete
    # Other words are another question.
    company.says("u1", "and something else")
    with gemini.fresh_log() as log:
        stages.read()
    assert len(log) == 1


def test_a_bad_value_is_repaired_once_then_given_up_for_good(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1")
    company.says("u1", "build it")
    gemini.facet_rule = lambda _: wire.facets(outcome="glorious", sentiment=11)
    outcome = stages.read()
    assert len(gemini.requests) == 2
    assert "outcome, sentiment" in gemini.requests[1].text
    assert company.calls() == [("poison", "bad_value")]
    # Both calls were billed.
    assert company.rows("select input_tokens, output_tokens from ops.llm_call") == [(2000, 200)]
    assert outcome.cost_micros == 2 * (600 * 0.10 + 400 * 0.025 + 100 * 0.40)
    with gemini.fresh_log() as log:
        stages.read()
    assert log == []


def test_a_page_instead_of_an_answer_is_tried_twice_then_left_for_the_next_run(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1")
    company.says("u1", "build it")
    gemini.faults += [wire.html(), wire.html()]
    outcome = stages.read()
    assert len(gemini.requests) == 2
    assert company.calls() == [("failed", "unreadable_answer")]
    assert outcome.failed == 1
    assert stages.read().complete
    assert company.rows("select attempt from ops.llm_call order by call_id") == [(1,), (2,)]


def test_metadata_tells_no_small_count_and_no_text(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for number in range(12):
        company.user(f"u{number:02}")
        company.says(
            f"u{number:02}", f"awful secret {number}" if number == 3 else f"build {number}"
        )
    gemini.faults += [wire.blocked_prompt(only="awful")]
    told = stages.read().metadata()
    assert told["selected"] == 12
    assert told["analysed"] == 11
    assert told["poisoned"] == "fewer than 11"
    assert not any(word in str(told) for word in ("u03", "secret", "awful"))


def test_two_runs_of_one_window_at_once_pay_once(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for number in range(12):
        company.user(f"u{number:02}")
        company.says(f"u{number:02}", f"build thing {number}")
    outcomes: list[StageOutcome] = []
    threads = [threading.Thread(target=lambda: outcomes.append(stages.read())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(gemini.requests) == 12
    assert sorted(outcome.analysed for outcome in outcomes) == [0, 12]
    assert len(company.facets()) == 12


def test_users_are_read_page_by_page(
    company: Company, gemini: GeminiServer, stages: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics_assets.insights.asking.table_work.PAGE_USERS", 3)
    monkeypatch.setattr("analytics_assets.insights.scrubbing.dictionary.RESIDENT_IDENTIFIERS", 0)
    for number in range(8):
        company.user(f"u{number}", name=f"Zorbulon Quixley{'abcdefgh'[number]}")
        company.says(f"u{number}", f"ask quixley{'bcdefgha'[number]} about {number}")
    outcome = stages.read()
    assert outcome.analysed == 8
    assert not any("quixley" in request.text for request in gemini.requests)


def test_a_lost_database_is_raised_and_the_next_run_goes_on(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for number in range(4):
        company.user(f"u{number}")
        company.says(f"u{number}", f"build thing {number}")

    def cut(logged: wire.Logged) -> None:
        if "thing 2" in logged.text:
            gemini.on_request = None
            company.rows(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )

    gemini.on_request = cut
    with pytest.raises(psycopg.OperationalError):
        stages.read(limits=ONE_AT_A_TIME)
    assert len(company.facets()) == 2
    assert stages.read().complete
    assert len(company.facets()) == 4


def test_without_a_model_rules_stand_in_and_say_since_when(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1", name="Zorbulon Quixley")
    company.says("u1", "I am Zorbulon Quixley. My CSV import fails with an error, the same as ever")
    company.says("u1", "It would be great if I could export this to Excel.")
    company.says("u1", "Never mind, I give up.")
    outcome = stages.by_rules()
    row = company.facets()["u1", DAY]
    assert (row["source"], row["model"], row["behind_since"]) == ("rules", "rules-2", "2026-06-08")
    assert (row["task"], row["topic"], row["outcome"]) == ("fix", "data_pipelines", "not_achieved")
    assert (row["friction"], row["feature_request"]) == ("error", "import_export")
    assert (row["summary"], row["user_messages"]) == ("U wanted to fix in data pipelines.", 3)
    assert (outcome.by_rules, outcome.rules_since) == (1, NOW.date())
    assert outcome.metadata()["rules_since"] == "2026-06-08"

    before = company.facet_bytes()
    stages.by_rules()
    assert company.facet_bytes() == before
    assert gemini.requests == []
    # A model that becomes available reads what only rules had read.
    stages.read()
    row = company.facets()["u1", DAY]
    assert (row["source"], row["behind_since"]) == ("model", None)


def test_rules_never_replace_what_a_model_read_and_mark_it_as_behind(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    company.user("u1")
    company.says("u1", "build it")
    stages.read()
    before = company.facet_bytes()
    stages.by_rules()
    assert company.facet_bytes() == before
    company.says("u1", "now it fails with an error")
    stages.by_rules()
    row = company.facets()["u1", DAY]
    assert (row["source"], row["outcome"]) == ("model", "achieved")
    assert row["behind_since"] == "2026-06-08"
    stages.read()
    row = company.facets()["u1", DAY]
    assert (row["outcome"], row["behind_since"]) == ("not_achieved", None)


def test_facets_go_when_retention_has_dropped_their_messages(
    company: Company, stages: Analysis
) -> None:
    company.user("u1")
    company.says("u1", "build it")
    company.says("u1", "build more", day=NEXT)
    stages.read(2)
    company.conn.execute(
        "insert into ops.retention_floor (event_category, kept_from) values ('messages', %s)",
        [NEXT],
    )
    # The pruned day is not in this window.
    stages.by_rules(3)
    assert set(company.facets()) == {("u1", NEXT)}


def test_two_conversations_and_two_users_of_one_are_rows_of_their_own(
    company: Company, gemini: GeminiServer, stages: Analysis
) -> None:
    for user_id in ("u1", "u2"):
        company.user(user_id)
        company.says(user_id, f"words of {user_id}", conversation="shared")
    company.says("u1", "elsewhere", conversation="other")
    stages.read()
    assert sorted(
        company.rows("select user_id, conversation_id from insights.conversation_facets")
    ) == [("u1", "other"), ("u1", "shared"), ("u2", "shared")]
    assert not any("u1" in r.text and "u2" in r.text for r in gemini.requests)
