"""The environment of one dbt invocation: where it connects, and its window as session settings.

Belongs here: what dbt is told, whoever starts it. Does not: starting it.
Invariant: session settings rather than dbt vars, which would defeat the prebuilt manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING

from analytics_assets.windows import Window

if TYPE_CHECKING:
    from analytics_assets.store.database import Database


def environment_of_dbt(
    database: Database, window: Window, *, as_of: datetime, start_day: date
) -> dict[str, str]:
    """Variables under which dbt builds ``window`` as the pipeline, by the platform's clock."""
    session = {
        "analytics.min_day": window.start.isoformat(),
        "analytics.max_day": window.end.isoformat(),
        "analytics.as_of": as_of.isoformat(),
        "analytics.start_day": start_day.isoformat(),
    }
    return connection_of_dbt(database, session)


def connection_of_dbt(database: Database, session: Mapping[str, str]) -> dict[str, str]:
    """Variables under which dbt connects as the pipeline, with these session settings."""
    parameters = database.parameters("analytics_pipeline")
    settings = {
        "enable_partitionwise_aggregate": "on",
        "timezone": "UTC",
        "jit": "off",
        **session,
    }
    return {
        "ANALYTICS_DBT_HOST": str(parameters["host"]),
        "ANALYTICS_DBT_PORT": str(parameters["port"]),
        "ANALYTICS_DBT_DBNAME": str(parameters["dbname"]),
        "ANALYTICS_DBT_USER": str(parameters["user"]),
        "ANALYTICS_DBT_PASSWORD": str(parameters["password"]),
        "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }
