"""Reading a plan file: YAML in, ``ReleasePlan`` out, every mistake with file and line.

Belongs here: the shape of the file and what makes a plan unsafe. Does not: the model (plan.py) or
what the database makes of it. Invariant: a file is never half taken; all problems are reported
together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

from analytics_assets.events.yaml_nodes import Problem, Spot, compose_file, kind_of, value_of
from analytics_assets.privacy.column_names import is_forbidden_name
from analytics_assets.privacy.plan import (
    HOLD_BACK,
    MOST_EPSILON,
    PLAN_FILE,
    Dimension,
    Level,
    PlanError,
    PlannedTable,
    ReleasePlan,
)

KINDS: Final = tuple(HOLD_BACK)
FILE_KEYS: Final = ("hierarchies", "tables")
TABLE_KEYS: Final = (
    "description", "rows", "periods", "otherwise", "period_column", "kind_column", "count_column",
    "reads", "keep_days", "epsilon", "dimensions", "means", "sensitive",
    "ladder",
)  # fmt: skip
DIMENSION_KEYS: Final = ("from", "buckets", "hierarchy")
TABLE_NAME: Final = re.compile(r"(anonymous|published)\.[a-z][a-z0-9_]{0,40}")
COLUMN_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,60}")
CLASS_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
VALUE, GROUP = "value", "group"
LEAST_KEEP_DAYS: Final = 60
ENDS: Final = 2
Node = yaml.Node
Trees = Mapping[str, Mapping[str, str]]
NOT_CALENDAR: Final = (
    f"is not one of {', '.join(KINDS)}: only whole calendar periods nest. Windows that slide "
    "would show the few people by whom one differs from the next"
)


def read_plan(file: Path) -> ReleasePlan:
    """Raises PlanError with every problem of the file."""
    problems: list[Problem] = []
    label = file.name if file == PLAN_FILE else str(file)
    top = Spot(problems, label)
    root = compose_file(file, top)
    entries = (root and top.entries(root, known=FILE_KEYS, holds="hierarchies, tables")) or {}
    trees: dict[str, dict[str, str]] = {}
    if "hierarchies" in entries:
        spot, node = entries["hierarchies"]
        for name, tree in (spot.entries(node, holds="trees of values") or {}).items():
            trees[name] = _tree(*tree)
    tables: dict[str, PlannedTable] = {}
    if "tables" in entries:
        spot, node = entries["tables"]
        for name, (at, given) in (spot.entries(node, holds="released tables") or {}).items():
            table = _Table(name, at, given, trees).read()
            if table is not None:
                tables[name] = table
    elif root is not None:
        top.problem("'tables' is missing; it holds the released tables")
    if problems:
        raise PlanError([str(problem) for problem in sorted(problems, key=lambda p: p.line)])
    return ReleasePlan(MappingProxyType(tables))


def _tree(spot: Spot, node: Node) -> dict[str, str]:
    """Value to group. A value in two groups could not be generalised to one."""
    found: dict[str, str] = {}
    for group, (at, values) in (spot.entries(node, holds="groups of values") or {}).items():
        for value, line in _texts(at, values):
            other = next((known for known in found if known.lower() == value.lower()), None)
            if other is not None:
                at.problem(
                    f"{value!r} is in {found[other]!r} already: a ladder must be nested, so a "
                    "value has one group",
                    line=line,
                )
            found[value] = group
    return found


class _Table:
    """One entry while it is read."""

    def __init__(self, name: str, spot: Spot, node: Node, trees: Trees) -> None:
        self.name, self.spot, self.trees = name, spot, trees
        self.given = spot.entries(node, known=TABLE_KEYS, holds=", ".join(TABLE_KEYS)) or {}

    def read(self) -> PlannedTable | None:
        before = len(self.spot.problems)
        if not TABLE_NAME.fullmatch(self.name):
            self.spot.problem(
                f"{self.name!r} is no table to release to: it is anonymous.<name> or "
                "published.<name>, in lower-case letters, digits and '_'"
            )
        as_people = self._text("rows", "counts") == "people"
        if not as_people and self._text("rows", "counts") != "counts":
            self._at("rows").problem("must be counts (a row per class) or people (per person)")
        periods, otherwise = self._kinds("periods"), self._kinds("otherwise")
        self._check_periods(periods, otherwise)
        kind_column = self._text("kind_column", None)
        if kind_column is None and len(periods) > 1:
            self.spot.problem("'kind_column' is missing; it tells days, weeks and months apart")
        dimensions = (
            *self._dimensions("dimensions", is_mean=False),
            *self._dimensions("means", is_mean=True),
        )
        table = PlannedTable(
            name=self.name,
            description=self._text("description", "") or "",
            periods=periods,
            otherwise=otherwise,
            period_column=self._text("period_column", "period") or "",
            kind_column=kind_column,
            count_column=None if as_people else self._text("count_column", "n_people"),
            dimensions=dimensions,
            ladder=self._ladder({d.name: d for d in dimensions}),
            sensitive=self._sensitive({d.name: d for d in dimensions}),
            reads=self._reads(),
            keep_days=self._keep_days(),
            epsilon=self._epsilon(periods, dimensions),
            place=self.spot.place,
        )
        self._check_columns(table, as_people=as_people)
        return table if len(self.spot.problems) == before else None

    def _at(self, key: str) -> Spot:
        return self.given[key][0] if key in self.given else self.spot

    def _text(self, key: str, default: str | None) -> str | None:
        if key not in self.given:
            return default
        spot, node = self.given[key]
        return spot.text(node)

    def _kinds(self, key: str) -> tuple[str, ...]:
        if key not in self.given:
            return ()
        spot, node = self.given[key]
        found: list[str] = []
        for kind, line in _texts(spot, node):
            if kind not in KINDS:
                spot.problem(f"{kind!r} {NOT_CALENDAR}", line=line)
            elif kind in found:
                spot.problem(f"{kind!r} is here twice: a period is released once", line=line)
            else:
                found.append(kind)
        return tuple(sorted(found, key=KINDS.index))

    def _check_periods(self, periods: tuple[str, ...], otherwise: tuple[str, ...]) -> None:
        if "periods" not in self.given:
            self.spot.problem(f"'periods' is missing; it lists some of {', '.join(KINDS)}")
        if periods and otherwise and KINDS.index(otherwise[0]) <= KINDS.index(periods[-1]):
            self._at("otherwise").problem(
                f"{otherwise[0]!r} is no coarser than {periods[-1]!r}: it is for those whom no "
                "finer period tells of"
            )

    def _dimensions(self, key: str, *, is_mean: bool) -> tuple[Dimension, ...]:
        if key not in self.given:
            return ()
        spot, node = self.given[key]
        found = []
        for name, (at, given) in (spot.entries(node, holds="columns") or {}).items():
            options = at.entries(given, known=DIMENSION_KEYS, holds="from, buckets, hierarchy")
            if options is None:
                continue
            source = name
            if "from" in options:
                source = options["from"][0].text(options["from"][1]) or name
            if is_forbidden_name(source):
                at.problem(f"{source!r} may not leave the platform, nor anything made from it")
            if not COLUMN_NAME.fullmatch(source):
                at.problem(f"{source!r} is no column of a model: lower case, digits and '_'")
            levels, kind = self._levels(at, options)
            if is_mean and kind != "integer":
                at.problem("'buckets' is missing: a mean is that of released counts by bucket")
            found.append(Dimension(name, source, kind, levels, at.line, is_mean))
        return tuple(found)

    def _levels(
        self, at: Spot, options: Mapping[str, tuple[Spot, Node]]
    ) -> tuple[tuple[Level, ...], str]:
        if "buckets" in options and "hierarchy" in options:
            at.problem("has buckets or a hierarchy, not both")
        if "buckets" in options:
            return _buckets(*options["buckets"]), "integer"
        if "hierarchy" in options:
            spot, node = options["hierarchy"]
            tree = self.trees.get(spot.text(node) or "")
            if tree is None:
                spot.problem("is not one of the hierarchies of this file")
                tree = {}
            return (
                Level(VALUE, values={value.lower(): value for value in tree}),
                Level(GROUP, values=dict(tree)),
            ), "text"
        return (Level(VALUE),), "text"

    def _ladder(self, dimensions: Mapping[str, Dimension]) -> tuple[Mapping[str, int], ...]:
        steps: list[dict[str, int]] = []
        if "ladder" in self.given:
            spot, node = self.given["ladder"]
            if isinstance(node, yaml.SequenceNode):
                for number, step in enumerate(node.value):
                    steps.append(self._step(spot, step, number, steps[-1:], dimensions))
            else:
                spot.problem(f"must be a list of steps, fine to coarse, not {kind_of(node)}")
        elif dimensions:
            self.spot.problem("'ladder' is missing; its first step tells every dimension")
        if steps:
            for name in dimensions.keys() - steps[0].keys():
                self._at("ladder").problem(f"no step tells {name!r}; the first must tell all")
        while steps and not steps[-1]:
            steps.pop()
        return (*steps, {})

    def _step(
        self,
        spot: Spot,
        node: Node,
        number: int,
        before: list[dict[str, int]],
        dimensions: Mapping[str, Dimension],
    ) -> dict[str, int]:
        at = Spot(spot.problems, spot.file, f"{spot.path}[{number + 1}]", node.start_mark.line + 1)
        step: dict[str, int] = {}
        for name, (where, given) in (at.entries(node, holds="dimension: level") or {}).items():
            dimension = dimensions.get(name)
            if dimension is None:
                where.problem(f"there is no dimension {name!r}; there are {', '.join(dimensions)}")
                continue
            names = [level.name for level in dimension.levels]
            level = str(value_of(given))
            if level not in names:
                where.problem(f"{level!r} is no level of it; these are: {', '.join(names)}")
                continue
            step[name] = names.index(level)
            if before and (name not in before[0] or before[0][name] > step[name]):
                where.problem(
                    "the step before tells it coarser or not at all: a ladder must be nested, "
                    "each step a generalisation of the one before"
                )
        if before and step == before[0]:
            at.problem("is the step before once more")
        return step

    def _sensitive(self, dimensions: Mapping[str, Dimension]) -> dict[str, tuple[str, ...]]:
        if "sensitive" not in self.given:
            return {}
        spot, node = self.given["sensitive"]
        shown = [name for name, dimension in dimensions.items() if not dimension.is_mean]
        found: dict[str, tuple[str, ...]] = {}
        for name, (at, given) in (spot.entries(node, known=shown, holds="columns") or {}).items():
            known = [(other, line) for other, line in _texts(at, given)]
            for other, line in known:
                if other not in shown or other == name:
                    at.problem(f"{other!r} is no other dimension", line=line)
            found[name] = tuple(other for other, _ in known)
        return found

    def _reads(self) -> tuple[str, ...] | None:
        if "reads" not in self.given:
            self.spot.problem(
                "'reads' is missing; it lists the retention classes the model is made from, or is "
                "all: a period whose rows were pruned in part is withheld"
            )
            return None
        spot, node = self.given["reads"]
        if isinstance(node, yaml.ScalarNode) and node.value == "all":
            return None
        for name, line in (found := _texts(spot, node)):
            if not CLASS_NAME.fullmatch(name):
                spot.problem(f"{name!r} is no retention class", line=line)
        return tuple(name for name, _ in found)

    def _keep_days(self) -> int | None:
        if "keep_days" not in self.given:
            return None
        spot, node = self.given["keep_days"]
        days = value_of(node)
        if isinstance(days, bool) or not isinstance(days, int) or days < LEAST_KEEP_DAYS:
            spot.problem(f"must be a number of days, at least {LEAST_KEEP_DAYS}")
            return None
        return days

    def _epsilon(
        self, periods: tuple[str, ...], dimensions: tuple[Dimension, ...]
    ) -> Decimal | None:
        if "epsilon" not in self.given:
            return None
        spot, node = self.given["epsilon"]
        given = value_of(node)
        if (
            isinstance(given, bool)
            or not isinstance(given, int | float)
            or not 0 < given <= MOST_EPSILON
        ):
            spot.problem(f"must be a number above 0, at most {MOST_EPSILON}, such as 0.5")
            return None
        if periods != ("week",) or "otherwise" in self.given:
            spot.problem("only a table of weeks alone is told with it: a person-week is its unit")
        if [dimension.is_mean for dimension in dimensions] != [True]:
            spot.problem(
                "only a table of one mean and no dimensions is told with it: its buckets are "
                "public, while classes of a tree say by being there that people are in them"
            )
        return Decimal(str(given))

    def _check_columns(self, table: PlannedTable, *, as_people: bool) -> None:
        if as_people and (table.means or table.kind_column or "count_column" in self.given):
            self.spot.problem("rows of people have no means, no kind_column and no count_column")
        lines = {dimension.name: dimension.line for dimension in table.dimensions}
        names = [name for name in table.column_types if name != "id" or table.count_column]
        for name in names:
            if not COLUMN_NAME.fullmatch(name):
                self.spot.problem(f"{name!r} is no column's name", line=lines.get(name))
            elif is_forbidden_name(name):
                self.spot.problem(
                    f"column {name!r} may not be released: its name says that it could tell a "
                    "person from others",
                    line=lines.get(name),
                )
        expected = len(table.dimensions) + 1 + sum(map(bool, (table.kind_column,)))
        if len(set(names)) != expected + bool(table.count_column):
            self.spot.problem("two of its columns have one name")


def _buckets(spot: Spot, node: Node) -> tuple[Level, ...]:
    levels: list[Level] = []
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        spot.problem(f"must be a list of widths, fine to coarse, not {kind_of(node)}")
        return (Level("1", width=1),)
    for item in node.value:
        width, ends = _width(spot, item)
        line = item.start_mark.line + 1
        if isinstance(width, bool) or not isinstance(width, int) or width < 1 or 100 % width:
            spot.problem(f"{kind_of(item)} is no width that divides 100", line=line)
            continue
        if ends is not None and not (
            levels
            and len(ends) == ENDS
            and all(isinstance(end, int) and end % width == 0 for end in ends)
            and 0 <= ends[0] < ends[1] <= 100 - width
        ):
            spot.problem(
                f"ends are the lowest and the highest bucket of {width}, such as "
                f"[{width}, {100 - 2 * width}]; the finest buckets have none",
                line=line,
            )
            continue
        last = levels[-1].width if levels else None
        if last is not None and (width <= last or width % last):
            spot.problem(
                f"buckets of {width} do not hold whole buckets of {last}: a ladder must be nested",
                line=line,
            )
        levels.append(
            Level(str(width), width=width, ends=None if ends is None else (ends[0], ends[1]))
        )
    return tuple(levels) or (Level("1", width=1),)


def _width(spot: Spot, item: Node) -> tuple[Any, list[Any] | None]:
    """A width, or `{width: ..., ends: [..., ...]}`."""
    if not isinstance(item, yaml.MappingNode):
        return value_of(item), None
    known = spot.entries(item, known=("width", "ends"), holds="width, ends") or {}
    ends = known["ends"][1] if "ends" in known else None
    return (
        value_of(known["width"][1]) if "width" in known else None,
        [value_of(end) for end in ends.value] if isinstance(ends, yaml.SequenceNode) else [],
    )


def _texts(spot: Spot, node: Node) -> list[tuple[str, int]]:
    """The texts of a list, with their lines."""
    if not isinstance(node, yaml.SequenceNode):
        spot.problem(f"must be a list, not {kind_of(node)}")
        return []
    found = []
    for item in node.value:
        text = spot.text(item)
        if text is not None:
            found.append((text, item.start_mark.line + 1))
    return found
