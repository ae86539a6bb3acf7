"""What Dagster adds to a backfill of 365 days, and to starting at all.

Invariant: overhead is the run's wall time less the server's time on statements of the analytics
database; Dagster's own storage is another database, and its time is overhead.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from analytics_assets.benchmarks.measure import (
    Bench,
    Figure,
    active_seconds,
    run_everything,
    timed,
)

OVERHEAD_SECONDS = 45.0
TIMES_DAGSTER_DBT = 1.3
REPEATS = 5
OURS, THEIRS = "analytics_assets.definitions", "dagster_dbt"


def backfill(bench: Bench) -> list[Figure]:
    """One run over all of the sample's days."""
    before = active_seconds(bench.database)
    run = run_everything(bench)
    in_sql = active_seconds(bench.database) - before
    days = bench.sample.parameters.days
    return [
        Figure(f"backfill of {days} days, one run", run.seconds, "s"),
        Figure("of it in SQL", in_sql, "s"),
        Figure("overhead", run.seconds - in_sql, "s", at_most=OVERHEAD_SECONDS),
    ]


def code_location() -> list[Figure]:
    """Seconds to import the definitions against those to import dagster_dbt, medians.

    Taken in turns, so that other work on the machine slows both alike.
    """
    for module in (OURS, THEIRS):
        _import_seconds(module)
    pairs = [(_import_seconds(OURS), _import_seconds(THEIRS)) for _ in range(REPEATS)]
    return [
        Figure("load the code location", statistics.median(ours for ours, _ in pairs), "s"),
        Figure("import dagster_dbt", statistics.median(theirs for _, theirs in pairs), "s"),
        Figure(
            "code location / dagster_dbt",
            statistics.median(ours / theirs for ours, theirs in pairs),
            "x",
            at_most=TIMES_DAGSTER_DBT,
        ),
    ]


def _import_seconds(module: str) -> float:
    return timed(lambda: subprocess.run([sys.executable, "-c", f"import {module}"], check=True))
