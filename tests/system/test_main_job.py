"""The main job as an operator runs it: sample in, every zone filled, in one Dagster run."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from deployment import Deployment

ANALYST_QUERIES = (
    """
    select date_trunc('week', created_at) as week, avg(ai_percentage_bucket), count(*)
    from anonymous.analytics_events group by week
    """,
    """
    select archetype, count(*) as count, avg(ai_savviness_bucket) as avg_ai_score
    from anonymous.analytics_events group by archetype
    """,
)


def test_every_zone_is_filled_by_one_dagster_run(
    main_job: tuple[Deployment, dict[str, Any]],
) -> None:
    deployment, outcome = main_job
    assert outcome["failures"] == []
    assert deployment.query_dagster("select status from runs order by id")[0] == ("SUCCESS",)
    rows = {zone: dict(tables) for zone, tables in outcome["zones"].items()}
    assert rows["inbox"]["entries"] == 0
    for zone in ("raw", "marts", "anonymous", "published"):
        assert all(count > 0 for count in rows[zone].values()), (zone, rows[zone])
    assert rows["insights"]["user_activity"] > 0
    assert rows["insights"]["daily_summary"] == outcome_days(outcome)
    assert outcome["pruned"], "profile events of the closed month were to be pruned"


def outcome_days(outcome: dict[str, Any]) -> int:
    first, last = date.fromisoformat(outcome["first_day"]), date.fromisoformat(outcome["last_day"])
    return (last - first).days + 1


def test_what_was_loaded_is_what_the_truth_says(
    main_job: tuple[Deployment, dict[str, Any]],
) -> None:
    deployment, _ = main_job
    truth = json.loads((deployment.home / "company" / "truth.json").read_text())
    [(loaded, rejected, duplicate)] = deployment.query(
        "select sum(rows_loaded), sum(rows_rejected), sum(rows_duplicate) from ops.load_log"
        " where source = 'sample_events' and finished"
    )
    assert loaded == truth["events"]["valid_distinct"]
    assert duplicate == truth["events"]["duplicates"]
    assert rejected == sum(truth["events"]["malformed"].values())


def test_the_users_two_queries_run_on_the_anonymous_rows(
    main_job: tuple[Deployment, dict[str, Any]],
) -> None:
    deployment, _ = main_job
    for statement in ANALYST_QUERIES:
        assert deployment.query(statement, role="analytics_reader")


def test_materializing_again_leaves_identical_tables_and_says_so_without_noise(
    main_job: tuple[Deployment, dict[str, Any]],
) -> None:
    deployment, _ = main_job
    before = deployment.content()
    done = deployment.command("run")
    assert done.returncode == 0, done.stderr
    assert deployment.content() == before
    assert (
        "never released: the month 2026-04 began before the deployment's first day" in done.stdout
    )
    assert "the week of 2026-04-27" not in done.stdout
    assert "no changes: the sources had nothing that was not loaded before" in done.stdout
    for noise in ("Warning", "warnings", "DEBUG", "dbt.cli", "Traceback", "site-packages"):
        assert noise not in done.stdout + done.stderr, noise
    # Piped, nothing is cut to the width of a terminal.
    assert "…" not in done.stdout
    for table in ("anonymous.analytics_events", "published.archetype_distribution"):
        assert table in done.stdout


def test_a_day_outside_the_deployment_is_refused_by_name(
    main_job: tuple[Deployment, dict[str, Any]],
) -> None:
    deployment, _ = main_job
    done = deployment.command("run", "--start", "2020-01-01")
    assert done.returncode == 2
    assert "2020-01-01 is not a day of this deployment" in done.stderr


def test_a_step_that_fails_is_told_plainly_with_a_code_for_scripts(
    main_job: tuple[Deployment, dict[str, Any]], tmp_path: Path
) -> None:
    deployment, _ = main_job
    sources = tmp_path / "sources.yaml"
    sources.write_text(
        "sources:\n- {name: gone, type: files, table: platform_events, path: nowhere*.jsonl}\n"
    )
    done = deployment.command("run", "--json", "--start", "2026-06-08", "--sources", str(sources))
    assert done.returncode == 1
    outcome = json.loads(done.stdout)
    [failure] = outcome["failures"]
    assert failure.startswith("raw: ")
    assert "nowhere*.jsonl" in failure
    assert "Traceback" not in done.stdout + done.stderr
