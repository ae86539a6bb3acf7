"""Hand-made rows for zone ``raw``, put in as the loader would put them.

Invariant: a row's ``day`` is the UTC date of its own time, and its partition is made on demand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb


class RawRows:
    """Puts rows into ``raw`` as the loader would, making day partitions as needed."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def events(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert events; each needs event_type, event_category and timestamp."""
        for row in rows:
            self.event_partition(row["event_category"], row["timestamp"].date())
            self._insert("raw.platform_events", row, "timestamp", event_id=True)

    def table(self, name: str, rows: Sequence[Mapping[str, Any]], moment: str) -> None:
        """Insert into a raw table partitioned by the UTC day of its column ``moment``."""
        for row in rows:
            self.day_partition(name, row[moment].date())
            self._insert(f"raw.{name}", row, moment)

    def history(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert into raw.users or raw.servers."""
        for row in rows:
            self._insert(f"raw.{name}", row, None)

    def event_partition(self, category: str, day: date) -> None:
        parent = f"platform_events_{category}"
        self.connection.execute(
            sql.SQL(
                "create table if not exists raw.{} partition of raw.platform_events "
                "for values in ({}) partition by range (day)"
            ).format(sql.Identifier(parent), sql.Literal(category))
        )
        self.day_partition(parent, day)

    def day_partition(self, parent: str, day: date) -> None:
        self.connection.execute(
            sql.SQL(
                "create table if not exists raw.{} partition of raw.{} for values from ({}) to ({})"
            ).format(
                sql.Identifier(f"{parent}_{day:%Y%m%d}"),
                sql.Identifier(parent),
                sql.Literal(day.isoformat()),
                sql.Literal(date.fromordinal(day.toordinal() + 1).isoformat()),
            )
        )

    def drop_events_of(self, category: str, day: date) -> None:
        """Prune one day of a category as retention does: floor first, then the drop."""
        self.raise_floor(category, day)
        self.connection.execute(
            sql.SQL("drop table raw.{}").format(
                sql.Identifier(f"platform_events_{category}_{day:%Y%m%d}")
            )
        )

    def raise_floor(self, category: str, day: date) -> None:
        """Say that raw is whole only after that day."""
        self.connection.execute(
            """
            insert into ops.retention_floor (event_category, kept_from) values (%s, %s)
            on conflict (event_category) do update set kept_from = excluded.kept_from
            """,
            [category, date.fromordinal(day.toordinal() + 1)],
        )

    def _insert(
        self, table: str, row: Mapping[str, Any], moment: str | None, *, event_id: bool = False
    ) -> None:
        values = {"source": "test", **row}
        if moment is not None:
            values["day"] = row[moment].astimezone(UTC).date()
        values = {k: Jsonb(v) if isinstance(v, dict) else v for k, v in values.items()}
        names = list(values)
        expressions: list[sql.Composable] = [sql.Placeholder()] * len(names)
        if event_id and "event_id" not in values:
            names.append("event_id")
            expressions.append(sql.SQL("gen_random_uuid()"))
        self.connection.execute(
            sql.SQL("insert into {} ({}) values ({})").format(
                sql.Identifier(*table.split(".")),
                sql.SQL(", ").join(map(sql.Identifier, names)),
                sql.SQL(", ").join(expressions),
            ),
            list(values.values()),
        )
