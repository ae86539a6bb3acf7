"""Fixtures of the loader's tests: a deployment with sources on a database of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_world import World

from analytics_assets.settings import Settings
from analytics_assets.store.database import Database


@pytest.fixture
def world(database: Database, settings: Settings, tmp_path: Path) -> World:
    folder = tmp_path / "sources"
    folder.mkdir()
    return World(database, settings, folder)
