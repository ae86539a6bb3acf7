"""The main job as an operator runs it: sample in, every zone filled, in one Dagster run.

And killed in the middle, run or server: the next run ends where the undisturbed one ended. The
disturbed deployment reads the same files with an embedded server of its own, and stands in the same
file of tests so that the undisturbed run is made once. Points in time are drawn from a seed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from deployment import Deployment, draw_keys, wait_until

from analytics_assets.store.database import DatabaseUnavailable
from analytics_assets.store.embedded import EmbeddedPostgres

SEED = 20260608
STEPS = ("raw", "marts", "release")
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


# --- killed in the middle -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def disturbed(
    main_job: tuple[Deployment, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    undisturbed, _ = main_job
    deployment = Deployment(
        tmp_path_factory.mktemp("disturbed"),
        None,
        undisturbed.home / "company" / "sources.yaml",
        "2026-04-27",
        "2026-06-08",
    )
    made = deployment.command("migrate")
    assert made.returncode == 0, made.stderr
    draw_keys(deployment)
    yield deployment
    deployment.kill_all()
    EmbeddedPostgres(deployment.home).destroy()


def started(deployment: Deployment, run: subprocess.Popen[str], step: str, after: int) -> bool:
    """Whether a run newer than ``after`` has begun the step."""
    assert run.poll() is None, f"it ended before {step}: {deployment.said()}"
    try:
        found = deployment.query_dagster(
            "select count(*) from event_logs where dagster_event_type = 'STEP_START'"
            f" and step_key = '{step}' and id > {after}"
        )
    except (DatabaseUnavailable, psycopg.errors.UndefinedTable):
        return False  # the very first run is still making its database
    return bool(found[0][0])


def newest_event(deployment: Deployment) -> int:
    if not (deployment.home / "postgres").exists():
        return 0
    with suppress(DatabaseUnavailable, psycopg.errors.UndefinedTable):
        return int(deployment.query_dagster("select coalesce(max(id), 0) from event_logs")[0][0])
    return 0


def begin_and_wait_for(deployment: Deployment, step: str, seconds: float) -> subprocess.Popen[str]:
    """A run that has been in ``step`` for so many seconds."""
    before = newest_event(deployment)
    run = deployment.start("run", "--json")
    wait_until(f"step {step}", lambda: started(deployment, run, step, before), every=0.1)
    time.sleep(seconds)
    return run


@pytest.mark.parametrize("step", STEPS)
def test_a_run_is_killed_in(disturbed: Deployment, step: str) -> None:
    seconds = random.Random(f"{SEED} {step}").uniform(0, 2)  # noqa: S311
    run = begin_and_wait_for(disturbed, step, seconds)
    run.send_signal(signal.SIGKILL)
    assert run.wait(10) == -signal.SIGKILL


def test_a_run_that_loses_its_server_says_so_plainly(disturbed: Deployment) -> None:
    run = begin_and_wait_for(disturbed, "marts", 1)
    server = EmbeddedPostgres(disturbed.home).status().pid
    assert server is not None
    os.kill(server, signal.SIGKILL)
    assert run.wait(150) == 1  # Dagster tries each of its writes several times
    said = disturbed.said()
    assert "Postgres went away" in said
    assert "again" in said
    assert "Traceback" not in said


def test_after_all_that_the_next_run_leaves_identical_tables(
    main_job: tuple[Deployment, dict[str, Any]], disturbed: Deployment
) -> None:
    outcome = disturbed.run()
    assert outcome["failures"] == []
    undisturbed, _ = main_job
    assert disturbed.content() == undisturbed.content()
    states = disturbed.query_dagster("select status from runs order by id")
    assert states == [("FAILURE",)] * 4 + [("SUCCESS",)], "a dead run must not look alive"
    assert disturbed.query("select count(*) from ops.dirty_days where closed_at is null") == [(0,)]
