"""What a run leaves to be read: a table per zone, the published tables, what was held back.

Belongs here: reading and printing. Invariant: only counts of tables, and rows of ``published``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from analytics_assets.cli.console import console, errors, print_json, print_table
from analytics_assets.settings import Settings
from analytics_assets.store.database import Database
from analytics_assets.windows import Window

ZONES = ("inbox", "raw", "marts", "anonymous", "published", "insights")
STEP_OF_ZONE = {
    "raw": ("raw",),
    "marts": ("marts",),
    "anonymous": ("release",),
    "published": ("release",),
    "insights": (
        "conversation_facets",
        "analysis_cache",
        "return_predictions",
        "payment_signals",
        "metric_anomalies",
        "success_metrics",
        "groups",
        "personas",
        "daily_summary",
    ),
}
FIRST_ROWS = 3
_TABLES = """
select c.relname
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %s and c.relkind in ('r', 'p', 'v') and not c.relispartition
order by c.relname
"""
_HELD_BACK = """
select
    release_table,
    period_kind,
    count(*) as periods,
    count(*) filter (where state = 'withheld') as withheld,
    sum(released_people)::bigint as people_released,
    round(
        100 * sum(finest_share * released_people) / nullif(sum(released_people), 0)
    )::float as finest_percent
from ops.release_ledger
group by 1, 2
order by 1, 2
"""
_RETENTION = """
select
    table_name,
    coalesce(event_category, ''),
    count(partition_name),
    sum(rows_dropped)::bigint,
    max(cutoff)
from ops.retention_log
where not dry_run and run_id = %s
group by 1, 2
order by 1, 2
"""
_REJECTED = """
select error_code, count(*) from raw.rejected_events
where processing_status = 'rejected' group by 1 order by 2 desc
"""


@dataclass
class Outcome:
    """What a run left; ``zones`` maps a zone to (table, rows).

    ``new_rows`` counts what the sources gave, good and bad, that no earlier run had loaded;
    ``suppressed_rows`` what was left out because its people were erased.
    """

    run_id: str
    first_day: str
    last_day: str
    seconds: float
    step_seconds: dict[str, float]
    zones: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    rejected: list[tuple[str, int]] = field(default_factory=list)
    released: list[tuple[Any, ...]] = field(default_factory=list)
    pruned: list[tuple[Any, ...]] = field(default_factory=list)
    first_rows: dict[str, tuple[list[str], list[list[Any]]]] = field(default_factory=dict)
    new_rows: int = 0
    suppressed_rows: int = 0
    incomplete: list[str] = field(default_factory=list)


def collect(
    settings: Settings,
    window: Window,
    run_id: str,
    seconds: float,
    step_seconds: dict[str, float],
) -> Outcome:
    """Count every zone's tables and read the first rows of the published ones."""
    outcome = Outcome(
        run_id, str(window.start), str(window.last_day), round(seconds, 1), step_seconds
    )
    outcome.incomplete = _incomplete_periods(settings.start_day)
    with Database.open(settings).connect("analytics_pipeline") as connection:
        for zone in ZONES:
            outcome.zones[zone] = [
                (table, _count(connection, zone, table))
                for (table,) in connection.execute(_TABLES, [zone]).fetchall()
            ]
        outcome.rejected = connection.execute(_REJECTED).fetchall()
        outcome.released = connection.execute(_HELD_BACK).fetchall()
        outcome.pruned = connection.execute(_RETENTION, [run_id]).fetchall()
        for table, _ in outcome.zones["published"]:
            outcome.first_rows[table] = _first_rows(connection, table)
    return outcome


def show(outcome: Outcome, failures: list[str], *, as_json: bool) -> None:
    """Print the outcome for a person, or all of it as JSON."""
    if as_json:
        print_json({**asdict(outcome), "failures": failures})
        return
    for zone, tables in outcome.zones.items():
        steps = STEP_OF_ZONE.get(zone, ())
        spent = sum(outcome.step_seconds.get(step, 0.0) for step in steps)
        title = f"\n{zone}" + (f" - {spent:.1f} s" if spent else "")
        print_table(title, ["table", "rows"], [[name, rows] for name, rows in tables])
    if outcome.rejected:
        print_table("\nin quarantine", ["reason", "rows"], [list(row) for row in outcome.rejected])
    for table, (columns, rows) in outcome.first_rows.items():
        print_table(f"\npublished.{table}, first rows", columns, rows)
    print_table(
        "\nreleased and withheld for privacy (withheld: fewer people than may be told of; finest %:"
        " not generalised)",
        ["table", "period", "periods", "withheld", "people released", "finest %"],
        [list(row) for row in outcome.released],
    )
    for period in outcome.incomplete:
        console.print(f"never released: {period} began before the deployment's first day")
    if outcome.pruned:
        print_table(
            "\npruned by retention",
            ["table", "class", "partitions", "rows", "first day kept"],
            [list(row) for row in outcome.pruned],
        )
    for failure in failures:
        errors.print(f"failed: {failure}", style="bold red", highlight=False)
    if outcome.suppressed_rows:
        console.print(f"left out: {outcome.suppressed_rows:,} rows of people who were erased")
    if not outcome.new_rows and not failures:
        console.print("\nno changes: the sources had nothing that was not loaded before")
    console.print(
        f"\n{outcome.first_day} to {outcome.last_day} in {outcome.seconds:.1f} s "
        f"(run {outcome.run_id[:8]})\n"
        "Next: `make up` opens the Dagster UI; `analytics-assets psql` queries as the analyst;\n"
        "`analytics-assets run --sources FILE` loads your own data; docs/ has a page for each "
        "reader."
    )


def _incomplete_periods(start_day: date) -> list[str]:
    """Week and month the deployment starts in the middle of; they would count too few people."""
    week = Window.of_day(start_day).iso_weeks().start
    found = [] if week == start_day else [f"the week of {week}"]
    return found if start_day.day == 1 else [*found, f"the month {start_day:%Y-%m}"]


def _count(connection: psycopg.Connection[Any], schema: str, table: str) -> int:
    row = connection.execute(
        sql.SQL("select count(*) from {}").format(sql.Identifier(schema, table))
    ).fetchone()
    return int(row[0]) if row else 0


def _first_rows(
    connection: psycopg.Connection[Any], table: str
) -> tuple[list[str], list[list[Any]]]:
    cursor = connection.execute(
        sql.SQL("select * from {} order by 1, 2 limit {}").format(
            sql.Identifier("published", table), sql.Literal(FIRST_ROWS)
        )
    )
    columns = [column.name for column in cursor.description or ()]
    return columns, [
        [float(v) if hasattr(v, "as_tuple") else v for v in row] for row in cursor.fetchall()
    ]
