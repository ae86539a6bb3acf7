"""The one door Dagster enters by: ``defs``, and ``build_definitions`` for tests.

Belongs here: the explicit list of everything there is. Does not: anything that acts. Invariant:
an asset that is not listed here does not exist, and a test counts them.
"""

from __future__ import annotations

import dagster as dg

from analytics_assets.assets.answers import answers_assets
from analytics_assets.assets.compliance import compliance_assets
from analytics_assets.assets.insights import insights_assets
from analytics_assets.assets.marts import marts_assets
from analytics_assets.assets.published import release_assets
from analytics_assets.assets.raw import raw_assets
from analytics_assets.assets.retention import retention_assets
from analytics_assets.checks import build_checks
from analytics_assets.jobs import EXECUTOR, build_jobs
from analytics_assets.partitions import daily_partitions
from analytics_assets.resources import Dbt, Platform, dbt_executable
from analytics_assets.schedules import build_schedules
from analytics_assets.sensors import build_sensors
from analytics_assets.settings import Settings, load_settings


def build_definitions(settings: Settings | None = None) -> dg.Definitions:
    """All definitions for ``settings`` (default: those of the environment)."""
    settings = settings or load_settings()
    daily = daily_partitions(settings)
    return dg.Definitions(
        assets=[
            *raw_assets(daily),
            *marts_assets(settings, daily),
            *release_assets(settings, daily),
            *insights_assets(daily),
            *answers_assets(daily),
            *retention_assets(daily),
            *compliance_assets(daily),
        ],
        asset_checks=build_checks(),
        jobs=build_jobs(daily),
        schedules=build_schedules(settings, daily),
        sensors=build_sensors(daily),
        resources={
            "platform": Platform(settings),
            "dbt": Dbt(project_dir=str(settings.dbt_project_dir), dbt_executable=dbt_executable()),
        },
        executor=EXECUTOR,
    )


defs = build_definitions()
