"""dbt in this process: parsed once, and yet what is run is what the files say now.

Invariant: needs no database; what models compute has its own tests.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from dbt_runs import PROJECT_DIR

from analytics_assets.dbt_in_process import dbt_arguments, invoke_dbt

KEYS = ("--output", "json", "--output-keys", "name", "database", "relation_name")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    skip = shutil.ignore_patterns("target", "logs")
    return shutil.copytree(PROJECT_DIR, tmp_path / "dbt", ignore=skip)


def listed(project: Path, folder: Path, database: str = "shop") -> Any:
    outcome = invoke_dbt(
        project,
        {"ANALYTICS_DBT_DBNAME": database},
        dbt_arguments(project, "list", *KEYS, folder=folder),
    )
    if not outcome.success:
        return str(outcome.exception)
    assert isinstance(outcome.result, list)
    return {node["name"]: node for node in map(json.loads, outcome.result)}


def test_a_file_added_changed_or_removed_between_two_invocations_is_seen(
    project: Path, tmp_path: Path
) -> None:
    added = project / "models" / "marts" / "one_more.sql"
    assert "one_more" not in listed(project, tmp_path)
    added.write_text("{{ config(alias='first') }} select 1 as one")
    assert listed(project, tmp_path)["one_more"]["relation_name"] == '"shop"."marts"."first"'
    added.write_text("{{ config(alias='second') }} select 1 as one")
    assert listed(project, tmp_path)["one_more"]["relation_name"] == '"shop"."marts"."second"'
    added.unlink()
    assert "one_more" not in listed(project, tmp_path)


def test_every_table_is_of_the_database_that_is_named(tmp_path: Path) -> None:
    for database in ("shop", "analytics", "shop"):
        nodes = listed(PROJECT_DIR, tmp_path, database).values()
        assert {node["database"] for node in nodes} == {database}
        assert len(nodes) > 40
        quoted = '"' + database + '".'
        told = [node["relation_name"] for node in nodes if node["relation_name"]]
        assert all(name.startswith(quoted) and name.count('"."') == 2 for name in told)


def test_a_project_that_cannot_be_parsed_says_where(project: Path, tmp_path: Path) -> None:
    (project / "models" / "marts" / "broken.yml").write_text("models: [")
    assert "broken.yml" in listed(project, tmp_path)
