"""Fixtures every suite shares: one embedded Postgres a session, one migrated database a test.

Invariant: a test never sees another test's rows; databases are cloned from a migrated template.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest
from browser import chromium, pytest_runtest_protocol
from memory_folder import memory_folder, remove_what_killed_sessions_left, server_in
from psycopg import sql

from analytics_assets.manifest import ensure_manifest
from analytics_assets.settings import PREFIX, Settings, load_settings
from analytics_assets.store.clone import cloned_database
from analytics_assets.store.database import Database
from analytics_assets.store.embedded import EmbeddedPostgres
from analytics_assets.store.migrate import migrate

__all__ = ["chromium", "pytest_runtest_protocol"]
START_DAY = date(2026, 4, 27)
AS_OF = datetime(2026, 6, 8, tzinfo=UTC)
REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_numbers = itertools.count(1)
LONGEST = ("test_live_platform", "test_main_job")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Definitions read the manifest when they are imported, which is before any fixture.

    Made once, before the processes that share the tests start.
    """
    if hasattr(session.config, "workerinput"):
        return
    ensure_manifest(load_settings(home=Path("unused"), database_url=None))
    remove_what_killed_sessions_left()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole deployments first, the longest before all: run last, one would leave others idle."""
    items.sort(key=lambda item: (item.path.parent.name != "system", item.path.stem not in LONGEST))


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> None:
    """Settings of the person running the tests must not change what is tested."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Database]:
    """A running embedded server with a migrated database, named ``template_analytics``."""
    with memory_folder() as folder:
        yield from _template_on(server_in(folder))


def _template_on(server: EmbeddedPostgres) -> Iterator[Database]:
    address = server.ensure_running()
    superuser = {"user": address.superuser, "password": address.password, "dbname": "postgres"}
    # Nothing in this cluster outlives the session; durability is tested on servers of its own. It
    # keeps statistics of statements, as many servers do, so that attacks can read them.
    with psycopg.connect(
        host=address.host, port=address.port, autocommit=True, **superuser
    ) as admin:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            admin.execute(sql.SQL("alter system set {} = off").format(sql.Identifier(setting)))
        admin.execute("alter system set max_wal_size = '512MB'")  # it may lie in memory
        admin.execute("alter system set shared_preload_libraries = 'pg_stat_statements'")
    server.stop()
    address = server.ensure_running()
    template = Database(
        host=address.host,
        port=address.port,
        name="template_analytics",
        superuser=address.superuser,
        admin_password=address.password,
        secrets_dir=server.home / "secrets",
    )
    try:
        migrate(template)
        with template.connect_as_admin(template.name) as admin:
            admin.execute("create extension pg_stat_statements")
        yield template
    finally:
        server.destroy()


@pytest.fixture
def database(postgres_server: Database) -> Iterator[Database]:
    """A migrated, empty database of this test's own."""
    with cloned_database(postgres_server, f"test_{next(_numbers)}") as clone:
        yield clone


@pytest.fixture
def home(tmp_path: Path, database: Database) -> Path:
    """A platform home whose role passwords are those of the test server."""
    folder = tmp_path / "home"
    shutil.copytree(database.secrets_dir, folder / "secrets")
    return folder


@pytest.fixture
def database_url(database: Database) -> str:
    """What ``ANALYTICS_DATABASE_URL`` would be for this test's database."""
    return (
        f"postgresql://{database.superuser}:{database.admin_password}"
        f"@{database.host}:{database.port}/{database.name}"
    )


@pytest.fixture
def settings(home: Path, database_url: str) -> Settings:
    """Settings of a deployment that starts on 2026-04-27, as of 2026-06-08."""
    return load_settings(home=home, database_url=database_url, start_day=START_DAY, as_of=AS_OF)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real files beside the repository; skips, saying so, where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"real data files are not at {REAL_DATA}; this test needs them")
    return REAL_DATA
