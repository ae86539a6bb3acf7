"""What the dbt stages share: their decorator, and how a dbt node becomes an asset spec.

Invariant: a model's key is [schema, name], its group the zone, its text the one in its YAML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, dbt_assets

from analytics_assets.assets.specs import OWNERS
from analytics_assets.partitions import SINGLE_RUN
from analytics_assets.resources import dbt_project, manifest_path
from analytics_assets.settings import Settings


class ZoneTranslator(DagsterDbtTranslator):
    """Groups models by zone and gives them owners and kinds."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=False))

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return str(dbt_resource_props["schema"])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:  # noqa: ARG002
        return OWNERS


def dbt_stage(
    name: str, settings: Settings, daily: dg.DailyPartitionsDefinition
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Decorator of the one dbt invocation that builds the models tagged ``name``."""
    return dbt_assets(
        name=name,
        manifest=manifest_path(settings),
        project=dbt_project(settings),
        select=f"tag:{name}",
        partitions_def=daily,
        backfill_policy=SINGLE_RUN,
        dagster_dbt_translator=ZoneTranslator(),
        pool="warehouse",
    )
