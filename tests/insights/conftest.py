"""Fixtures of the insight tests: a company in a database, a model on the loopback that reads it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from insights_company import Analysis, Company
from servers.gemini import GeminiServer

from analytics_assets.store.database import Database


@pytest.fixture
def company(database: Database) -> Iterator[Company]:
    with database.connect("analytics_pipeline", autocommit=True) as conn:
        yield Company(database, conn)


@pytest.fixture
def gemini() -> Iterator[GeminiServer]:
    with GeminiServer() as server:
        yield server


@pytest.fixture
def analyse_days(company: Company, gemini: GeminiServer) -> Analysis:
    return Analysis(company.database, gemini)


@pytest.fixture
def stages(analyse_days: Analysis) -> Analysis:
    return analyse_days
