"""Bringing ``ops.event_schemas`` in line with the catalogue."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from analytics_assets.events.catalogue import Catalogue, load_catalogue
from analytics_assets.events.schema_table import SyncCounts, sync_event_schemas
from analytics_assets.store.database import Database

SHIPPED = 39


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with database.connect("analytics_pipeline", autocommit=True) as opened:
        yield opened


def catalogue_with(folder: Path, events: str, retention: str = "10 days") -> Catalogue:
    (folder / "own.yaml").write_text(f"category: own\nretention: {retention}\nevents: {events}")
    return load_catalogue([folder])


def row_versions(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """Where each row lies: a row that was written lies elsewhere."""
    return connection.execute(
        "select event_type, ctid::text, xmin::text from ops.event_schemas order by event_type"
    ).fetchall()


def test_the_table_holds_the_whole_catalogue(connection: psycopg.Connection[Any]) -> None:
    catalogue = load_catalogue()
    assert sync_event_schemas(connection, catalogue) == SyncCounts(added=SHIPPED)
    rows = connection.execute(
        "select event_type, event_category, fields, required_fields, personal_fields,"
        " retention_days, description, catalogue_hash from ops.event_schemas"
    ).fetchall()
    assert sorted(rows) == sorted(
        (
            schema.event_type,
            schema.category,
            schema.fields_as_json(),
            schema.required_fields,
            schema.personal_fields,
            catalogue.retention_days(schema.category),
            schema.description,
            catalogue.fingerprint,
        )
        for schema in catalogue.schemas.values()
    )


def test_an_unchanged_catalogue_writes_nothing(connection: psycopg.Connection[Any]) -> None:
    sync_event_schemas(connection, load_catalogue())
    before = row_versions(connection)
    assert sync_event_schemas(connection, load_catalogue()) == SyncCounts(unchanged=SHIPPED)
    assert row_versions(connection) == before


def test_only_what_changed_is_counted_and_dated_anew(
    connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    first = catalogue_with(tmp_path, "{a: {}, b: {}, c: {description: It.}}")
    sync_event_schemas(connection, first)
    connection.execute("update ops.event_schemas set updated_at = '2020-01-01Z'")
    second = catalogue_with(
        tmp_path, "{a: {fields: {x: {type: string}}}, c: {description: It.}, d: }"
    )
    assert sync_event_schemas(connection, second) == SyncCounts(
        added=1, changed=1, removed=1, unchanged=SHIPPED + 1
    )
    recent = connection.execute(
        "select event_type from ops.event_schemas where updated_at > '2021-01-01' order by 1"
    ).fetchall()
    assert recent == [("a",), ("d",)]
    hashes = connection.execute("select distinct catalogue_hash from ops.event_schemas").fetchall()
    assert hashes == [(second.fingerprint,)]


def test_a_longer_retention_reaches_every_type_of_the_category(
    connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    sync_event_schemas(connection, catalogue_with(tmp_path, "{a: {}, b: {}}"))
    counts = sync_event_schemas(connection, catalogue_with(tmp_path, "{a: {}, b: {}}", "1 year"))
    assert counts == SyncCounts(changed=2, unchanged=SHIPPED)
    days = connection.execute(
        "select distinct retention_days from ops.event_schemas where event_category = 'own'"
    ).fetchall()
    assert days == [(365,)]


def test_a_table_somebody_emptied_or_filled_is_put_right(
    connection: psycopg.Connection[Any],
) -> None:
    catalogue = load_catalogue()
    sync_event_schemas(connection, catalogue)
    connection.execute("delete from ops.event_schemas where event_type = 'share'")
    assert sync_event_schemas(connection, catalogue).added == 1
    connection.execute("update ops.event_schemas set catalogue_hash = 'x', fields = '{}'"
                       " where event_type = 'share'")  # fmt: skip
    assert sync_event_schemas(connection, catalogue).changed == 1


def test_a_sync_that_is_rolled_back_leaves_no_trace(database: Database) -> None:
    with database.connect("analytics_pipeline") as connection:
        with connection.transaction(force_rollback=True):
            sync_event_schemas(connection, load_catalogue())
        assert row_versions(connection) == []


def test_a_second_sync_waits_for_the_first_and_finds_nothing_to_do(database: Database) -> None:
    outcomes: list[SyncCounts] = []

    def sync() -> None:
        with database.connect("analytics_pipeline") as connection:
            outcomes.append(sync_event_schemas(connection, load_catalogue()))

    second = threading.Thread(target=sync)
    with (
        database.connect("analytics_pipeline", autocommit=True) as observer,
        database.connect("analytics_pipeline") as first,
    ):
        with first.transaction():
            assert sync_event_schemas(first, load_catalogue()) == SyncCounts(added=SHIPPED)
            second.start()
            waiting = "select exists (select from pg_locks where not granted)"
            while observer.execute(waiting).fetchone() != (True,):
                second.join(0.02)
                assert second.is_alive(), outcomes
        second.join()
    assert outcomes == [SyncCounts(unchanged=SHIPPED)]
