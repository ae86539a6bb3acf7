"""Raw to published, all assets in one run, against the same SQL run by hand.

Belongs here: taking the SQL of a finished run and running it again without Dagster and dbt.
Invariant: by hand means COPY of the raw rows, then each model's and each test's compiled statement
in the run's order, one connection; the release is left out, which makes the limit stricter.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from analytics_assets.benchmarks.loading import copy_again
from analytics_assets.benchmarks.measure import (
    Bench,
    BenchmarkError,
    Figure,
    RunFigures,
    run_everything,
    timed,
)
from analytics_assets.partitions import deployment_window
from analytics_assets.resources import dbt_environment, dbt_executable
from analytics_assets.settings import child_environment
from analytics_assets.store.database import Database

TIMES_THE_SQL = 3.0
FIXED_SECONDS = 40.0
PEAK_MIB = 600.0
RAW_TABLES = ("conversations", "messages", "service_jobs", "platform_events")

# What the pre-hook of insights.user_activity leaves for its statement.
_SET_ASIDE = """
create temporary table user_activity_before as
select day, user_id, downloads, shares, credit_limits from insights.user_activity where false
"""


class ByHand(NamedTuple):
    """Seconds of the SQL alone. Who first reads rows that COPY has just written pays for what it
    left: the mark in each page that its rows are committed, its log, and pages still to be written.
    ``at_rest`` is the same SQL once more, which does not.
    """

    copied: float
    models: float
    at_rest: float


def pipeline(bench: Bench) -> tuple[list[Figure], ByHand]:
    """Figures of one whole run, and the seconds of the same SQL by hand."""
    run = run_everything(bench)
    hand_made = by_hand(bench)
    hand = hand_made.copied + hand_made.models
    allowed = TIMES_THE_SQL * hand + FIXED_SECONDS
    figures = [
        Figure("all assets, one run", run.seconds, "s", at_most=round(allowed, 1)),
        Figure("the same SQL by hand", hand, "s"),
        Figure("of it models and tests", hand_made.models, "s"),
        Figure("models and tests over rows at rest", hand_made.at_rest, "s"),
        Figure("(run - 40 s) / by hand", max(0.0, run.seconds - FIXED_SECONDS) / hand, "x"),
        *_slowest_steps(run),
    ]
    if run.peak_mib is not None:
        figures.append(Figure("peak memory of the run", run.peak_mib, "MiB", at_most=PEAK_MIB))
    return figures, hand_made


def by_hand(bench: Bench) -> ByHand:
    """COPY of the raw tables, then models and tests, statement by statement, twice."""
    statements = _statements(bench)
    copied = sum(
        copy_again(bench.database, f"raw.{table}", bench.settings.home / f"{table}.copy")
        for table in RAW_TABLES
    )
    with bench.database.connect("analytics_owner", autocommit=True) as connection:
        connection.execute("set jit = off")
        connection.execute("set enable_partitionwise_aggregate = on")
        connection.execute(_SET_ASIDE)
        first, again = (_fill(bench.database, connection, statements) for _ in range(2))
    return ByHand(copied, first, again)


def _fill(
    database: Database,
    connection: psycopg.Connection[Any],
    statements: Sequence[tuple[sql.Identifier | None, Any]],
) -> float:
    """Seconds of the statements, into empty tables."""
    for relation, _ in statements:
        if relation is not None:
            connection.execute(sql.SQL("truncate {}").format(relation))
    seconds = 0.0
    for relation, compiled in statements:
        query: sql.Composable = sql.SQL(compiled)
        if relation is not None:
            columns = _columns(database, relation)
            query = sql.SQL("insert into {} select {} from ({}) as model").format(
                relation, columns, query
            )
        seconds += timed(partial(connection.execute, query))
    return seconds


def _statements(bench: Bench) -> list[tuple[sql.Identifier | None, Any]]:
    """(table to fill, select) in dbt's order, as it compiles them; no table for a test."""
    target = bench.settings.home / "by_hand"
    window = deployment_window(bench.settings)
    done = subprocess.run(
        [dbt_executable(), "build", "--select", "tag:marts", "--target-path", target],
        cwd=bench.settings.dbt_project_dir,
        env=child_environment(dict(dbt_environment(bench.settings, bench.database, window))),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"dbt failed:\n{done.stdout[-2000:]}")
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]
    found: list[tuple[sql.Identifier | None, Any]] = []
    for result in results:
        node = manifest["nodes"][result["unique_id"]]
        if node["resource_type"] == "test":
            found.append((None, result["compiled_code"]))
        elif node["config"]["materialized"] != "view":
            found.append((sql.Identifier(node["schema"], node["name"]), result["compiled_code"]))
    return found


def _columns(database: Database, relation: sql.Identifier) -> sql.Composable:
    with database.connect("analytics_owner") as connection:
        cursor = connection.execute(sql.SQL("select * from {} where false").format(relation))
        names = [column.name for column in cursor.description or ()]
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _slowest_steps(run: RunFigures) -> list[Figure]:
    steps: dict[str, float] = run.printed["step_seconds"]
    slowest = sorted(steps.items(), key=lambda item: -item[1])[:4]
    return [Figure(f"step {name}", seconds, "s") for name, seconds in slowest]
