"""The release plan as data: which tables leave the platform, in which classes and periods.

Belongs here: what a plan is, and its form in ``ops.release_plan``. Does not: reading the file
(plan_files.py), its table (plan_store.py) or releasing (dbt/macros/release.sql). Invariant: a plan
that exists is closed and nested; a file that is not so is refused with file and line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

PLAN_FILE: Final = Path(__file__).with_name("plan.yaml")
# Calendar periods, fine to coarse, and the days between the end of one and its closing.
HOLD_BACK: Final[Mapping[str, int]] = MappingProxyType({"day": 3, "week": 5, "month": 7})
FLOOR: Final = 10  # a class has more people than this
ANY: Final = "any"
MOST_EPSILON: Final = 1.5  # of a person-week, over all tables


class PlanError(Exception):
    """The plan is wrong; ``problems`` names each as ``file:line: where: what``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Level:
    """How fine a value is told: as it is, in buckets of ``width``, or by its place in a tree.

    ``ends`` are the lowest and the highest bucket: what lies beyond counts as in them.
    ``values`` maps lower-case spellings to the one that is published, for the finest level of a
    tree; for its groups it maps published spellings to their group.
    """

    name: str
    width: int | None = None
    values: Mapping[str, str] | None = None
    ends: tuple[int, int] | None = None

    def entry(self) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "name": self.name,
            "width": self.width,
            "values": None if self.values is None else dict(self.values),
        }
        # Left out where there are none: a word more would make a new version of every table.
        return entry if self.ends is None else {**entry, "ends": list(self.ends)}


@dataclass(frozen=True)
class Dimension:
    """One column of the class. A mean's dimension is released, averaged over, and not shown."""

    name: str
    source: str
    type: str
    levels: tuple[Level, ...]
    line: int
    is_mean: bool = False


@dataclass(frozen=True)
class PlannedTable:
    """One released table.

    Without ``count_column`` every person of a class becomes a row. ``periods`` are released each
    for itself; of ``otherwise`` only those in which no finer period was. ``ladder`` maps, from fine
    to coarse, dimensions to the level they are told at; what a step leaves out is generalised away,
    and the last step leaves out all.
    """

    name: str
    description: str
    periods: tuple[str, ...]
    otherwise: tuple[str, ...]
    period_column: str
    kind_column: str | None
    count_column: str | None
    dimensions: tuple[Dimension, ...]
    ladder: tuple[Mapping[str, int], ...]
    sensitive: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reads: tuple[str, ...] | None = None  # retention classes; None: any
    keep_days: int | None = None
    epsilon: Decimal | None = None  # of its noise; None: the tree, with noise of people
    place: str = ""

    @property
    def schema(self) -> str:
        return self.name.partition(".")[0]

    @property
    def kinds(self) -> tuple[str, ...]:
        """All kinds of period it may hold, fine to coarse."""
        return (*self.periods, *self.otherwise)

    @property
    def shown(self) -> tuple[Dimension, ...]:
        """The dimensions that are columns of the table."""
        return tuple(dimension for dimension in self.dimensions if not dimension.is_mean)

    @property
    def means(self) -> tuple[Dimension, ...]:
        return tuple(dimension for dimension in self.dimensions if dimension.is_mean)

    @property
    def monthly(self) -> str | None:
        """Where sums of its days stand once the days are too old; None if days are kept."""
        return f"{self.name}_monthly" if self.keep_days and "day" in self.periods else None

    @property
    def column_types(self) -> dict[str, str]:
        """Columns of the table in their order, with Postgres types."""
        columns = {} if self.count_column else {"id": "uuid"}
        columns |= {self.period_column: "date"}
        if self.kind_column:
            columns[self.kind_column] = "text"
        columns |= {dimension.name: dimension.type for dimension in self.shown}
        columns |= {dimension.name: "numeric" for dimension in self.means}
        if self.count_column:
            columns[self.count_column] = "integer"
        return columns

    @property
    def laplace(self) -> dict[str, Any] | None:
        """How a table with an ``epsilon`` is told: its public buckets and the least total."""
        if self.epsilon is None:
            return None
        from analytics_assets.privacy.laplace import DELTA, least_total

        buckets = list(range(0, 101, self.means[0].levels[0].width or 1))
        return {
            "epsilon": str(self.epsilon),
            "delta": DELTA,
            "buckets": buckets,
            "least": least_total(Fraction(self.epsilon), len(buckets), FLOOR),
        }

    def entry(self) -> dict[str, Any]:
        """What ``ops.release_plan`` keeps of it and dbt and the guard read."""
        entry = {
            "periods": list(self.periods),
            "otherwise": list(self.otherwise),
            "hold_back": {kind: HOLD_BACK[kind] for kind in self.kinds},
            "floor": FLOOR,
            "period_column": self.period_column,
            "kind_column": self.kind_column,
            "count_column": self.count_column,
            "columns": list(self.column_types),
            "dimensions": [
                {
                    "name": dimension.name,
                    "from": dimension.source,
                    "type": dimension.type,
                    "mean": dimension.is_mean,
                    "levels": [level.entry() for level in dimension.levels],
                }
                for dimension in self.dimensions
            ],
            "ladder": [dict(step) for step in self.ladder],
            "sensitive": {name: list(given) for name, given in self.sensitive.items()},
            "reads": None if self.reads is None else list(self.reads),
            "keep_days": self.keep_days,
            "monthly": self.monthly,
        }
        return entry if self.epsilon is None else {**entry, "laplace": self.laplace}

    def places(self) -> dict[str, str]:
        """Where the table and its dimensions stand in the file, for messages."""
        file = self.place.rpartition(":")[0]
        return {"": self.place} | {d.name: f"{file}:{d.line}" for d in self.dimensions}


@dataclass(frozen=True)
class ReleasePlan:
    """All released tables by name."""

    tables: Mapping[str, PlannedTable]

    def __getitem__(self, name: str) -> PlannedTable:
        return self.tables[name]

    def readers_of(self, retention_class: str) -> tuple[tuple[str, str], ...]:
        """Table and kind of every release that is always made from rows of that class."""
        return tuple(
            (table.name, kind)
            for table in self.tables.values()
            if table.reads is None or retention_class in table.reads
            for kind in table.periods
        )


def load_plan(file: Path = PLAN_FILE) -> ReleasePlan:
    """The plan of a file. Raises PlanError with every problem, each with file and line."""
    from analytics_assets.privacy.plan_files import read_plan

    return read_plan(file)


def refuse_unmodelled(plan: ReleasePlan, project: Path) -> None:
    """Raise PlanError for tables that no model of the dbt project fills, which never close."""
    problems = [
        f"{table.place}: {table.name}: there is no model {file.relative_to(project)}; write it, "
        "or take the entry out"
        for table in plan.tables.values()
        if not (
            file := project / "models" / table.schema / f"{table.name.split('.')[1]}.sql"
        ).exists()
    ]
    if problems:
        raise PlanError(problems)


@cache
def shipped_plan() -> ReleasePlan:
    """The plan of this installation's ``plan.yaml``."""
    return load_plan()
