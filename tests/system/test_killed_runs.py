"""Runs and servers killed in the middle: the next run ends where an undisturbed one ends.

The undisturbed one is the main job's; the disturbed deployment reads the same files with an
embedded server of its own. Points in time are drawn from a seed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from deployment import Deployment, draw_keys, wait_until

from analytics_assets.store.database import DatabaseUnavailable
from analytics_assets.store.embedded import EmbeddedPostgres

SEED = 20260608
STEPS = ("raw", "marts", "release")


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
