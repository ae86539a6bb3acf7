"""Fixtures of the dbt suites: a database a test or a module, and dbt to build it.

Belongs here: fixtures. Does not: how dbt runs (dbt_runs.py), rows (raw_rows.py), what models must
say. This folder must stay without ``__init__``: a package named dbt would hide the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dbt_runs import DbtBuilder, DbtOutcome
from psycopg import sql
from raw_rows import RawRows

from analytics_assets.store.clone import cloned_database
from analytics_assets.store.database import Database
from analytics_assets.store.migrate import restrict_connections


@pytest.fixture(scope="module")
def module_database(
    postgres_server: Database, request: pytest.FixtureRequest
) -> Iterator[Database]:
    """A migrated database that the tests of one module read together."""
    name = f"dbt_{request.module.__name__.rpartition('.')[2]}"
    with cloned_database(postgres_server, name) as clone:
        yield clone


@pytest.fixture
def run_dbt(database: Database, tmp_path: Path) -> Callable[..., DbtOutcome]:
    """``run_dbt(min_day, max_day, select=..., as_of=..., start_day=...)`` on this test's database.

    It returns the outcome whether or not it succeeded; call ``.check()`` where it must.
    """
    return DbtBuilder(database, tmp_path / "dbt").build


@pytest.fixture
def dbt_builder(database: Database, tmp_path: Path) -> DbtBuilder:
    """The builder itself, for tests that start dbt as a process."""
    return DbtBuilder(database, tmp_path / "dbt")


@pytest.fixture
def pipeline(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the pipeline's role, every statement committed at once."""
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        yield connection


@pytest.fixture
def raw(pipeline: psycopg.Connection[Any]) -> RawRows:
    return RawRows(pipeline)
