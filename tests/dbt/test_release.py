"""What may leave the platform, and when: the release as dbt runs it on Postgres.

The deployment these tests look at is built once, in release_world.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dbt_runs import DbtBuilder
from raw_rows import RawRows
from release_world import (
    ARCHETYPES,
    DIRTY,
    ENOUGH,
    FEW,
    FIFTY_TIMES,
    FLAGGED,
    HABITS,
    LATE,
    MANY,
    MODELS,
    NAMED,
    ONLY_MODELS,
    ORACLE,
    PRUNED_WEEK,
    START,
    TEN,
    UNBUILT,
    UNFINISHED,
    LoggingBuilder,
    World,
    build_world,
    profile,
    random_profiles,
)

from tree_oracle import grow, released

from analytics_assets.privacy.floor import k_floor_violations
from analytics_assets.privacy.forbidden import scan
from analytics_assets.privacy.period_keys import ensure_period_keys
from analytics_assets.store.database import Database

EVENTS = "anonymous.analytics_events"
ARCHETYPE_TABLE = "published.archetype_distribution"
FIRST_WEEK, MAY = START, date(2026, 5, 1)


@pytest.fixture(scope="module")
def world(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    builder = LoggingBuilder(module_database, tmp_path_factory.mktemp("dbt"))
    with module_database.connect("analytics_pipeline", autocommit=True) as pipeline:
        yield from build_world(builder, pipeline)


def near(count: int, people: int, cells: int = 1) -> bool:
    """Whether a published count can be that of so many people."""
    return max(11, people - 6 * cells) <= count <= people + 6 * cells


def test_ten_people_are_not_released_whoever_else_is_there(world: World) -> None:
    """Staff, bots, young accounts, second accounts and people nobody knows are not an eleventh."""
    assert world.after["first"].events(TEN) == []
    assert world.after["first"].state(EVENTS, "day", TEN) == "withheld"


def test_a_person_who_turns_out_to_be_ours_before_the_close_does_not_count(world: World) -> None:
    """The day had been built before; it is not rebuilt for that."""
    assert world.after["gap"].state(EVENTS, "day", FLAGGED) == "withheld"


def test_a_class_is_as_many_rows_as_its_noisy_count(world: World) -> None:
    """How skilled they are is told of none, since all are equally so."""
    row = ("profile_analyzed", "builder", 70, 40, 50, None, 35, "Python", "cursor", "none")
    rows = world.after["first"].events(ENOUGH)
    assert set(rows) == {row}
    assert near(len(rows), MANY)
    assert world.after["first"].state(EVENTS, "day", ENOUGH) == "closed"


def test_one_persons_fifty_events_make_one_person(world: World) -> None:
    assert world.after["first"].events(FIFTY_TIMES) == []
    assert world.after["first"].state(EVENTS, "day", FIFTY_TIMES) == "withheld"


def test_a_value_that_could_name_a_person_is_generalised_however_many_share_it(
    world: World,
) -> None:
    assert {row[8] for row in world.after["first"].events(NAMED)} == {"any"}
    queries = {row[2]: row[3] for row in world.after["all"].rows["published.search_trends"]}
    assert set(queries) == {"vector search", "any"}
    assert near(queries["vector search"], MANY)
    assert near(queries["any"], MANY + 3)


def test_classes_and_counts_are_what_the_rule_says_person_by_person(world: World) -> None:
    sensitive, given = 5, (0, 1, 7, 8, 9)
    units = grow(
        (
            (_steps(_leaf(event["event_data"])), world.noise_keys[event["user_id"]])
            for event in random_profiles(ORACLE)
        ),
        world.weights,
        sensitive,
        given,
    )
    expected = released(units, world.weights, sensitive, given)
    assert Counter(world.after["first"].events(ORACLE)) == expected
    assert min(expected.values()) > 10
    assert {unit.step for unit in units} >= {2, 3, 4}, "the people of this test are too alike"
    assert sum(unit.n for unit in units) == 400, "where something is released, everybody is"
    assert {row[5] for row in expected} - {None}, "no skill was told at all"


def test_small_archetypes_are_pooled_once_the_pool_is_large_enough(world: World) -> None:
    """Ten analysts and ten automators; means are of the middles of buckets."""
    rows = {row[1]: row[2:] for row in world.after["all"].rows[ARCHETYPE_TABLE]}
    assert {"any", "builder", "explorer", "reviewer"} == set(rows)
    assert near(rows["any"][0], 2 * FEW, cells=2)
    assert rows["builder"][1] is not None
    assert 45 <= rows["builder"][1] <= 75
    (day,) = set(world.after["first"].events(ARCHETYPES))
    assert day[:2] == ("any", "any")


def test_trends_count_people_and_pool_what_is_rare(world: World) -> None:
    rows = {row[1:3]: row[3] for row in world.after["all"].rows["published.install_trends"]}
    assert set(rows) == {(k, s) for k in ("month", "week") for s in ("any", "postgres")}
    assert all(near(count, MANY) for count in rows.values())
    for server in ("any", "postgres"):
        assert rows["month", server] == rows["week", server], "the same people, the same noise"


def test_a_person_stands_where_they_did_most_and_small_types_join_their_category(
    world: World,
) -> None:
    rows = {
        row[2:4]: row[4]
        for row in world.after["gap"].rows["published.event_trends"]
        if row[0] == HABITS and row[1] == "day"
    }
    assert set(rows) == {("user_activity", "user.login"), ("interaction", "any")}
    assert near(rows["user_activity", "user.login"], MANY)
    assert near(rows["interaction", "any"], 2 * FEW)


def test_a_failure_before_the_end_leaves_nothing(world: World) -> None:
    after = world.after["failure"]
    assert not world.failure.success
    assert not any(after.rows.values())
    assert not after.ledger
    assert after.counts_left == 0
    assert ("day", ENOUGH) in after.keys


def test_a_failure_says_nothing_about_people(world: World) -> None:
    messages = " ".join(world.failure.failed().values())
    assert "permission denied for table release_ledger" in messages
    assert "Failing row" not in messages


def test_a_second_run_a_full_refresh_and_late_rows_change_nothing(world: World) -> None:
    assert world.after["again"].digest() == world.after["first"].digest()
    assert world.after["again"].ledger == world.after["first"].ledger
    assert world.after["again"].keys == world.after["first"].keys, "a stray key opens nothing"


def test_late_people_count_in_the_week_that_is_still_open(world: World) -> None:
    """Their day had closed without them."""
    assert near(len(world.after["all"].events(ENOUGH)), MANY)
    weeks = {row[0]: row[2] for row in world.after["all"].rows["published.ai_usage_trends"]}
    on_time = MANY + sum(
        event["event_data"]["ai_percentage"] is not None for event in random_profiles(ORACLE)
    )
    assert abs(weeks[FIRST_WEEK] - (on_time + LATE)) < LATE / 4


def test_a_period_closes_three_five_or_seven_days_after_its_end(world: World) -> None:
    first, last = world.after["first"], world.after["all"]
    assert first.state(EVENTS, "day", date(2026, 5, 4)) == "closed"
    assert first.state(EVENTS, "day", date(2026, 5, 5)) == "open"
    assert first.state("published.event_trends", "week", FIRST_WEEK) == "open"
    assert last.state("published.event_trends", "week", FIRST_WEEK) == "closed"
    assert last.state("published.event_trends", "week", date(2026, 6, 1)) == "open"
    assert last.state(ARCHETYPE_TABLE, "month", MAY) == "closed"
    assert last.state(ARCHETYPE_TABLE, "month", date(2026, 4, 1)) == "open", "began before us"


def test_a_period_with_a_day_not_built_since_it_was_over_stays_open(world: World) -> None:
    gap, dirty = world.after["gap"], world.after["dirty"]
    assert gap.state(EVENTS, "day", UNBUILT) == "open"
    assert gap.state(EVENTS, "day", UNFINISHED) == "open"
    assert gap.state(EVENTS, "day", FLAGGED) != "open"
    assert gap.state("published.event_trends", "week", date(2026, 5, 4)) == "open"
    assert gap.state("published.event_trends", "week", date(2026, 5, 11)) == "withheld"
    assert gap.state(ARCHETYPE_TABLE, "month", MAY) == "open"
    assert dirty.state(EVENTS, "day", UNBUILT) == "withheld"
    assert dirty.state(EVENTS, "day", UNFINISHED) == "withheld"


def test_a_period_with_a_dirty_day_waits_for_the_run_that_rebuilds_it(world: World) -> None:
    assert world.after["dirty"].state(ARCHETYPE_TABLE, "month", MAY) == "open"
    assert world.after["all"].state(ARCHETYPE_TABLE, "month", MAY) == "closed"
    assert world.after["gap"].state(EVENTS, "day", DIRTY) == "withheld"


def test_a_period_whose_raw_rows_were_pruned_in_part_is_withheld(world: World) -> None:
    """What was left would have been counted short; tables of other events close as ever."""
    pruned = world.after["pruned"]
    assert pruned.state("published.ai_usage_trends", "week", PRUNED_WEEK) == "withheld"
    assert pruned.state("published.event_trends", "week", PRUNED_WEEK) == "closed"


def test_keys_live_until_the_last_table_of_their_kind_has_closed(world: World) -> None:
    first, last = world.after["first"], world.after["all"]
    assert {("week", FIRST_WEEK), ("day", date(2026, 5, 5))} <= first.keys
    assert ("day", ENOUGH) not in first.keys
    assert last.keys == {
        ("noise", date(2026, 4, 1)),
        *(("day", date(2026, 6, day)) for day in range(5, 9)),
        ("week", date(2026, 6, 1)),
        ("week", date(2026, 6, 8)),
        ("month", date(2026, 6, 1)),
    }


def test_keys_are_never_in_a_statement_or_a_log(world: World) -> None:
    assert "release_counts" in world.log
    assert len(world.keys_drawn) > 20
    for key in world.keys_drawn:
        assert key.hex() not in world.log


def test_the_ledger_counts_what_was_published_and_nothing_finer(world: World) -> None:
    for snapshot in world.after.values():
        for state, classes, released_people, reason in snapshot.ledger.values():
            assert (state == "closed") == (classes > 0) == (released_people > 10)
            assert (state == "closed") == (reason is None)
    days = Counter(row[-1] for row in world.after["all"].rows[EVENTS])
    for day, rows in days.items():
        assert world.after["all"].ledger[EVENTS, "day", day][2] == rows


def test_nothing_waits_in_the_vault_and_the_checks_pass(world: World) -> None:
    assert [snapshot.counts_left for snapshot in world.after.values()] == [0] * 7
    with world.database.connect("analytics_pipeline") as pipeline:
        assert k_floor_violations(pipeline) == []
        assert scan(pipeline) == []


def test_people_tables_are_closed_to_analysts_and_the_api(world: World) -> None:
    for role in ("analytics_analyst", "analytics_api"):
        with world.database.connect(role, autocommit=True) as connection:
            for table in ("profile_days", "subject_days", "subject_installs", "subject_searches"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"select 1 from marts.int_{table}".encode())


@pytest.fixture
def last_week(database: Database, tmp_path: Path) -> tuple[Database, date]:
    """A database in which a day of last week has been released, and that day."""
    now = datetime.now(UTC)
    day = (now - timedelta(days=7)).date()
    mixed = [
        profile(day, f"p-{number}")
        if number % 5 < 2
        else profile(day, f"p-{number}", archetype="reviewer", ai_percentage=12, ai_savviness=30)
        for number in range(60)
    ]
    with database.connect("analytics_pipeline", autocommit=True) as pipeline:
        RawRows(pipeline).events(mixed)
        ensure_period_keys(pipeline, day, now)
    DbtBuilder(database, tmp_path).build(
        day, day + timedelta(days=1), select=MODELS, as_of=now, start_day=day, extra=ONLY_MODELS
    ).check()
    return database, day


def test_the_users_two_queries_run_as_they_are(last_week: tuple[Database, date]) -> None:
    database, day = last_week
    with database.connect("analytics_reader") as reader:
        weekly = reader.execute(
            "SELECT DATE_TRUNC('week', created_at) as week, AVG(ai_percentage_bucket) as"
            " avg_ai_percentage, COUNT(*) as analyses_count FROM anonymous.analytics_events"
            " WHERE created_at > NOW() - INTERVAL '90 days' GROUP BY week"
        ).fetchall()
        archetypes = reader.execute(
            "SELECT archetype, COUNT(*) as count, AVG(ai_savviness_bucket) as avg_ai_score"
            " FROM anonymous.analytics_events GROUP BY archetype"
        ).fetchall()
        on_disk = reader.execute(
            "select archetype from anonymous.analytics_events order by ctid"
        ).fetchall()
    ((week, average, count),) = weekly
    counts = {archetype: rows for archetype, rows, _ in archetypes}
    assert week.date() == day - timedelta(days=day.weekday())
    assert set(counts) == {"builder", "reviewer"}
    assert near(counts["builder"], 24)
    assert near(counts["reviewer"], 36)
    assert count == sum(counts.values())
    assert float(average) == pytest.approx((counts["builder"] * 35 + counts["reviewer"] * 10) / count)
    # By class: where a row lies on disk tells nothing about when its event came.
    assert on_disk == [("builder",)] * counts["builder"] + [("reviewer",)] * counts["reviewer"]


# A person's row at each step of the ladder.
_FAMILIES = {"Python": "data", "Go": "systems", "Rust": "systems", "none": "none"}


def _leaf(data: dict[str, Any]) -> dict[str, Any]:
    share = data["ai_percentage"]
    language = next(iter(data["languages"]), "none")
    language = "Python" if language == "python" else language
    return {
        "archetype": data["archetype"],
        "activity": data["activity_score"] // 10 * 10,
        "savviness_10": data["ai_savviness"] // 10 * 10,
        "savviness_20": min(60, max(20, data["ai_savviness"] // 20 * 20)),
        "ai_5": None if share is None else share // 5 * 5,
        "ai_10": None if share is None else share // 10 * 10,
        "language": language,
        "family": _FAMILIES[language],
        "tool": next(iter(data["tools"]), "none"),
    }


def _steps(p: dict[str, Any]) -> list[tuple[Any, ...]]:
    kind, no = "profile_analyzed", None
    return [
        (
            kind, p["archetype"], p["activity"], 40, 50, p["savviness_10"], p["ai_5"],
            p["language"], p["tool"], "none",
        ),
        (
            kind, p["archetype"], no, no, no, p["savviness_10"], p["ai_5"], p["language"],
            "any", "any",
        ),
        (
            "any", p["archetype"], no, no, no, p["savviness_20"], p["ai_10"], p["family"],
            "any", "any",
        ),
        (
            "any", p["archetype"], no, no, no, p["savviness_20"], p["ai_10"], "any", "any", "any",
        ),
        ("any", p["archetype"], no, no, no, p["savviness_20"], no, "any", "any", "any"),
        ("any", p["archetype"], no, no, no, no, no, "any", "any", "any"),
        ("any", "any", no, no, no, no, no, "any", "any", "any"),
    ]  # fmt: skip
