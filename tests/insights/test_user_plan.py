"""Whose insight a model writes at which scale: everybody's, one a week, or who stands out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from insights_company import DAY, NEXT, NOW, Analysis, Company
from servers.gemini import GeminiServer

from analytics_assets.insights.asking.answer_table import Item
from analytics_assets.insights.conversations.selection import Selection
from analytics_assets.insights.conversations.tiers import USERS_A_DAY
from analytics_assets.insights.users.analysis import UserInsightTable
from analytics_assets.insights.users.plan import UserPlan, plan_users
from analytics_assets.windows import Window

NEXT_WEEK = DAY + timedelta(days=7)
CHANGES = ((DAY, "build it"), (NEXT, "it fails with an error"), (NEXT_WEEK, "it needs an export"))


@pytest.mark.parametrize(("tier", "asked"), [(1, 3), (2, 2), (4, 0)])
def test_from_a_hundred_users_on_a_user_is_judged_once_a_week_and_from_ten_thousand_never(
    company: Company, gemini: GeminiServer, stages: Analysis, tier: int, asked: int
) -> None:
    company.user("u1")
    company.tier(tier, *(day for day, _ in CHANGES))
    for day, text in CHANGES:
        company.says("u1", text, day=day)
    stages.read(8)
    outcome = stages.judge(8)
    assert (outcome.calls, outcome.not_drawn) == (asked, 3 - asked)
    kept = company.cached()
    assert set(kept) == {("u1", day) for day, _ in CHANGES if asked == 3 or (asked and day != NEXT)}
    # What is there stays, though the day says something else by now.
    company.says("u1", "it fails with an error and needs an export", day=DAY)
    stages.read(8)
    with gemini.fresh_log() as log:
        again = stages.judge(8)
    assert len(log) == (tier == 1)
    assert again.stale == (tier == 2)
    if tier > 1:
        assert company.cached() == kept


def test_a_batch_of_several_days_holds_one_question_a_user_and_week(company: Company) -> None:
    company.user("u1")
    days = [day for day, _ in CHANGES]
    company.tier(2, *days)
    for day, text in CHANGES:
        company.says("u1", text, day=day)
    selection = Selection.of(company.conn, Window(DAY, NEXT_WEEK + timedelta(days=1)), NOW)
    table = UserInsightTable(company.conn, selection)
    for _ in range(2):
        told = []
        for day in days:
            table.plan(day, ["u1"])
            told.append(table.may_ask(Item("u1", day, "", "", "", f"{day}")))
        assert told == [True, False, True]


def test_from_a_thousand_users_on_only_who_stands_out_is_judged(company: Company) -> None:
    company.tier(3, DAY)
    acts(company, "regular", [2] * 10, 5)
    acts(company, "unlike-herself", [2] * 10, 6)
    acts(company, "lively", [0, 5, 10, 15, 20] * 2, 30)
    acts(company, "new", [1] * 6, 50)
    company.cluster()
    company.placed([("strange", "c1")], 0.5)
    company.placed([("plain", "c2")], 0.1)
    users = ["regular", "unlike-herself", "lively", "new", "strange", "plain"]
    assert plan(company, users).chosen == {"unlike-herself", "strange"}
    assert plan(company, ["regular", "strange"]).chosen == {"strange"}
    # Without what stands out there is still the other.
    with company.conn.transaction():
        without = plan_users(company.conn, DAY, users, has_activity=False)
    assert without.chosen == {"strange"}


def test_of_many_who_stand_out_the_strangest_are_judged_within_the_days_calls(
    company: Company,
) -> None:
    most = USERS_A_DAY[3]
    assert most == 300
    company.tier(3, DAY)
    users = [f"u{number:03}" for number in range(400)]
    activity(company)
    company.conn.execute(
        "insert into insights.user_activity select 'u' || to_char(n, 'FM000'), %s::date - back, "
        "case back when 0 then 1000 - n else 1 end from generate_series(0, 399) as n, "
        "generate_series(0, 7) as back",
        [DAY],
    )
    assert plan(company, users).chosen == set(users[:most])
    company.conn.execute(
        "insert into insights.analysis_cache (user_id, analysis_date, insights, cache_key, model, "
        "prompt_version) select 'u' || to_char(n, 'FM000'), %s, '{}', n::text, 'm', 'p' "
        "from generate_series(0, 249) as n",
        [DAY],
    )
    assert plan(company, users).chosen == set(users[250:most])


def plan(company: Company, users: list[str]) -> UserPlan:
    with company.conn.transaction():
        return plan_users(company.conn, DAY, users)


def activity(company: Company) -> None:
    company.conn.execute(
        "create table if not exists insights.user_activity (user_id text, day date, "
        "total_conversations int, jobs int, downloads int, shares int, credit_limits int)"
    )


def acts(company: Company, user_id: str, before: list[int], today: int) -> None:
    activity(company)
    for back, count in enumerate([today, *before]):
        company.conn.execute(
            "insert into insights.user_activity (user_id, day, jobs) values (%s, %s, %s)",
            [user_id, DAY - timedelta(days=back), count],
        )
