"""What anybody may read: the released cells, and how the public plan says they were made.

Belongs here: reading as ``analytics_reader``, and placing a leaf on the public ladder. Does not:
attacks, the truth. Invariant: nothing here needs more than the reader's rights and the plan file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from itertools import chain, combinations
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from analytics_assets.privacy.plan import ANY, Dimension, PlannedTable, ReleasePlan
from analytics_assets.store.database import qualified

NOISE_BOUND = 6
LEAST = 11
Values = tuple[Any, ...]
Leaf = tuple[Any, ...]


class Slot(NamedTuple):
    """A period of a table. Without a column for its kind, a reader sees the kind as empty."""

    kind: str
    period: date


@dataclass
class ReleasedTable:
    """The cells of one table: by slot, counts by the values of its shown dimensions."""

    plan: PlannedTable
    cells: dict[Slot, dict[Values, int]] = field(default_factory=lambda: defaultdict(dict))
    means: dict[Slot, dict[Values, tuple[float | None, ...]]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    @cached_property
    def ladder(self) -> Ladder:
        return Ladder(self.plan)

    @cached_property
    def root(self) -> Values:
        """The cell that tells nothing."""
        return tuple(untold(dimension) for dimension in self.plan.shown)


Released = Mapping[str, ReleasedTable]


def read_released(
    connection: psycopg.Connection[Any],
    plan: ReleasePlan,
    tables: Collection[str] | None = None,
    since: date | None = None,
    until: date | None = None,
) -> dict[str, ReleasedTable]:
    """Every cell that stands in the plan's tables (or in ``tables``), of a span of days."""
    found = {}
    for table in plan.tables.values():
        if tables is not None and table.name not in tables:
            continue
        released = ReleasedTable(table)
        shown = [sql.Identifier(dimension.name) for dimension in table.shown]
        means = [sql.Identifier(dimension.name) for dimension in table.means]
        period = sql.Identifier(table.period_column)
        kind = sql.Identifier(table.kind_column) if table.kind_column else sql.Literal("")
        keys = [period, *([kind] if table.kind_column else []), *shown]
        rows = connection.execute(
            sql.SQL(
                "select {columns}, {count}{means} from {table} where {period} >= {since} "
                "and {period} < {until} group by {keys}"
            ).format(
                columns=sql.SQL(", ").join([period, kind, *shown]),
                count=sql.SQL("sum({})::bigint").format(sql.Identifier(table.count_column))
                if table.count_column
                else sql.SQL("count(*)"),
                means=sql.SQL("").join(sql.SQL(", min({})").format(mean) for mean in means),
                table=qualified(table.name),
                period=period,
                since=sql.Literal(since or date.min),
                until=sql.Literal(until or date.max),
                keys=sql.SQL(", ").join(keys),
            )
        )
        only = table.kinds[0] if len(table.kinds) == 1 else ""
        for row in rows.fetchall():
            slot = Slot(row[1] or only, row[0])
            values = tuple(row[2 : 2 + len(shown)])
            released.cells[slot][values] = int(row[2 + len(shown)])
            if means:
                released.means[slot][values] = tuple(
                    None if mean is None else float(mean) for mean in row[3 + len(shown) :]
                )
        found[table.name] = released
    return found


def untold(dimension: Dimension) -> str | None:
    """What stands where a dimension is generalised away."""
    return ANY if dimension.type == "text" else None


def finest(dimension: Dimension, value: Any) -> Any:
    """A raw value as the finest level tells it."""
    level = dimension.levels[0]
    if level.width:
        if value is None:
            return None
        return int(min(max(float(value), 0), 100)) // level.width * level.width
    if value is None:
        return "none"
    return (level.values or {}).get(str(value).lower(), str(value))


def at_level(dimension: Dimension, value: Any, number: int) -> Any:
    """A finest value at a coarser level."""
    level = dimension.levels[number]
    if number == 0 or value is None:
        return value
    if level.width:
        bucket = value // level.width * level.width
        return bucket if level.ends is None else min(level.ends[1], max(level.ends[0], bucket))
    return value if value in ("none", ANY) else (level.values or {}).get(value, "other")


class Ladder:
    """A table's public ladder, ready to place many leaves on."""

    def __init__(self, table: PlannedTable) -> None:
        self.table = table
        self.shown = table.shown
        self._untold = [untold(dimension) for dimension in self.shown]
        places = {dimension.name: place for place, dimension in enumerate(self.shown)}
        # By step: of every shown dimension its position in a leaf and its level, if told.
        self._steps = [
            [
                (position, dimension, step.get(dimension.name))
                for position, dimension in enumerate(table.dimensions)
                if not dimension.is_mean
            ]
            for step in table.ladder
        ]
        sensitive = [places[name] for name in table.sensitive if name in places]
        self._gates = list(
            chain.from_iterable(
                combinations(sensitive, size) for size in range(1, len(sensitive) + 1)
            )
        )
        self._known: dict[tuple[int, Leaf], Values] = {}

    def at(self, leaf: Leaf, number: int) -> Values:
        """A leaf's shown values at a step."""
        found = self._known.get((number, leaf))
        if found is None:
            found = self._known[number, leaf] = tuple(
                nothing if level is None else at_level(dimension, leaf[position], level)
                for (position, dimension, level), nothing in zip(
                    self._steps[number], self._untold, strict=True
                )
            )
        return found

    def homes(self, leaf: Leaf, cells: Collection[Values]) -> list[tuple[int, Values]]:
        """The cells a leaf's people may stand in, with their steps, from fine to coarse.

        A leaf that stands by itself stands nowhere else. Of any other, each coarser class of it
        that is there may hold it, since a pool takes in classes from anywhere beneath it, and a
        gate may have taken a sensitive value away.
        """
        found: dict[Values, int] = {}
        for number in range(len(self._steps)):
            values = self.at(leaf, number)
            if values in cells:
                found.setdefault(values, number)
                if number == 0 and not self.table.means:
                    break
            for places in self._gates:
                gated = list(values)
                for place in places:
                    gated[place] = self._untold[place]
                if tuple(gated) in cells:
                    found.setdefault(tuple(gated), number)
        return [(number, values) for values, number in found.items()]
