"""What the dbt project says of itself: every model owned, under contract, described and tested.

Belongs here: facts of the parsed project. Does not: what models compute. Invariant: needs no
database.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from dbt_runs import PROJECT_DIR

from analytics_assets.privacy.plan import shipped_plan

Node = dict[str, Any]
# Alembic makes these, with CHECKs; test_release.py and the release guard's own tests watch them.
RELEASED = ("anonymous", "published")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Node]:
    """The project parsed from nothing, every warning and deprecation an error."""
    from dbt.cli.main import dbtRunner

    target = tmp_path_factory.mktemp("parsed")
    result = dbtRunner().invoke(
        [
            *("--quiet", "--warn-error", "--no-partial-parse", "--log-level-file", "none"),
            *("parse", "--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR)),
            *("--target-path", str(target), "--show-all-deprecations"),
        ]
    )
    assert result.success, result.exception
    manifest: dict[str, Any] = json.loads((Path(target) / "manifest.json").read_text())
    return dict(manifest["nodes"])


@pytest.fixture(scope="module")
def models(nodes: dict[str, Node]) -> list[Node]:
    return [node for node in nodes.values() if node["resource_type"] == "model"]


def test_every_model_has_an_owner_a_group_a_contract_and_a_description(models: list[Node]) -> None:
    assert len(models) > 25
    for model in models:
        assert model["meta"]["owner"] == "team:analytics", model["name"]
        assert model["group"] == model["schema"], model["name"]
        assert model["contract"]["enforced"] is True, model["name"]
        assert model["description"].strip(), model["name"]


def test_every_column_has_a_type_and_a_description(models: list[Node]) -> None:
    for model in models:
        assert model["columns"], model["name"]
        for column in model["columns"].values():
            name = f"{model['name']}.{column['name']}"
            assert column["data_type"], name
            assert column["description"].strip(), name


def test_every_column_that_is_stored_is_constrained_or_tested(
    nodes: dict[str, Node], models: list[Node]
) -> None:
    conditions: dict[str, str] = {}
    for node in nodes.values():
        if node.get("test_metadata", {}).get("name") == "rows_hold":
            held = " ".join(node["test_metadata"]["kwargs"]["conditions"])
            conditions[node["attached_node"]] = held
    stored = [m for m in models if m["config"]["materialized"] == "incremental"]
    assert len(stored) > 10
    for model in stored:
        assert model["unique_id"] in conditions, f"{model['name']} has no test rows_hold"
        tested = set(re.findall(r"\w+", conditions[model["unique_id"]]))
        for column in model["columns"].values():
            constrained = any(one["type"] == "not_null" for one in column["constraints"])
            assert constrained or column["name"] in tested, f"{model['name']}.{column['name']}"


def test_released_columns_are_those_of_the_plan(models: list[Node]) -> None:
    released = [model for model in models if model["schema"] in RELEASED]
    plan = shipped_plan()
    assert {f"{model['schema']}.{model['name']}" for model in released} == set(plan.tables)
    for model in released:
        table = plan[f"{model['schema']}.{model['name']}"]
        assert set(model["columns"]) == set(table.column_types)
        assert model["config"]["materialized"] == "release"


def test_every_table_is_kept_whatever_dbt_is_told(models: list[Node]) -> None:
    """Raw is pruned and these tables outlive it: ``--full-refresh`` must never empty one."""
    for model in models:
        config = model["config"]
        assert config["materialized"] in {"view", "incremental", "release"}, model["name"]
        if config["materialized"] == "incremental":
            assert config["full_refresh"] is False, model["name"]
            assert config["incremental_strategy"] == "append", model["name"]


def test_every_singular_test_is_described(nodes: dict[str, Node]) -> None:
    for node in nodes.values():
        if node["resource_type"] == "test" and "test_metadata" not in node:
            assert node["description"].strip(), node["name"]
