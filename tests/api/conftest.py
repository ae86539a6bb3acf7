"""An API on a real socket over a real database; shared by the tests that leave room for others.

Invariant: a test sends with keys and ids of its own, so that tests of one server do not meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from api_process import ApiProcess
from door import Door, serving
from marts_world import MartsWorld, copied, marts_world

from analytics_assets.settings import Settings, load_settings
from analytics_assets.store.clone import cloned_database
from analytics_assets.store.database import Database


@pytest.fixture(scope="session")
def door_database(postgres_server: Database) -> Iterator[Database]:
    with cloned_database(postgres_server, "test_api") as database:
        yield database


@pytest.fixture(scope="session")
def door_settings(postgres_server: Database, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(
        home=tmp_path_factory.mktemp("door"),
        database_url=None,
        start_day=date(2026, 4, 27),
        as_of=datetime(2026, 6, 8, tzinfo=UTC),
    )


@pytest.fixture(scope="session")
def door(door_database: Database, door_settings: Settings) -> Iterator[Door]:
    """One API for all tests that need no special settings."""
    with serving(door_settings, door_database) as running:
        yield running


@pytest.fixture
def own_door(door_settings: Settings, database: Database) -> Iterator[Door]:
    """An API over a database of the test's own."""
    with serving(door_settings, database) as running:
        yield running


@pytest.fixture(scope="session")
def killable(door_settings: Settings, postgres_server: Database) -> Iterator[ApiProcess]:
    """An API in a process of its own, with a database of its own, to be ended and started again.

    A test leaves it running.
    """
    with (
        cloned_database(postgres_server, "test_api_killed") as database,
        ApiProcess(door_settings, database) as process,
    ):
        yield process


@pytest.fixture(scope="session")
def marts(
    postgres_server: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MartsWorld]:
    """An API over marts that are built: what is read, and not changed."""
    with marts_world(postgres_server, tmp_path_factory.mktemp("marts")) as world:
        yield world


@pytest.fixture
def own_marts(marts: MartsWorld) -> Iterator[MartsWorld]:
    """A copy of the marts, to be changed."""
    with copied(marts) as world:
        yield world
