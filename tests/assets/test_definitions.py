"""What Dagster sees is exactly what is written here: a dropped definition fails loudly."""

from __future__ import annotations

import json
import subprocess
import sys

import dagster as dg

from analytics_assets.assets.table_facts import facts_of_models, table_facts
from analytics_assets.settings import PROJECT_ROOT

# Each costs a good part of a second, or hundreds of megabytes, in every process of the platform.
HEAVY = (
    "alembic",
    "duckdb",
    "dbt.adapters.postgres",
    "google.genai",
    "numpy",
    "onnxruntime",
    "pandas",
    "psycopg",
    "pyarrow",
    "sklearn",
    "sqlalchemy",
)

ASSETS = {
    "raw": {
        "conversations",
        "messages",
        "platform_events",
        "rejected_events",
        "servers",
        "service_jobs",
        "users",
    },
    "marts": {
        "daily_metrics",
        "event_aggregations",
        "event_log",
        "int_built_days",
        "int_event_counts_15min",
        "int_profile_days",
        "int_subject_days",
        "int_subject_installs",
        "int_subject_searches",
        "int_user_hours",
        "search_usage",
        "server_activity",
        "server_installs",
        "servers",
        "stg_conversations",
        "stg_events",
        "stg_messages",
        "stg_servers",
        "stg_service_jobs",
        "stg_users",
        "user_actions",
        "user_days",
    },
    "anonymous": {"analytics_events"},
    "published": {
        "ai_usage_trends",
        "archetype_distribution",
        "event_trends",
        "install_trends",
        "feature_requests",
        "friction_points",
        "personas",
        "search_trends",
        "use_cases",
    },
    "insights": {
        "analysis_cache",
        "clusters",
        "conversation_facets",
        "daily_summary",
        "feature_requests",
        "friction_points",
        "metric_anomalies",
        "payment_signals",
        "personas",
        "return_predictions",
        "segments",
        "success_metrics",
        "use_cases",
        "user_activity",
    },
    "retention": {"compliance_report", "retention_pruned_partitions"},
}


def test_every_asset_is_there_and_grouped_by_its_zone(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found: dict[str, set[str]] = {}
    for key in graph.materializable_asset_keys:
        found.setdefault(graph.get(key).group_name, set()).add(key.path[-1])
    assert found == ASSETS


def test_every_asset_has_an_owner_and_a_description(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert node.owners, key
        assert node.description, key


def test_all_assets_share_one_partitions_definition_so_that_a_range_is_one_run(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()
    kinds = {
        (str(graph.get(key).partitions_def), str(graph.get(key).backfill_policy))
        for key in graph.materializable_asset_keys
    }
    assert len(kinds) == 1
    assert kinds.pop()[1] == "BackfillPolicy.single_run()"


def test_jobs_schedules_sensors_and_blocking_checks_are_there(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    assert {s.name for s in repository.schedule_defs} == {"hourly", "retention", "daily"}
    assert {s.name for s in repository.sensor_defs} == {
        "dirty_days",
        "run_failed",
        "run_succeeded",
        "run_canceled",
    }
    jobs = {name for name in repository.job_names if not name.startswith("__")}
    assert jobs == {"materialize_everything", "refresh", "retention"}
    names = [key.name for key in repository.asset_graph.asset_check_keys]
    assert names.count("k_floor") == names.count("forbidden_columns") == 10


def test_today_is_a_partition_and_a_pinned_clock_ends_the_deployment(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()
    daily = graph.get(dg.AssetKey(["raw", "platform_events"])).partitions_def
    assert daily is not None
    keys = daily.get_partition_keys()
    assert (keys[0], keys[-1]) == ("2026-04-27", "2026-06-08")


def test_loading_the_definitions_loads_nothing_that_only_runs_need() -> None:
    program = (
        "import json, sys, analytics_assets.definitions;"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == []


def test_the_columns_shown_in_dagster_are_those_of_the_models() -> None:
    for name, facts in facts_of_models().items():
        assert table_facts(*name.split(".")) == facts, (
            f"{name} has changed: run `python -m analytics_assets.assets.table_facts`"
        )
