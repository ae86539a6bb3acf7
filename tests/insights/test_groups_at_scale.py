"""Groups of days of which a model read a sample: who shapes them, who counts, what is shared."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from insights_company import DAY, FAST, NOW, Analysis, Company, provider_of
from psycopg.types.json import Jsonb
from servers.gemini import GeminiServer, facets
from test_groups import FIRST, TOPICS, Talks, names
from test_reading_plan import crowd

from analytics_assets.insights.conversations.reading_plan import ReadingPlan, mark_drawn
from analytics_assets.insights.conversations.tiers import READ_A_DAY
from analytics_assets.insights.groups.facet_groups import group_facets
from analytics_assets.insights.groups.sampled import TOO_FEW_READ
from analytics_assets.insights.vectors.embedding import HASHED_WORDS

CHART, BRIEF = "drawing charts of customers", "writing project briefs"


@pytest.fixture
def talks(company: Company) -> Talks:
    return Talks(company)


def sampled(talks: Talks, conversations: int, drawn: int) -> None:
    """Plans of the 28 days that say so."""
    for number in range(28):
        talks.company.conn.execute(
            "insert into insights.reading_plans values (%s, 3, 2000, %s, %s, %s)",
            [FIRST + timedelta(days=number), conversations, drawn,
             Jsonb({"calm": [conversations, drawn]})],
        )  # fmt: skip


def read_a_part(talks: Talks) -> None:
    """Of every topic 24 people by the model, of whom 4 were outliers."""
    for topic in TOPICS:
        talks.crowd(topic, 24, stratum="calm")
        talks.company.conn.execute(
            "update insights.conversation_facets set stratum = null where user_id >= %s "
            "and user_id like %s",
            [f"{topic}-20", f"{topic}-%"],
        )


def rest(talks: Talks, topic: str, people: int) -> None:
    """People whom rules read, in words that tell them apart from the model's."""
    with talks.company.conn.transaction():
        for number in range(people):
            user = f"unread-{topic}-{number:02}"
            talks.company.user(user)
            talks.add(user, topic, source="rules", summary=f"zzrules {TOPICS[topic][1]}, {number}")


def centroids(talks: Talks) -> list[Any]:
    return talks.company.rows(
        "select kind, level, number, centroid from insights.clusters order by 1, 2, 3"
    )


def test_what_rules_read_of_sampled_days_counts_and_neither_shapes_nor_speaks(
    talks: Talks, gemini: GeminiServer
) -> None:
    gemini.rule = names
    sampled(talks, 200, 10)
    read_a_part(talks)
    talks.group(gemini)
    before, alone = centroids(talks), talks.groups()
    for topic, people in (("dashboards", 90), ("planning", 30), ("debugging", 5)):
        rest(talks, topic, people)

    with gemini.fresh_log() as log:
        outcome = talks.group(gemini)

    told = talks.groups()
    assert {label: row["n_people"] for label, row in told.items()} == {
        CHART: 114, BRIEF: 54, "finding causes of crashes": 29,
    }  # fmt: skip
    # No more is asked, the clusters stay where they were, and so do names and shares.
    assert log == []
    assert centroids(talks) == before
    same = ("label", "description", "value", "label_source", "share", "share_low", "share_high")
    assert [[row[name] for name in same] for row in told.values()] == [
        [row[name] for name in same] for row in alone.values()
    ]
    assert all("zzrules" not in request.raw for request in gemini.requests)
    assert {row["share_of"] for row in told.values()} == {"conversations"}
    # A third of what was drawn; the outliers and whom rules read have no part in it.
    for row in told.values():
        assert float(row["share"]) == pytest.approx(1 / 3, abs=0.05)
        assert row["share_low"] < row["share"] < row["share_high"]
    assert outcome.metadata()["facets_by_nearest_cluster"] == 125


def test_of_few_that_a_model_read_nothing_is_told_however_many_rules_add(talks: Talks) -> None:
    sampled(talks, 200, 10)
    talks.crowd("debugging", 30, stratum="calm")
    talks.crowd("planning", 6, stratum="calm")
    rest(talks, "planning", 60)
    talks.group()
    # The six are told with the thirty, and the sixty with them.
    (row,) = talks.groups().values()
    assert (row["value"], row["n_people"]) == ("debugging", 96)


def test_where_the_model_read_too_few_rules_shape_groups_as_well_and_the_run_says_so(
    talks: Talks,
) -> None:
    sampled(talks, 200, 10)
    talks.crowd("debugging", 12, stratum="calm")
    rest(talks, "planning", 40)
    outcome = talks.group()
    assert outcome.metadata()["not_from_the_sample"] == TOO_FEW_READ
    told = {row["value"]: row for row in talks.groups().values()}
    assert {value: row["n_people"] for value, row in told.items()} == {
        "planning": 40, "debugging": 12,
    }  # fmt: skip
    assert {row["share_of"] for row in told.values()} == {"people"}
    assert float(told["planning"]["share"]) == pytest.approx(40 / 52, abs=1e-3)


def test_who_is_drawn_later_is_marked_and_who_no_longer_is_loses_the_mark(company: Company) -> None:
    def marks() -> list[Any]:
        return company.rows(
            "select conversation_id, stratum, xmin::text from insights.conversation_facets "
            "order by day, 1"
        )

    company.placed([(f"u{n}", f"c{n}") for n in range(4)], 0.1)
    company.conn.execute(
        "insert into insights.conversation_facets select (jsonb_populate_record(f, %s)).* "
        "from insights.conversation_facets as f",
        [Jsonb({"day": str(DAY + timedelta(days=1))})],
    )
    for drawn in ((0, 1), (1, 2), ()):
        strata = {(f"u{n}", f"c{n}"): "calm" for n in drawn}
        plan = ReadingPlan(3, 1_000, frozenset(strata), strata=strata)
        mark_drawn(company.conn, DAY, plan)
        found = marks()
        assert [talk for talk, stratum, _ in found if stratum] == [f"c{n}" for n in drawn]
        mark_drawn(company.conn, DAY, plan)
        assert marks() == found


def test_where_every_day_is_read_in_full_a_plan_changes_nothing(talks: Talks) -> None:
    talks.crowd("debugging", 24)
    talks.crowd("planning", 24, source="rules")
    talks.group()
    before = talks.bytes()
    sampled(talks, 50, 50)
    talks.group()
    assert talks.bytes() == before
    assert {row["share_of"] for row in talks.groups().values()} == {"people"}


def test_a_day_of_a_thousand_users_is_read_in_part_and_told_of_as_a_whole(
    company: Company, gemini: GeminiServer, stages: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(READ_A_DAY, 3, 200)  # type: ignore[attr-defined]
    crowd(company, 1_000, 1)
    company.conn.execute(
        "update raw.messages set content = case when content = 'build it' "
        "then 'Draw a chart of weekly customers' else 'Write a project brief with a budget' end"
    )

    def model(text: str) -> dict[str, Any]:
        # In other words than the user's: quotes are not kept.
        if "chart" in text:
            return facets(topic="dashboards", summary="U wanted a chart about buyers.")
        return facets(topic="planning", summary="U wanted a brief about money.")

    gemini.rule, gemini.facet_rule = names, model
    outcome = stages.read()
    assert (outcome.analysed, outcome.not_drawn) == (200, 801)
    [(strata,)] = company.rows("select strata from insights.reading_plans")
    drawn = "select stratum, count(*)::int from insights.conversation_facets where source = %s"
    assert company.rows(f"{drawn} group by 1 order by 1", "model") == sorted(
        (stratum, taken) for stratum, (_, taken) in strata.items()
    )
    assert company.rows(f"{drawn} group by 1", "rules") == [(None, 801)]

    with gemini.fresh_log() as log:
        group_facets(
            lambda: company.database.connect("analytics_pipeline"),
            DAY, provider_of(gemini), NOW, FAST, HASHED_WORDS,
        )  # fmt: skip
    told = {
        label: (people, share_of, float(low), float(high))
        for label, people, share_of, low, high in company.rows(
            "select label, n_people, share_of, share_low, share_high from insights.use_cases"
        )
    }
    [(charts, briefs)] = company.rows(
        "select count(*) filter (where content like 'Draw%%'), "
        "count(*) filter (where content like 'Write%%') from raw.messages as m "
        "join raw.users as u using (user_id) where u.insights_consent"
    )
    assert {label: people for label, (people, *_) in told.items()} == {CHART: charts, BRIEF: briefs}
    for label, count in ((CHART, charts), (BRIEF, briefs)):
        _, share_of, low, high = told[label]
        assert share_of == "conversations"
        assert low <= count / 1_001 <= high
    by_rules = {
        summary
        for (summary,) in company.rows(
            "select distinct summary from insights.conversation_facets where source = 'rules'"
        )
    }
    assert log
    assert not any(summary in request.raw for request in log for summary in by_rules)
