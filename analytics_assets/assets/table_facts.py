"""Columns and descriptions of the tables that are assets, without loading SQLAlchemy.

Belongs here: reading ``tables.json`` and writing it from store/models. Does not: specs. Invariant:
the file says what the models say (tested); importing the models would add a sixth to the time in
which Dagster loads the definitions. ``python -m analytics_assets.assets.table_facts`` writes it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("tables.json")
TABLES = (
    "insights.analysis_cache",
    "insights.clusters",
    "insights.conversation_facets",
    "insights.daily_summary",
    "insights.metric_anomalies",
    "insights.payment_signals",
    "insights.return_predictions",
    "insights.success_metrics",
    "insights.feature_requests",
    "insights.friction_points",
    "insights.personas",
    "insights.segments",
    "insights.use_cases",
    "ops.event_schemas",
    "ops.privacy_reports",
    "ops.retention_floor",
    "ops.retention_log",
    "raw.conversations",
    "raw.messages",
    "raw.platform_events",
    "raw.rejected_events",
    "raw.servers",
    "raw.service_jobs",
    "raw.users",
)


@dataclass(frozen=True)
class ColumnFacts:
    """One column as its model declares it."""

    name: str
    type: str
    description: str | None
    nullable: bool


@dataclass(frozen=True)
class TableFacts:
    """One table as its model declares it."""

    description: str | None
    columns: tuple[ColumnFacts, ...]


def table_facts(schema: str, table: str) -> TableFacts:
    """What the file says of a table. Raises KeyError for one that is not in TABLES."""
    return _read()[f"{schema}.{table}"]


def facts_of_models() -> dict[str, TableFacts]:
    """What the models say; loads SQLAlchemy."""
    from analytics_assets.store.models import metadata

    return {
        name: TableFacts(
            metadata.tables[name].comment,
            tuple(
                ColumnFacts(
                    column.name, str(column.type).lower(), column.comment, bool(column.nullable)
                )
                for column in metadata.tables[name].columns
            ),
        )
        for name in TABLES
    }


@cache
def _read() -> dict[str, TableFacts]:
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        name: TableFacts(
            facts["description"], tuple(ColumnFacts(**column) for column in facts["columns"])
        )
        for name, facts in stored.items()
    }


def write() -> None:
    """Write the file anew, after a model has changed."""
    facts = {name: asdict(table) for name, table in facts_of_models().items()}
    FILE.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
