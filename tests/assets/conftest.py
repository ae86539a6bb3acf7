"""Fixtures of the asset suites: definitions over a real database, Dagster's records in memory."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from analytics_assets.definitions import build_definitions
from analytics_assets.manifest import ensure_manifest
from analytics_assets.settings import Settings, load_settings


@pytest.fixture(scope="session")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    """All definitions of a deployment from 2026-04-27 as of 2026-06-08; opens no connection."""
    settings = load_settings(
        home=tmp_path_factory.mktemp("home"), start_day="2026-04-27", as_of="2026-06-08"
    )
    ensure_manifest(settings)
    return build_definitions(settings)


@pytest.fixture
def repository(settings: Settings) -> dg.RepositoryDefinition:
    """The definitions over this test's own database."""
    ensure_manifest(settings)
    return build_definitions(settings).get_repository_def()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral
