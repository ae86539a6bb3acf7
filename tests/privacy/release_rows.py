"""Rows for the released tables, put in as the release would put them, and as it must not.

Invariant: everything here acts as the pipeline's role unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

DAY, WEEK, MONTH = date(2026, 5, 6), date(2026, 5, 4), date(2026, 5, 1)
EVENT_CLASS: dict[str, Any] = {
    "event_type": "profile_analyzed",
    "archetype": "builder",
    "activity_score_bucket": 70,
    "collab_score_bucket": 40,
    "diversity_score_bucket": 50,
    "ai_savviness_bucket": 60,
    "ai_percentage_bucket": None,
    "top_languages": "Python",
    "tools_detected": "any",
    "template_used": "any",
}
# table: period column, kind, period, class, count column, means
SHAPES: dict[str, tuple[str, str, date, dict[str, Any], str | None, dict[str, float]]] = {
    "anonymous.analytics_events": ("created_at", "day", DAY, EVENT_CLASS, None, {}),
    "published.ai_usage_trends": (
        "week", "week", WEEK, {}, "analyses_count", {"avg_ai_percentage": 37.25},
    ),
    "published.archetype_distribution": (
        "period", "month", MONTH, {"archetype": "builder"}, "count", {"avg_ai_score": 61.5},
    ),
    "published.event_trends": (
        "period", "week", WEEK,
        {"event_category": "registry", "event_type": "server_installed"}, "n_people", {},
    ),
    "published.install_trends": ("period", "week", WEEK, {"server_id": "pg"}, "n_people", {}),
    "published.search_trends": ("period", "month", MONTH, {"query": "etl"}, "n_people", {}),
    "published.use_cases": (
        "period", "week", WEEK, {"topic": "debugging", "task": "fix"}, "n_people", {},
    ),
    "published.feature_requests": (
        "period", "week", WEEK, {"feature_request": "collaboration"}, "n_people", {},
    ),
    "published.friction_points": (
        "period", "month", MONTH, {"friction": "slow", "topic": "any"}, "n_people", {},
    ),
    "published.personas": (
        "period", "month", MONTH, {"persona": "debugging", "segment": "new"}, "n_people", {},
    ),
}  # fmt: skip
Connection = psycopg.Connection[Any]


def count_class(
    connection: Connection,
    table: str,
    n_people: int,
    *,
    n_published: int | None = None,
    **changes: Any,
) -> None:
    """What the release does first: put the exact count and the one to publish into the vault."""
    _, kind, period, dimensions, _, means = SHAPES[table]
    connection.execute(
        """
        insert into vault.release_counts
        (release_table, period_kind, period, dimensions, n_people, measures, n_published)
        values (%s, %s, %s, %s, %s, %s, %s)
        """,
        [
            table,
            kind,
            period,
            Jsonb({**dimensions, **changes}),
            n_people,
            Jsonb(means),
            n_people if n_published is None else n_published,
        ],
    )


def insert_class(connection: Connection, table: str, n_people: int, **changes: Any) -> None:
    """What it does next: one row with the count, or a row per person."""
    values, count = row_of(table, n_people, **changes)
    connection.execute(
        sql.SQL("insert into {} ({}) select {} from generate_series(1, {})").format(
            sql.Identifier(*table.split(".")),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(map(sql.Literal, values.values())),
            sql.Literal(count),
        )
    )


def row_of(table: str, n_people: int, **changes: Any) -> tuple[Mapping[str, Any], int]:
    """The row of a class, and how many times it stands in the table."""
    period_column, kind, period, dimensions, count_column, means = SHAPES[table]
    values: dict[str, Any] = {period_column: period, **dimensions, **means}
    if "period" in values and table != "published.archetype_distribution":
        values["period_kind"] = kind
    if count_column is None:
        return {**values, **changes}, n_people
    return {**values, count_column: n_people, **changes}, 1


def close_period(connection: Connection, table: str, classes: int, people: int) -> None:
    """What it does last: close the period in the ledger."""
    _, kind, period, *_ = SHAPES[table]
    connection.execute(
        """
        insert into ops.release_ledger
        (release_table, period_kind, period, state, released_classes, released_people, plan_version)
        values (%s, %s, %s, %s, %s, %s, 'test')
        """,
        [table, kind, period, "closed" if classes else "withheld", classes, people],
    )


def release_class(connection: Connection, table: str, n_people: int) -> None:
    """All three."""
    count_class(connection, table, n_people)
    insert_class(connection, table, n_people)
    close_period(connection, table, 1, n_people)
