"""The release, attacked: no attack succeeds on the real one, and each mutant is caught.

All worlds of all sizes and seeds are one database and one dbt run; every mutant is a clone of a
smaller one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from mutants import MUTANTS, TABLE, Mutant, edit_project, weaken

from analytics_assets.privacy.audit.battery import audit_deployment, audit_worlds
from analytics_assets.privacy.audit.disturbance import disturb, late_rows, young_accounts
from analytics_assets.privacy.audit.outcome import Outcome, broken
from analytics_assets.privacy.audit.rehearsal import Rehearsal
from analytics_assets.privacy.audit.released import read_released
from analytics_assets.privacy.audit.snapshots import disturbed
from analytics_assets.privacy.audit.worlds import Worlds, draw_worlds
from analytics_assets.privacy.plan import shipped_plan
from analytics_assets.settings import PROJECT_ROOT
from analytics_assets.store.clone import cloned_database
from analytics_assets.store.database import Database
from analytics_assets.store.embedded import EmbeddedPostgres

ATTACKS = {f"T{number}" for number in range(1, 20)}
COMPARED = {"T7", "T8"}  # of two runs, below


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def server_log(postgres_server: Database) -> Path:
    """Where the embedded server of these tests logs."""
    return EmbeddedPostgres(postgres_server.secrets_dir.parent).status().log_dir


@pytest.fixture(scope="module")
def made(postgres_server: Database, folder: Path) -> Iterator[tuple[Database, Outcome]]:
    """A database whose tables of people stand, without people, and how young accounts fared."""
    with cloned_database(postgres_server, "audit_empty") as database:
        run = rehearsal(database, folder, draw_worlds([40], [1], pairs=0))
        young = young_accounts(run)
        yield database, young


@pytest.fixture(scope="module")
def empty(made: tuple[Database, Outcome]) -> Database:
    return made[0]


def test_accounts_younger_than_a_week_count_for_nothing(made: tuple[Database, Outcome]) -> None:
    assert made[1].verdict == "held"


@pytest.fixture(scope="module")
def outcomes(empty: Database, folder: Path, server_log: Path) -> Iterator[list[Outcome]]:
    worlds = draw_worlds()
    with cloned_database(empty, "audit_worlds") as database:
        run = rehearsal(database, folder, worlds)
        run.prepare(worlds)
        run.draw_keys()
        run.release()
        yield audit_worlds(database, worlds, shipped_plan(), artifacts=[folder, server_log])


@pytest.fixture(scope="module")
def small() -> Worlds:
    return draw_worlds([120, 400], [1], pairs=0)


@pytest.fixture(scope="module")
def template(empty: Database, folder: Path, small: Worlds) -> Iterator[Database]:
    """What mutants are clones of: two worlds that nothing was released of."""
    with cloned_database(empty, "audit_small") as database:
        rehearsal(database, folder, small).prepare(small)
        yield database


def rehearsal(database: Database, folder: Path, worlds: Worlds) -> Rehearsal:
    return Rehearsal(
        database, PROJECT_ROOT / "dbt", folder / "dbt", worlds.start_day, worlds.closes_at
    )


def test_no_attack_succeeds_at_any_size_and_seed(outcomes: list[Outcome]) -> None:
    assert broken(outcomes) == []


def test_every_attack_was_tried_and_most_had_the_power_to_succeed(outcomes: list[Outcome]) -> None:
    assert {outcome.attack for outcome in outcomes} == ATTACKS - COMPARED
    gated = {outcome.attack for outcome in outcomes if outcome.verdict == "held"}
    # T10: no class that tells a sensitive value has fewer than 50 people.
    assert gated == ATTACKS - COMPARED - {"T10"}
    held = {outcome.what for outcome in outcomes if outcome.verdict == "held"}
    assert {"files and logs with a name", "statements kept with a name"} <= held


def test_what_is_released_is_still_of_use(outcomes: list[Outcome]) -> None:
    figures = {o.what: o.figure for o in outcomes if o.attack == "T19"}
    for people in (120, 400, 2000):
        assert (figures[f"share of person-days kept, {people} people"] or 0) >= 0.95
    assert figures["error of weekly numbers (WAPE), 400 people"] <= 0.10
    assert figures["error of archetype shares, 400 people"] <= 3
    assert (
        figures["error of archetype shares, 2000 people"]
        < figures["error of archetype shares, 400 people"]
    )


@pytest.fixture(scope="module")
def disturbance(template: Database, folder: Path, small: Worlds) -> Iterator[list[Outcome]]:
    """Half the days released; then late rows and an erasure, and a full refresh of everything."""
    with cloned_database(template, "audit_disturbed") as database:
        yield disturb(rehearsal(database, folder, small), small, shipped_plan())


def test_late_rows_erasures_and_full_refreshes_change_nothing_that_was_released(
    disturbance: list[Outcome],
) -> None:
    assert {outcome.attack for outcome in disturbance} == COMPARED
    assert [outcome for outcome in disturbance if outcome.verdict != "held"] == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_broken_release_is_caught_by_the_attack_made_for_it(
    mutant: Mutant, template: Database, folder: Path, small: Worlds
) -> None:
    plan = shipped_plan()
    with cloned_database(template, "audit_mutant") as database:
        weaken(database, mutant)
        run = replace(
            rehearsal(database, folder / mutant.name, small),
            project_dir=edit_project(folder / mutant.name / "project", mutant),
        )
        mutant.keys(run)
        run.release("event_trends")
        found = []
        if mutant.again is None:
            found = audit_deployment(database, plan, small.closes_at, tables=[TABLE], newest=None)
        else:
            with database.connect("analytics_reader") as reader:
                before = read_released(reader, plan)
            with database.connect("analytics_pipeline") as pipeline:
                late_rows(pipeline, date(2024, 1, 10), 3)
            run.release("event_trends", *mutant.again)
            with database.connect("analytics_reader") as reader:
                found = [disturbed(before, read_released(reader, plan), mutant.name)]
        assert mutant.caught_by in {outcome.attack for outcome in broken(found)}, found
