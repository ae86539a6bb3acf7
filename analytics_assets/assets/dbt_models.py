"""What the dbt stages share: how a dbt node becomes an asset spec.

Invariant: a model's key is [schema, name], its group the zone, its text the one in its YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings

from analytics_assets.assets.specs import OWNERS


class ZoneTranslator(DagsterDbtTranslator):
    """Groups models by zone and gives them owners and kinds."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=False))

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return str(dbt_resource_props["schema"])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:  # noqa: ARG002
        return OWNERS
