"""Fixtures of the privacy suites: one database, and transactions that never commit.

Invariant: a test holds one connection, since planting takes locks that a second would wait for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from analytics_assets.store.clone import cloned_database
from analytics_assets.store.database import Database


@pytest.fixture(scope="session")
def privacy_database(postgres_server: Database) -> Iterator[Database]:
    """A migrated database that no test of this folder changes for good."""
    with cloned_database(postgres_server, "test_privacy") as clone:
        yield clone


@pytest.fixture
def pipeline(privacy_database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the pipeline's role, rolled back at the end."""
    with privacy_database.connect("analytics_pipeline") as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def planting(privacy_database: Database) -> Iterator[psycopg.Connection[Any]]:
    """The administrator, with guards and CHECKs of the released tables off, rolled back."""
    with privacy_database.connect_as_admin(privacy_database.name, autocommit=False) as admin:
        for table, constraint in admin.execute(
            """
            select conrelid::regclass::text, conname from pg_constraint
            join pg_class on pg_class.oid = conrelid
            where contype = 'c' and relnamespace::regnamespace::text in ('anonymous', 'published')
            """
        ).fetchall():
            admin.execute(f"alter table {table} drop constraint {constraint}".encode())
        for (table,) in admin.execute(
            "select schemaname || '.' || tablename from pg_tables"
            " where schemaname in ('anonymous', 'published')"
        ).fetchall():
            admin.execute(f"alter table {table} disable trigger user".encode())
        yield admin
        admin.rollback()
