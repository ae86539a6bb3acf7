"""Raw to published, all assets in one run, against the same SQL run by hand.

Belongs here: taking the SQL of a finished run and running it again without Dagster and dbt.
Invariant: by hand means COPY of the raw rows, then each model's and each test's compiled statement
in the run's order, one connection; the release is left out, which makes the limit stricter.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

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
from analytics_assets.store.database import Database

TIMES_THE_SQL = 3.0
FIXED_SECONDS = 40.0
PEAK_MIB = 600.0
RAW_TABLES = ("conversations", "messages", "service_jobs", "platform_events")


def pipeline(bench: Bench) -> tuple[list[Figure], float]:
    """Figures of one whole run, and the seconds of the same SQL by hand."""
    run = run_everything(bench)
    hand = by_hand(bench)
    allowed = TIMES_THE_SQL * hand + FIXED_SECONDS
    figures = [
        Figure("all assets, one run", run.seconds, "s", at_most=round(allowed, 1)),
        Figure("the same SQL by hand", hand, "s"),
        Figure("(run - 40 s) / by hand", max(0.0, run.seconds - FIXED_SECONDS) / hand, "x"),
        *_slowest_steps(run),
    ]
    if run.peak_mib is not None:
        figures.append(Figure("peak memory of the run", run.peak_mib, "MiB", at_most=PEAK_MIB))
    return figures, hand


def by_hand(bench: Bench) -> float:
    """Seconds for COPY of the raw tables, then models and tests, statement by statement."""
    seconds = sum(
        copy_again(bench.database, f"raw.{table}", bench.settings.home / f"{table}.copy")
        for table in RAW_TABLES
    )
    statements = _statements(bench.settings.home / "dbt")
    with bench.database.connect("analytics_owner", autocommit=True) as connection:
        connection.execute("set jit = off")
        connection.execute("set enable_partitionwise_aggregate = on")
        for relation, _ in statements:
            if relation is not None:
                connection.execute(sql.SQL("truncate {}").format(relation))
        for relation, compiled in statements:
            query: sql.Composable = sql.SQL(compiled)
            if relation is not None:
                columns = _columns(bench.database, relation)
                query = sql.SQL("insert into {} select {} from ({}) as model").format(
                    relation, columns, query
                )
            seconds += timed(partial(connection.execute, query))
    return seconds


def _statements(targets: Path) -> list[tuple[sql.Identifier | None, Any]]:
    """(table to fill, select) in the run's order; no table for a test."""
    results = sorted(targets.glob("*-marts/run_results.json"), key=lambda p: p.stat().st_mtime)
    if not results:
        raise BenchmarkError(f"no run left its SQL in {targets}")
    manifest = json.loads((results[-1].parent / "manifest.json").read_text(encoding="utf-8"))
    found: list[tuple[sql.Identifier | None, Any]] = []
    for result in json.loads(results[-1].read_text(encoding="utf-8"))["results"]:
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
