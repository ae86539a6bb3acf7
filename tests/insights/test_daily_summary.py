"""The daily summary: what it tells, what it keeps back, and when it is written and posted."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from insights_company import DAY, NEXT, ONE_AT_A_TIME, Analysis, Company
from pydantic import SecretStr
from servers import gemini as wire
from servers.gemini import GeminiServer
from servers.slack import SlackServer

from analytics_assets.insights.summary.daily_summary import (
    SummaryOutcome,
    build_daily_summary,
    post_daily_summary,
    summarise_window,
)
from analytics_assets.insights.summary.slack import NO_CHANNEL, POSTED_AGAIN, Slack
from analytics_assets.insights.summary.text import gated, slack_payload
from analytics_assets.settings import load_settings
from analytics_assets.windows import Window

MORNING_AFTER = datetime(2026, 6, 2, 6, tzinfo=UTC)
NO_KEY = "ANALYTICS_GEMINI_API_KEY is not set"


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


@pytest.fixture
def marts(company: Company) -> Company:
    """The marts a summary reads, as dbt makes them."""
    company.conn.execute(
        "create table marts.daily_metrics (date date, metric_name text, metric_value numeric);"
        "create table marts.event_aggregations (event_type text, event_category text, "
        "aggregation_type text, period_start timestamptz, total_events bigint, "
        "unique_users bigint, day date)"
    )
    return company


def metric(company: Company, name: str, value: float, day: date = DAY) -> None:
    company.conn.execute("insert into marts.daily_metrics values (%s, %s, %s)", [day, name, value])


def activity(company: Company, event_type: str, events: int, people: int) -> None:
    company.conn.execute(
        "insert into marts.event_aggregations values (%s, 'action', 'daily', %s, %s, %s, %s)",
        [event_type, datetime.combine(DAY, datetime.min.time(), UTC), events, people, DAY],
    )


def build(
    company: Company, days: int = 1, *, now: datetime = MORNING_AFTER, key: bool = True
) -> SummaryOutcome:
    window = Window(DAY, DAY + timedelta(days=days))
    with company.database.connect("analytics_pipeline") as conn:
        return build_daily_summary(conn, window, now, why_no_model=None if key else NO_KEY)


def post(company: Company, url: str | None, *, now: datetime = MORNING_AFTER) -> str:
    return post_to(company, None if url is None else Slack(SecretStr(url)), now=now)


def post_to(company: Company, slack: Slack | None, *, now: datetime = MORNING_AFTER) -> str:
    with company.database.connect("analytics_pipeline") as conn:
        return post_daily_summary(conn, Window.of_day(DAY), now, slack)


def summary(company: Company, day: date = DAY) -> str:
    ((markdown,),) = company.rows("select markdown from insights.daily_summary where day = %s", day)
    return str(markdown)


def stored(company: Company) -> list[tuple[Any, ...]]:
    return company.rows("select xmin::text, s.*::text from insights.daily_summary as s order by 2")


def section(markdown: str, heading: str) -> list[str]:
    _, _, rest = markdown.partition(f"## {heading}\n")
    return [line.removeprefix("- ") for line in rest.split("\n\n")[0].strip().splitlines()]


def people_with(company: Company, count: int, text: str, prefix: str) -> None:
    for number in range(count):
        company.user(f"{prefix}{number:02}")
        company.says(f"{prefix}{number:02}", f"{text} {number}")


def test_metrics_and_activity_are_told_and_small_groups_are_not(marts: Company) -> None:
    metric(marts, "total_searches", 1234)
    metric(marts, "total_searches", 1000, DAY - timedelta(days=1))
    metric(marts, "active_users", 12)
    metric(marts, "active_users", 7, DAY - timedelta(days=1))
    metric(marts, "user_engagement", 3.25)
    metric(marts, "user_engagement", 9.75, DAY - timedelta(days=1))
    activity(marts, "download", 500, 43)
    activity(marts, "share", 70, 10)
    build(marts)
    text = summary(marts)
    assert section(text, "Metrics") == [
        "active users: 11+ (day before: fewer than 11 people)",
        "total searches: 1,234 (day before: 1,000)",
        "user engagement: 3.25 (day before: fewer than 11 people)",
    ]
    assert section(text, "Activity") == [
        "download: 500 events by 40+ people",
        "Other event types are rarer or come from too few people to show.",
    ]
    assert "share" not in text


def test_insights_are_told_for_more_than_ten_people_only(
    marts: Company, analyse_days: Analysis
) -> None:
    people_with(marts, 10, "build it", "b")
    analyse_days()
    build(marts)
    assert section(summary(marts), "What users said") == [
        "Not enough people: shown for groups of 11 or more."
    ]
    people_with(marts, 12, "it fails with an error", "f")
    marts.user("b10")
    marts.says("b10", "build it")
    analyse_days()
    build(marts)
    assert section(summary(marts), "What users said") == [
        "From conversations of 20+ consenting people.",
        "goals: fix 11+, build 11+",
        "outcome: not achieved 11+, achieved 11+",
        "friction: error 11+",
        "feature request: none 20+",
        "will return: unsure 11+, likely 11+",
        "mood, 1 to 5: 3.0",
        "satisfaction, 1 to 5: 4.0",
    ]


def test_a_count_that_gives_a_small_rest_away_is_kept_back() -> None:
    assert gated({"a": 12, "b": 3}, 15) == []
    assert gated({"a": 15}, 15) == [("a", 15)]
    assert gated({"a": 12, "b": 11}, 23) == [("a", 12), ("b", 11)]
    assert gated({"a": 30, "b": 12, "c": 10}, 52) == [("a", 30), ("b", 12)]


def test_a_window_built_twice_leaves_identical_rows(marts: Company, analyse_days: Analysis) -> None:
    metric(marts, "total_searches", 5)
    people_with(marts, 3, "build it", "u")
    analyse_days()
    assert build(marts, 3, now=MORNING_AFTER + timedelta(days=5)).changed == 3
    before = stored(marts)
    assert build(marts, 3, now=MORNING_AFTER + timedelta(days=5)).changed == 0
    assert stored(marts) == before
    metric(marts, "installation_count", 7)
    # The second day tells the first one's metrics as those of the day before only if it has them.
    assert build(marts, 3, now=MORNING_AFTER + timedelta(days=5)).changed == 1
    assert "installation count: 7" in summary(marts)


def test_days_to_come_have_no_summary(marts: Company) -> None:
    assert build(marts, 5).days == 2
    assert marts.rows("select day from insights.daily_summary order by 1") == [(DAY,), (NEXT,)]


def missing(company: Company, day: date = DAY) -> dict[str, tuple[str, str | None]]:
    ((found,),) = company.rows("select missing from insights.daily_summary where day = %s", day)
    assert found == json.loads(json.dumps(found))
    return {item["what"]: (item["why"], item["since"]) for item in found["items"]}


def test_without_marts_the_summary_says_so(company: Company) -> None:
    build(company)
    assert missing(company)["metrics"] == ("marts.daily_metrics has not been built yet", None)
    assert "marts.event_aggregations has not been built yet" in summary(company)


def test_without_data_the_summary_says_since_when(marts: Company) -> None:
    metric(marts, "total_searches", 3, DAY - timedelta(days=4))
    outcome = build(marts)
    assert missing(marts) == {
        "metrics": ("no data for this day", "2026-05-29"),
        "activity": ("no events on this day", None),
        "insights": ("no consenting user wrote on this day", None),
    }
    assert outcome.metadata()["missing"] == (
        "activity: no events on this day; insights: no consenting user wrote on this day; "
        "metrics: no data for this day"
    )


def test_without_a_key_the_summary_names_the_setting_and_since_when(
    marts: Company, analyse_days: Analysis
) -> None:
    marts.user("u1")
    marts.says("u1", "build it")
    marts.says("u1", "build more", day=NEXT)
    analyse_days()
    build(marts, 2, key=False)
    assert missing(marts, NEXT)["insights"] == (NO_KEY, "2026-06-02")
    assert f"insights: {NO_KEY}, since 2026-06-02" in summary(marts, NEXT)
    # Whatever the reason is, it is the one that is told.
    with marts.database.connect("analytics_pipeline") as conn:
        build_daily_summary(conn, Window.of_day(NEXT), MORNING_AFTER, why_no_model="off")
    assert missing(marts, NEXT)["insights"][0] == "off"
    # Given later, the day is no longer missing it.
    analyse_days(2)
    build(marts, 2)
    assert "insights" not in missing(marts, NEXT)


def test_a_failing_model_is_told_by_its_class_of_error(
    marts: Company, gemini: GeminiServer, analyse_days: Analysis
) -> None:
    for user_id in ("u1", "u2"):
        marts.user(user_id)
        marts.says(user_id, f"build for {user_id}")
    analyse_days.read()
    gemini.faults += [wire.server_error()] * 4
    analyse_days.judge(limits=ONE_AT_A_TIME)
    build(marts)
    assert missing(marts)["insights of some users"] == (
        "the model gave no answer (http_500)",
        "2026-06-01",
    )
    analyse_days()
    build(marts)
    assert "insights of some users" not in missing(marts)


def test_published_trends_are_told_once_their_period_has_closed(marts: Company) -> None:
    with marts.database.connect_as_admin(marts.database.name) as admin:
        for table in ("ai_usage_trends", "archetype_distribution"):
            admin.execute(f"alter table published.{table} disable trigger user")
        admin.execute(
            "insert into published.ai_usage_trends values "
            "('2026-05-18', 37.5, 412), ('2026-05-25', 99, 500);"
            "insert into published.archetype_distribution values "
            "('2026-04-01', 'builder', 60, 50), ('2026-04-01', 'any', 90, 50), "
            "('2026-05-01', 'builder', 600, 50)"
        )
    build(marts)
    assert section(summary(marts), "Published trends") == [
        "AI share in the week of 2026-05-18: 37.5 % of 412 analyses",
        "Archetypes: any 90, builder 60",
    ]


def test_yesterdays_summary_is_posted_once_and_again_only_when_it_changes(
    marts: Company, slack: SlackServer
) -> None:
    metric(marts, "total_searches", 5)
    build(marts)
    assert post(marts, slack.url) == "posted"
    assert post(marts, slack.url) == "unchanged"
    before = stored(marts)
    build(marts)
    assert stored(marts) == before
    assert post(marts, slack.url) == "unchanged"
    metric(marts, "installation_count", 7)
    build(marts)
    # A webhook cannot change what it posted, so the second message says what it is.
    assert post(marts, slack.url) == POSTED_AGAIN
    first, second = slack.posts
    assert first["text"] == "Daily summary 2026-06-01"
    assert second["text"] == "Daily summary 2026-06-01 (updated)"
    assert first["blocks"][0]["type"] == "header"
    assert "*Metrics*\n• total searches: 5" in json.dumps(first, ensure_ascii=False).replace(
        "\\n", "\n"
    )
    assert "installation count: 7" in json.dumps(second)


def test_a_bot_changes_its_message_instead_of_posting_twice(
    marts: Company, slack: SlackServer
) -> None:
    bot = Slack(None, SecretStr(slack.token), "C024BE91L", slack.api_url)
    metric(marts, "total_searches", 5)
    build(marts)
    assert post_to(marts, bot) == "posted"
    assert post_to(marts, bot) == "unchanged"
    metric(marts, "installation_count", 7)
    build(marts)
    assert post_to(marts, bot) == "updated"
    ((_, message),) = slack.messages.items()
    assert "installation count: 7" in json.dumps(message)
    assert message["text"] == "Daily summary 2026-06-01"
    # Somebody deleted it: the summary is posted anew, and that message changed from then on.
    slack.messages.clear()
    metric(marts, "active_servers", 3)
    build(marts)
    assert post_to(marts, bot) == "posted"
    metric(marts, "unique_searches", 2)
    build(marts)
    assert post_to(marts, bot) == "updated"
    assert len(slack.messages) == 1
    assert slack.calls.count("chat.postMessage") == 2


def test_a_bot_that_is_refused_says_what_to_do_and_never_its_token(
    marts: Company, slack: SlackServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    metric(marts, "total_searches", 5)
    build(marts)
    token = SecretStr(slack.token)
    assert post_to(marts, Slack(None, token, None, slack.api_url)) == NO_CHANNEL
    told = ""
    for refusal, advice in (
        ("not_in_channel", "invite the bot"),
        ("channel_not_found", "ANALYTICS_SLACK_CHANNEL"),
        ("<@U1> leak?", "(unknown)"),
    ):
        slack.refusal = refusal
        told += (found := post_to(marts, Slack(None, token, "C024BE91L", slack.api_url)))
        assert advice in found
    slack.refusal = ""
    wrong = post_to(marts, Slack(None, SecretStr("xoxb-other"), "C1", slack.api_url))
    assert "ANALYTICS_SLACK_BOT_TOKEN" in wrong
    slack.status = 429
    assert "next run" in post_to(marts, Slack(None, token, "C024BE91L", slack.api_url))
    nowhere = post_to(marts, Slack(None, token, "C024BE91L", "http://127.0.0.1:9/api"))
    assert "ANALYTICS_SLACK_API_URL" in nowhere
    assert "leak" not in told
    assert "xoxb" not in told + wrong + nowhere + caplog.text
    slack.status = 200
    assert post_to(marts, Slack(None, token, "C024BE91L", slack.api_url)) == "posted"


def test_only_the_newest_complete_day_is_posted(marts: Company, slack: SlackServer) -> None:
    build(marts)
    assert post(marts, slack.url, now=MORNING_AFTER + timedelta(days=1)) == "not due"
    assert post(marts, slack.url, now=MORNING_AFTER - timedelta(days=1)) == "not due"
    assert post(marts, None) == "not configured"
    assert slack.posts == []


def test_failing_to_post_is_told_tried_again_and_never_tells_the_address(
    marts: Company, slack: SlackServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    metric(marts, "total_searches", 5)
    build(marts)
    slack.status = 404
    told = post(marts, slack.url)
    assert "404" in told
    unreachable = slack.url.replace("http://127.0.0.1:", "http://127.0.0.1:1")
    told += post(marts, unreachable)
    assert "ANALYTICS_SLACK_WEBHOOK_URL" in told
    slack.status = 200
    assert post(marts, slack.url) == "posted"
    assert "secret-part" not in told
    assert "secret-part" not in caplog.text


def test_the_window_is_summed_up_and_posted_with_the_settings(
    marts: Company, slack: SlackServer
) -> None:
    metric(marts, "total_searches", 5)
    settings = load_settings(as_of=MORNING_AFTER, start_day=DAY, slack_webhook_url=slack.url)
    outcome = summarise_window(marts.database, Window(DAY, DAY + timedelta(days=2)), settings)
    assert outcome.post == "posted"
    assert outcome.days == 2
    assert len(slack.posts) == 1
    assert NO_KEY in summary(marts)


def test_slack_gets_blocks_it_accepts() -> None:
    lines = "\n".join(f"- event <{number}> & more" for number in range(400))
    payload = slack_payload(f"# Daily summary 2026-06-01\n\n## Activity\n{lines}\n")
    text = "\n".join(block["text"]["text"] for block in payload["blocks"])
    assert all(f"event &lt;{number}&gt; &amp; more" in text for number in range(400))
    assert all(len(block["text"]["text"]) <= 3000 for block in payload["blocks"])
    # What no message can hold is cut between lines, or at a whole sign, and said to be.
    wide = "\n".join(f"- {'&' * 2000}" for _ in range(80))
    payload = slack_payload(f"# {'x' * 400}\n\n## Activity\n{wide}\n")
    blocks = payload["blocks"]
    assert len(blocks) <= 50
    assert "insights.daily_summary" in blocks[-1]["text"]["text"]
    assert len(blocks[0]["text"]["text"]) <= 150
    for block in blocks[2:-1]:
        assert len(block["text"]["text"]) <= 3000
        assert block["text"]["text"].removeprefix("• ").replace("&amp;", "") == "…"


def test_the_analyst_reads_the_summary_and_not_the_insights(marts: Company) -> None:
    import psycopg

    build(marts)
    with marts.database.connect("analytics_analyst") as conn:
        assert conn.execute("select count(*) from insights.daily_summary").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("select count(*) from insights.analysis_cache")


def test_facets_by_rules_are_told_with_since_when(marts: Company, analyse_days: Analysis) -> None:
    marts.user("u1")
    marts.says("u1", "build it")
    analyse_days.by_rules()
    build(marts)
    assert missing(marts)["facets of conversations"] == (
        "rules stand in where no model has read them",
        "2026-06-08",
    )
    analyse_days()
    build(marts)
    assert "facets of conversations" not in missing(marts)
