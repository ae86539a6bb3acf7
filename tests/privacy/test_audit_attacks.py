"""Attacks that must succeed: releases broken by hand, of one table, and logs that name somebody.

The eight mutants of the release itself are in test_audit.py; these are what no mutant reaches.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from analytics_assets.privacy.audit.arrival import order_of_rows
from analytics_assets.privacy.audit.linkage import homogeneity, rare_values
from analytics_assets.privacy.audit.outcome import Outcome
from analytics_assets.privacy.audit.placing import place
from analytics_assets.privacy.audit.released import Leaf, ReleasedTable, Slot, Values
from analytics_assets.privacy.audit.traces import Names, known_names, traces
from analytics_assets.privacy.audit.truth import TrueTable, Truth
from analytics_assets.privacy.plan import shipped_plan
from analytics_assets.store.database import Database

PROFILES, TRENDS = "anonymous.analytics_events", "published.event_trends"
MONDAY = date(2026, 5, 4)
NAME = "ada.lovelace-1815"


def verdicts(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.what: outcome.verdict for outcome in outcomes}


def profile(language: str, *, archetype: str = "builder", savviness: int | None = 50) -> Leaf:
    return (
        "profile_analyzed", archetype, 50, 50, 50, savviness, 30, language, "none", "none",
    )  # fmt: skip


def told(language: str, *, archetype: str = "builder", savviness: int | None = None) -> Values:
    return ("any", archetype, None, None, None, savviness, None, language, "any", "any")


def fifteen_of_whom_one_writes_elm(cell: Values) -> list[Outcome]:
    """A day told as one cell, and days of the same month without the one."""
    slots = [Slot("day", MONDAY + timedelta(days=number)) for number in range(10)]
    table = ReleasedTable(shipped_plan()[PROFILES])
    true = TrueTable()
    for slot in slots:
        table.cells[slot] = {told("web"): 15}
        true.people[slot] = {f"p-{number}": [profile("PHP")] for number in range(14)}
    table.cells[slots[0]] = {cell: 15}
    true.people[slots[0]]["target"] = [profile("Elm")]
    placed = place({PROFILES: table}, Truth({PROFILES: true}))
    return rare_values(placed, {"target": [slots[0]]})


def test_a_language_of_one_person_in_a_cell_is_noticed() -> None:
    found = verdicts(fifteen_of_whom_one_writes_elm(told("Elm")))
    assert found["planted rare values in a cell"] == "broken"
    assert found["rare values told, with the planted less without"] == "broken"


def test_a_language_of_one_person_that_went_up_the_ladder_is_not() -> None:
    found = verdicts(fifteen_of_whom_one_writes_elm(told("web")))
    assert found["planted rare values in a cell"] == "held"
    assert found["rare values told, with the planted less without"] != "broken"


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [((40, 0, 0), "broken"), ((36, 2, 2), "broken"), ((14, 13, 13), "held")],
)
def test_small_classes_unlike_everybody_are_noticed(
    shares: tuple[int, int, int], verdict: str
) -> None:
    """Every archetype has most of its people in another value; or all have them alike."""
    table = ReleasedTable(shipped_plan()[PROFILES])
    for day in range(4):
        slot = Slot("day", MONDAY + timedelta(days=day))
        for number in range(3):
            for place_, savviness in enumerate((20, 40, 60)):
                people = shares[(place_ - number) % 3]
                if people:
                    cell = told("any", archetype=f"archetype {number}", savviness=savviness)
                    table.cells[slot][cell] = people
    found = verdicts(homogeneity({PROFILES: table}))
    assert found["distance from everybody beyond the draw, of classes under 50"] == verdict
    assert (found["classes of one value in over 80 %"] == "broken") == (verdict == "broken")


@pytest.mark.parametrize(("backwards", "verdict"), [(False, "broken"), (True, "broken")])
def test_rows_that_stand_in_the_order_in_which_people_came_are_noticed(
    planting: psycopg.Connection[Any], backwards: bool, verdict: str
) -> None:
    people = order_of_events(planting, sorted(range(60), reverse=backwards))
    assert people.verdict == verdict


def test_rows_in_another_order_are_not(planting: psycopg.Connection[Any]) -> None:
    outcome = order_of_events(planting, sorted(range(60), key=lambda n: (n * 37) % 60))
    assert outcome.verdict != "broken"
    assert outcome.trials == 60


def order_of_events(planting: psycopg.Connection[Any], order: list[int]) -> Outcome:
    """A day of sixty types of eleven people each, by the hour; their rows in that order."""
    planting.execute(
        "create table if not exists raw.platform_events_content partition of raw.platform_events"
        " for values in ('content') partition by range (day)"
    )
    planting.execute(
        "create table if not exists raw.platform_events_content_20260504 partition of"
        " raw.platform_events_content for values from ('2026-05-04') to ('2026-05-05')"
    )
    midnight = datetime(2026, 5, 4, tzinfo=UTC)
    true = TrueTable({Slot("day", MONDAY): {}})
    table = ReleasedTable(shipped_plan()[TRENDS])
    with planting.cursor() as cursor:
        for kind in range(60):
            names = [f"p-{kind}-{number}" for number in range(11)]
            cursor.executemany(
                "insert into raw.platform_events (event_id, event_category, event_type, subject,"
                " source, timestamp, day) values (gen_random_uuid(), 'content', %s, %s, 'test',"
                " %s, %s)",
                [
                    (f"type {kind}", name, midnight + timedelta(minutes=20 * kind), MONDAY)
                    for name in names
                ],
            )
            true.people[Slot("day", MONDAY)] |= {
                name: [("content", f"type {kind}")] for name in names
            }
            table.cells[Slot("day", MONDAY)]["content", f"type {kind}"] = 11
        cursor.executemany(
            "insert into published.event_trends values (%s, 'day', 'content', %s, 11)",
            [(MONDAY, f"type {kind}") for kind in order],
        )
    placed = place({TRENDS: table}, Truth({TRENDS: true}))
    return order_of_rows(planting, planting, placed)


@pytest.fixture
def known(pipeline: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """A database that knows somebody by a name."""
    pipeline.execute(
        "insert into vault.known_identifiers values (%s, 'name', 'Ada King Lovelace')", [NAME]
    )
    pipeline.execute(
        "insert into raw.users (user_id, valid_from, source) values (%s, '2026-01-01', 'test')",
        [NAME],
    )
    return pipeline


def test_the_last_of_a_thousand_names_is_found_however_it_is_set_off() -> None:
    names = Names([*(f"somebody number {n}" for n in range(1_000)), "Zoë Ängström", "o p 9"])
    for found in ("(somebody number 999)", "x=Somebody Number 7;", "von zoë ängström, heute"):
        assert names.in_text(found), found
    assert names.in_text("[o p 9]")
    for other in ("somebody, number 999", "zoë and ängström", "number 7", "op9"):
        assert not names.in_text(other), other


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (f"2026-05-04 ERROR: duplicate key ({NAME}): try again", "broken"),
        (f'{{"name": "{NAME.upper()}"}}', "broken"),
        ("select 'ada king lovelace'", "broken"),
        (hashlib.sha256(NAME.encode()).hexdigest(), "broken"),
        ("ada.lovelace-18159 and Ada alone are somebody else", "held"),
    ],
)
def test_a_name_in_a_log_is_noticed(
    privacy_database: Database,
    known: psycopg.Connection[Any],
    tmp_path: Path,
    text: str,
    verdict: str,
) -> None:
    (tmp_path / "server.log").write_text(f"started\n{text}\n")
    found = traces(privacy_database, known_names(known), [tmp_path])
    assert verdicts(found)["files and logs with a name"] == verdict
    assert not any("lovelace" in repr(outcome).lower() for outcome in found)


def test_a_name_in_a_statement_that_the_server_remembers_is_noticed(
    privacy_database: Database, known: psycopg.Connection[Any], tmp_path: Path
) -> None:
    def verdict() -> str:
        found = traces(privacy_database, known_names(known), [tmp_path])
        return verdicts(found)["statements kept with a name"]

    known.execute("select count(*) from raw.users where user_id = %s", [NAME])
    assert verdict() == "held"
    known.execute(f"create temporary table remembered (who text default '{NAME}')".encode())
    assert verdict() == "broken"
