"""Released days past their time give way to sums of them by month.

Belongs here: which days, and asking the database for it. Does not: the sums (ops.roll_up_days in
store/sql/release_guard.sql), which are made from published rows and never from raw. Invariant:
whole months only, so that no sum is ever made twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from analytics_assets.privacy.plan_store import current_entries
from analytics_assets.store.database import Database


def roll_up(database: Database, now: datetime) -> dict[str, int]:
    """Roll up every table whose plan has ``keep_days``; months summed by table, where any were."""
    today = now.astimezone(UTC).date()
    with database.connect("analytics_pipeline") as connection:
        kept_from = {
            name: today - timedelta(days=entry["keep_days"])
            for name, entry in current_entries(connection).items()
            if entry["monthly"]
        }
    months: dict[str, int] = {}
    with database.connect("analytics_retention") as connection:
        for name, first in kept_from.items():
            row = connection.execute("select ops.roll_up_days(%s, %s)", [name, first]).fetchone()
            if row and row[0]:
                months[name] = row[0]
    return months
