"""What passed the gate about groups: personas, use cases, friction points, feature requests.

Belongs here: reading those tables. Does not: making them (facet_groups.py, personas.py). Invariant:
a row of 10 people or fewer is never returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.insights.floor import FLOOR_PEOPLE

# Table -> its column of time, and the column that names the group.
_TABLES: Final = {
    "personas": ("month", "persona"),
    "use_cases": ("as_of_day", "label"),
    "friction_points": ("as_of_day", "label"),
    "feature_requests": ("as_of_day", "label"),
}


@dataclass(frozen=True)
class Group:
    """One group of the newest day or month that has any; ``share_of``: people or conversations."""

    name: str
    description: str
    people: int
    conversations: int
    share: float | None
    low: float | None
    high: float | None
    share_of: str = ""


def groups(conn: psycopg.Connection[Any], table: str, before: date) -> list[Group]:
    """The groups of ``table`` as they stood before a day, the largest first."""
    period, name = _TABLES[table]
    query = sql.SQL(
        "select to_jsonb(t) from {table} as t where {period} = "
        "(select max({period}) from {table} where {period} < %s) and n_people >= %s "
        "order by n_people desc, {name}"
    ).format(
        table=sql.Identifier("insights", table),
        period=sql.Identifier(period),
        name=sql.Identifier(name),
    )
    return [
        Group(
            str(found[name]),
            str(found.get("description") or ""),
            int(found["n_people"]),
            int(found.get("n_conversations") or 0),
            found.get("share"),
            found.get("share_low"),
            found.get("share_high"),
            str(found.get("share_of") or ""),
        )
        for (found,) in conn.execute(query, [before, FLOOR_PEOPLE])
    ]
