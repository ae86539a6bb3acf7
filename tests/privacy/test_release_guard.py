"""What the database refuses, whatever the code above it asks for."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from release_rows import (
    DAY,
    SHAPES,
    Connection,
    close_period,
    count_class,
    insert_class,
    release_class,
    row_of,
)

TABLES = sorted(SHAPES)
EVENTS = "anonymous.analytics_events"
COUNTED = sorted(set(SHAPES) - {EVENTS})
Refused = psycopg.errors.CheckViolation
Denied = psycopg.errors.InsufficientPrivilege


def says_nothing_else(caught: pytest.ExceptionInfo[psycopg.Error], message: str) -> bool:
    """Whether the error is that message, without the row it is about."""
    diagnosis = caught.value.diag
    return diagnosis.message_primary == message and diagnosis.message_detail is None


@pytest.mark.parametrize("table", TABLES)
def test_a_counted_class_of_eleven_enters(pipeline: Connection, table: str) -> None:
    release_class(pipeline, table, 11)
    assert pipeline.execute("select count(*) from vault.release_counts").fetchone() == (0,)


@pytest.mark.parametrize("table", TABLES)
def test_a_class_of_ten_cannot_even_be_counted(pipeline: Connection, table: str) -> None:
    with pytest.raises(Refused) as caught:
        count_class(pipeline, table, 10)
    assert says_nothing_else(caught, "release refused: a class has 10 people or fewer")


@pytest.mark.parametrize("table", TABLES)
def test_noise_never_takes_a_count_below_the_floor(pipeline: Connection, table: str) -> None:
    with pytest.raises(Refused) as caught:
        count_class(pipeline, table, 12, n_published=10)
    assert says_nothing_else(caught, "release refused: a class has 10 people or fewer")


@pytest.mark.parametrize("table", TABLES)
def test_the_count_drawn_for_it_is_the_one_that_enters(pipeline: Connection, table: str) -> None:
    count_class(pipeline, table, 14, n_published=12)
    with pytest.raises(Refused, match="or was not counted"), pipeline.transaction():
        insert_class(pipeline, table, 14)
    insert_class(pipeline, table, 12)


@pytest.mark.parametrize("people", [1, 10])
@pytest.mark.parametrize("table", TABLES)
def test_a_small_class_is_refused_without_saying_which(
    pipeline: Connection, table: str, people: int
) -> None:
    with pytest.raises(Refused) as caught:
        insert_class(pipeline, table, people)
    assert says_nothing_else(caught, "release refused: a class has 10 people or fewer") or (
        says_nothing_else(
            caught, "release refused: a class has 10 people or fewer, or was not counted"
        )
    )


@pytest.mark.parametrize("table", TABLES)
def test_a_large_class_that_was_not_counted_is_refused(pipeline: Connection, table: str) -> None:
    with pytest.raises(Refused) as caught:
        insert_class(pipeline, table, 500)
    assert says_nothing_else(
        caught, "release refused: a class has 10 people or fewer, or was not counted"
    )


@pytest.mark.parametrize("table", TABLES)
def test_another_number_than_was_counted_is_refused(pipeline: Connection, table: str) -> None:
    count_class(pipeline, table, 12)
    with pytest.raises(Refused, match="or was not counted"):
        insert_class(pipeline, table, 11)


@pytest.mark.parametrize("table", TABLES)
def test_a_count_is_good_for_one_insert(pipeline: Connection, table: str) -> None:
    count_class(pipeline, table, 11)
    insert_class(pipeline, table, 11)
    with pytest.raises((Refused, psycopg.errors.UniqueViolation)):
        insert_class(pipeline, table, 11)


@pytest.mark.parametrize("table", COUNTED)
def test_a_count_of_nothing_is_refused(pipeline: Connection, table: str) -> None:
    count_column = str(SHAPES[table][4])
    values, _ = row_of(table, 11)
    columns = [name for name in values if name != count_column]
    with pytest.raises(Refused) as caught:
        pipeline.execute(
            f"insert into {table} ({', '.join(columns)}) "
            f"values ({', '.join(['%s'] * len(columns))})".encode(),
            [values[name] for name in columns],
        )
    assert says_nothing_else(caught, "release refused: a class has 10 people or fewer")


@pytest.mark.parametrize(
    ("table", "mean"),
    [
        ("published.ai_usage_trends", "avg_ai_percentage"),
        ("published.archetype_distribution", "avg_ai_score"),
    ],
)
def test_a_mean_that_was_not_counted_is_refused(
    pipeline: Connection, table: str, mean: str
) -> None:
    count_class(pipeline, table, 11)
    with pytest.raises(Refused, match="or was not counted"):
        insert_class(pipeline, table, 11, **{mean: 12.5})


def test_one_small_class_refuses_the_whole_insert(pipeline: Connection) -> None:
    count_class(pipeline, EVENTS, 11)
    values, _ = row_of(EVENTS, 11)
    columns = ", ".join(values)
    row = [values[name] for name in values]
    other = [*row[:2], "reviewer", *row[3:]]
    marks = ", ".join(["%s"] * len(row))
    with pytest.raises(Refused, match="or was not counted"), pipeline.transaction():
        pipeline.execute(
            f"insert into {EVENTS} ({columns}) values {', '.join([f'({marks})'] * 12)}".encode(),
            [*(row * 11), *other],
        )
    assert pipeline.execute("select count(*) from anonymous.analytics_events").fetchone() == (0,)


def test_copy_is_no_way_around(pipeline: Connection) -> None:
    values, _ = row_of(EVENTS, 3)
    command = f"copy {EVENTS} ({', '.join(values)}) from stdin"

    def copy_three() -> None:
        with pipeline.cursor() as cursor, cursor.copy(command.encode()) as copy:
            for _ in range(3):
                copy.write_row(list(values.values()))

    with pytest.raises(Refused, match="or was not counted"):
        copy_three()


@pytest.mark.parametrize("classes", [1, 0])
@pytest.mark.parametrize("table", TABLES)
def test_a_closed_period_takes_nothing_more(pipeline: Connection, table: str, classes: int) -> None:
    close_period(pipeline, table, classes, 11 * classes)
    count_class(pipeline, table, 30)
    with pytest.raises(Refused) as caught:
        insert_class(pipeline, table, 30)
    assert says_nothing_else(caught, "release refused: the period is closed")


def test_a_value_that_could_name_a_person_is_refused(pipeline: Connection) -> None:
    table = "published.search_trends"
    count_class(pipeline, table, 40, query="who is octo@example.com")
    with pytest.raises(Refused) as caught:
        insert_class(pipeline, table, 40, query="who is octo@example.com")
    assert says_nothing_else(caught, "release refused: a value could name a person")


@pytest.mark.parametrize(
    "wrong",
    [{"ai_percentage_bucket": 37}, {"activity_score_bucket": 110}, {"collab_score_bucket": 5}],
)
def test_a_score_that_is_no_bucket_is_refused_without_the_row(
    pipeline: Connection, wrong: dict[str, Any]
) -> None:
    """However it was counted."""
    count_class(pipeline, EVENTS, 11, **wrong)
    with pytest.raises(Refused) as caught:
        insert_class(pipeline, EVENTS, 11, **wrong)
    assert says_nothing_else(
        caught, "release refused: a class has 10 people or fewer, or was not counted"
    )


def test_a_table_outside_the_plan_takes_nothing(planting: Connection) -> None:
    """Not even where somebody has guarded it."""
    planting.execute("create table published.unplanned (period date, n_people integer)")
    planting.execute(
        "create trigger guard_release after insert on published.unplanned"
        " referencing new table as new_rows"
        " for each statement execute function vault.guard_release()"
    )
    with pytest.raises(Refused, match="the table is not in the release plan"):
        planting.execute("insert into published.unplanned values ('2026-05-01', 40)")


@pytest.mark.parametrize(
    "statement",
    [
        "update {table} set {period} = {period}",
        "delete from {table}",
        "truncate {table}",
        "alter table {table} disable trigger guard_release",
        "alter table {table} add column user_id text",
        "drop trigger guard_release on {table}",
        "drop table {table}",
        "create table {schema}.other (n_people int)",
        "create trigger later after insert on {table} execute function vault.refuse('')",
        "alter function vault.guard_release() rename to nothing",
        "set session_replication_role = 'replica'",
        "set role release_owner",
    ],
)
@pytest.mark.parametrize("table", [EVENTS, "published.event_trends"])
def test_the_pipeline_only_appends(pipeline: Connection, table: str, statement: str) -> None:
    release_class(pipeline, table, 11)
    with pytest.raises(Denied):
        pipeline.execute(
            statement.format(
                table=table, schema=table.partition(".")[0], period=SHAPES[table][0]
            ).encode()
        )


@pytest.mark.parametrize(
    "statement",
    [
        "update ops.release_ledger set state = 'withheld'",
        "update ops.release_ledger set state = 'superseded'",
        "delete from ops.release_ledger",
        "truncate ops.release_ledger",
        "update ops.release_plan set entry = entry - 'floor'",
        "insert into ops.release_plan select release_table, 99, '{}', '{}' from ops.release_plan",
        "delete from ops.release_plan",
        "select ops.roll_up_days('published.event_trends', '2026-01-01')",
    ],
)
def test_the_pipeline_rewrites_neither_ledger_nor_plan(
    pipeline: Connection, statement: str
) -> None:
    close_period(pipeline, EVENTS, 1, 11)
    with pytest.raises((Refused, Denied)):
        pipeline.execute(statement.encode())


def test_a_counted_class_cannot_be_made_small_afterwards(pipeline: Connection) -> None:
    count_class(pipeline, EVENTS, 11)
    with pytest.raises((Refused, Denied)):
        pipeline.execute("update vault.release_counts set n_people = 3")


def test_a_class_of_another_day_does_not_vouch_for_this_one(pipeline: Connection) -> None:
    _, kind, _, dimensions, *_ = SHAPES[EVENTS]
    pipeline.execute(
        "insert into vault.release_counts values (%s, %s, %s, %s, 11, '{}', 11)",
        [EVENTS, kind, DAY.replace(day=7), Jsonb(dimensions)],
    )
    with pytest.raises(Refused, match="or was not counted"):
        insert_class(pipeline, EVENTS, 11)
