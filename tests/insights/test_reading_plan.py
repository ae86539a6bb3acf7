"""How much a model reads of a day, counted over real selections and without a call."""

from __future__ import annotations

from datetime import timedelta

import pytest
from insights_company import DAY, NOW, Analysis, Company
from servers.gemini import GeminiServer

from analytics_assets.insights.conversations import reading_plan
from analytics_assets.insights.conversations.reading_plan import ActiveUsers, ReadingPlan, plan_day
from analytics_assets.insights.conversations.selection import Selection
from analytics_assets.insights.conversations.tiers import (
    CALLS_A_DAY,
    NAMES_A_DAY,
    OUTLIERS_A_DAY,
    READ_A_DAY,
    draw,
)
from analytics_assets.insights.groups.prompts import SAMPLES
from analytics_assets.insights.users.plan import plan_users
from analytics_assets.windows import Window


def crowd(company: Company, users: int, conversations: int = 2) -> Selection:
    company.user("first")
    company.says("first", "hello")
    company.conn.execute(
        "insert into raw.users (user_id, valid_from, insights_consent, is_internal, source) "
        "select 'u' || n, '2026-01-01', n %% 10 > 0, false, 'test' "
        "from generate_series(1, %s) as n",
        [users * 10 // 9],
    )
    company.conn.execute(
        "insert into raw.messages (day, message_id, conversation_id, user_id, role, content, "
        "created_at, source) "
        "select %s::date, 'x' || n || '-' || c, 'c' || n || '-' || c, 'u' || n, 'user', "
        "case when n %% 7 = 0 then 'построй отчёт' else 'build it' end, %s::date, 'test' "
        "from generate_series(1, %s) as n, generate_series(1, %s) as c",
        [DAY, DAY, users * 10 // 9, conversations],
    )
    return Selection.of(company.conn, Window.of_day(DAY), NOW)


def plan_of(company: Company, selection: Selection) -> ReadingPlan:
    return plan_day(company.conn, selection, DAY, ActiveUsers(company.conn, selection))


def test_who_is_active_is_who_wrote_within_four_weeks_and_agrees(company: Company) -> None:
    days = [DAY + timedelta(days=n) for n in range(-40, 12)]
    wrote = {"daily": range(52), "once": [3], "left": [5, 30], "back": [0, 45], "silent": [40]}
    for user, on in wrote.items():
        company.user(user, consent=user != "silent")
        for number in on:
            company.says(user, "hello", day=days[number])
    window = Window(days[20], days[-1])
    active = ActiveUsers(company.conn, Selection.of(company.conn, window, NOW))
    for place, day in enumerate(days[20:-1], start=20):
        agreed = [set(on) for user, on in wrote.items() if user != "silent"]
        assert active.on(day) == sum(bool(on & set(range(place - 27, place + 1))) for on in agreed)


def test_ten_thousand_users_cost_at_most_fifteen_hundred_calls_a_day(company: Company) -> None:
    selection = crowd(company, 10_000)
    plan = plan_of(company, selection)
    assert (plan.tier, plan.users) == (4, 10_001)
    assert plan.drawn is not None
    names = NAMES_A_DAY[4]
    assert names is not None
    assert len(plan.drawn) == READ_A_DAY[4]
    [(conversations, drawn, strata)] = company.rows(
        "select conversations, drawn, strata from insights.reading_plans"
    )
    assert (conversations, drawn) == (20_001, READ_A_DAY[4])
    assert sum(size for size, _ in strata.values()) == conversations
    assert set(strata) == {"unknown calm latin", "unknown calm other"}
    # Nobody who did not agree is drawn, and the same day draws the same.
    assert not any(int(user[1:]) % 10 == 0 for user, _ in plan.drawn if user != "first")
    assert plan_of(company, selection) == plan

    # Once groups were made, what is unlike all of them is read as well.
    agreed = [n for n in range(1, 900) if n % 10]
    strange = [(f"u{n}", f"c{n}-2") for n in agreed]
    company.cluster()
    company.placed([(f"u{n}", f"c{n}-1") for n in agreed], 0.0)
    company.placed(strange, 0.5)
    with company.conn.transaction():
        again = plan_of(company, selection)
    assert again.drawn == plan.drawn
    assert len(again.outliers) == OUTLIERS_A_DAY[4]
    assert again.outliers <= set(strange) - plan.drawn
    assert all(again.has(place) for place in again.outliers)
    # What a model has read of them counts towards the day's.
    first = sorted(again.outliers)[:60]
    company.conn.execute(
        "update insights.conversation_facets set source = 'model', behind_since = null "
        "where conversation_id = any(%s)",
        [[talk for _, talk in first]],
    )
    with company.conn.transaction():
        later = plan_of(company, selection)
        judged = plan_users(company.conn, DAY, [user for user, _ in strange])
    assert len(later.outliers) == OUTLIERS_A_DAY[4] - 60
    assert not later.outliers & set(first)
    assert (judged.tier, judged.chosen) == (4, frozenset())
    # A group is asked for its name SAMPLES times and audited once; personas are few.
    calls = len(plan.drawn) + len(first) + len(later.outliers) + names * (SAMPLES + 1)
    assert calls <= CALLS_A_DAY[4] == 1_500


def test_who_counts_towards_the_scale_need_have_no_account(company: Company) -> None:
    selection = crowd(company, 890, 1)
    company.only_the_ledger()
    assert plan_of(company, selection).tier == 2


def test_below_a_thousand_users_everything_is_read(company: Company) -> None:
    plan = plan_of(company, crowd(company, 890, 1))
    assert (plan.tier, plan.drawn) == (2, None)
    assert plan.has(("anybody", "anything"))
    # It is kept all the same: the next day's tier begins from this one.
    [kept] = company.rows("select tier, users, conversations, drawn from insights.reading_plans")
    assert kept == (2, plan.users, plan.users, plan.users)


def test_what_is_neither_drawn_nor_an_outlier_is_read_by_rules_and_costs_nothing(
    company: Company, gemini: GeminiServer, stages: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(conn: object, selection: object, day: object, now: object) -> object:
        everyone = [((f"u{n}", f"c-u{n}"), 0) for n in range(6)]
        drawn = frozenset(one.unit for one in draw(everyone, 2, "s"))
        far = next(place for place, _ in everyone if place not in drawn)
        return reading_plan.ReadingPlan(3, 1_000, drawn, frozenset([far]))  # type: ignore[arg-type]

    monkeypatch.setattr("analytics_assets.insights.conversations.facets.plan_day", plan)
    for number in range(6):
        company.user(f"u{number}")
        company.says(f"u{number}", f"build thing {number}")
    outcome = stages.read()
    assert (outcome.analysed, outcome.not_drawn) == (3, 3)
    assert len(gemini.requests) == 3
    assert len(company.facets("rules")) == 3
