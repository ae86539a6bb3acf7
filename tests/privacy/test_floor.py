"""The check of the floor fails on what it is there for."""

from __future__ import annotations

import pytest
from release_rows import DAY, SHAPES, Connection, close_period, insert_class, release_class

from analytics_assets.privacy.floor import k_floor_violations
from analytics_assets.privacy.plan import shipped_plan
from analytics_assets.privacy.plan_store import current_entries

TABLES = sorted(SHAPES)


def test_every_table_that_may_be_released_is_planned_guarded_and_checked(
    pipeline: Connection,
) -> None:
    """In the two zones there is nothing that the plan does not know."""
    guarded = {
        table
        for (table,) in pipeline.execute(
            "select tgrelid::regclass::text from pg_trigger where tgname = 'guard_release'"
        )
    }
    zones = {
        f"{schema}.{table}"
        for schema, table in pipeline.execute(
            "select schemaname, tablename from pg_tables"
            " where schemaname in ('anonymous', 'published')"
        )
    }
    assert guarded == zones == set(current_entries(pipeline)) == set(TABLES)
    assert set(shipped_plan().tables) == zones


def test_what_was_released_and_closed_passes(pipeline: Connection) -> None:
    for table in TABLES:
        release_class(pipeline, table, 11)
    assert k_floor_violations(pipeline) == []


@pytest.mark.parametrize("table", TABLES)
def test_a_class_of_ten_is_found(planting: Connection, table: str) -> None:
    insert_class(planting, table, 10)
    close_period(planting, table, 1, 10)
    kind = SHAPES[table][1]
    assert k_floor_violations(planting, table) == [f"{table}, {kind}: 1 classes under the floor"]


@pytest.mark.parametrize("table", TABLES)
def test_rows_of_a_period_that_did_not_close_are_found(planting: Connection, table: str) -> None:
    insert_class(planting, table, 30)
    (violation,) = k_floor_violations(planting, table)
    assert violation.endswith("1 periods with rows that the ledger does not call closed")
    close_period(planting, table, 0, 0)
    assert k_floor_violations(planting, table) == [violation], "withheld is not closed"


@pytest.mark.parametrize("table", TABLES)
def test_rows_that_came_or_went_after_closing_are_found(planting: Connection, table: str) -> None:
    insert_class(planting, table, 30)
    close_period(planting, table, 1, 31)
    (violation,) = k_floor_violations(planting, table)
    assert violation.endswith("1 periods that differ from the ledger")


def test_retention_takes_the_oldest_first_and_a_hole_is_found(planting: Connection) -> None:
    table = "anonymous.analytics_events"
    for day in (DAY, DAY.replace(day=7)):
        insert_class(planting, table, 11, created_at=day)
        planting.execute(
            """
            insert into ops.release_ledger (
                release_table, period_kind, period, state, released_classes, released_people,
                plan_version
            )
            values (%s, 'day', %s, 'closed', 1, 11, 'test')
            """,
            [table, day],
        )
    assert k_floor_violations(planting, table) == []
    planting.execute("delete from anonymous.analytics_events where created_at > %s", [DAY])
    (violation,) = k_floor_violations(planting, table)
    assert violation.endswith("1 closed periods without rows")
    planting.execute("delete from anonymous.analytics_events")
    assert k_floor_violations(planting, table) == []


def test_an_unknown_table_is_an_error_and_not_a_pass(pipeline: Connection) -> None:
    with pytest.raises(ValueError, match=r"published\.nothing is not a released table"):
        k_floor_violations(pipeline, "published.nothing")
