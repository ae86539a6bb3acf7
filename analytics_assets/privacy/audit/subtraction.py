"""Attacks that subtract: linked cells, nested cells, overlapping windows.

Belongs here: T4 (integer programs), T5, T6. Does not: statistics of noise. Invariant: the attacker
is given every non-empty leaf and the rule; only the numbers behind unpublished leaves are sought.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from analytics_assets.privacy.audit.outcome import Outcome, none_of
from analytics_assets.privacy.audit.placing import Placed
from analytics_assets.privacy.audit.released import (
    LEAST,
    NOISE_BOUND,
    Slot,
    Values,
)
from analytics_assets.privacy.plan import HOLD_BACK, PlannedTable
from analytics_assets.windows import next_month

FLOOR = LEAST - 1
MOST_SURCHARGE = 9
NARROW = 5
CONTRADICTIONS = 0.02
LIST_OF_PEOPLE = 5
ENOUGH_PERIODS = 10
MANY = 10_000_000  # as good as no bound


@dataclass(frozen=True)
class Sum:
    """What an attacker knows of some unpublished leaves: how many, and what they add up to.

    ``first_pool``: they are leaves of the finest step pooled once, of which at least one failed and
    others may have been taken in; otherwise only that each has somebody in it. ``most`` is the
    largest a single leaf can be.
    """

    leaves: int
    low: int
    high: int
    first_pool: bool
    most: int


@lru_cache(maxsize=100_000)
def bounds(known: Sum) -> tuple[int, int] | None:
    """Least and most people of one of the leaves (they are all alike); None if it cannot be.

    Two integer programs: leaf sizes x >= 1, and z = 1 for leaves taken in, which are 11 or more. No
    constant is larger than need be: the solver's tolerance times it would be people.
    """
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp

    k = known.leaves
    ones, none = np.ones(k), np.zeros(k)
    rows = [np.concatenate([ones, none])]
    lows: list[float] = [known.low]
    highs: list[float] = [known.high]
    if known.first_pool:
        # x <= 19 where it failed, x >= 11 where it was taken in, and somebody failed.
        for place in range(k):
            unit = np.eye(k)[place]
            rows += [
                np.concatenate([unit, -known.high * unit]),
                np.concatenate([unit, -LEAST * unit]),
            ]
            lows += [-np.inf, 0]
            highs += [FLOOR + MOST_SURCHARGE, np.inf]
        rows += [np.concatenate([none, ones]), np.concatenate([ones, -LEAST * ones])]
        lows += [0, FLOOR]
        highs += [k - 1, np.inf]
    constraints = LinearConstraint(np.array(rows), np.array(lows), np.array(highs))
    box = Bounds(
        np.concatenate([ones, none]),
        np.concatenate(
            [np.full(k, min(known.most, known.high)), ones if known.first_pool else none]
        ),
    )
    ends = []
    for sign in (1, -1):
        goal = np.zeros(2 * k)
        goal[0] = sign
        solved = milp(goal, constraints=constraints, bounds=box, integrality=np.ones(2 * k))
        if solved.x is None:
            return None
        ends.append(round(float(solved.x[0])))
    return ends[0], ends[1]


def linked_cells(placed: Mapping[str, Placed], *, most_classes: int = 60) -> list[Outcome]:
    """T4: unpublished classes of 10 people or fewer that the numbers pin, or nearly.

    Groups of one person a class or little more are left out: there the list of classes that are
    not empty, which the attacker is given, already says all.
    """
    exact = narrow = classes = 0
    for table in placed.values():
        step = linkable_step(table)
        for totals in (False, True):
            groups = [
                group
                for slot in table.people
                for group in _sums(table, slot, step, totals=totals)
                if len(group[0]) <= min(most_classes, max(2, group[1].high / 2))
            ]
            if totals and len(groups) < ENOUGH_PERIODS:
                continue
            classes += 0 if totals else sum(len(sizes) for sizes, _, _ in groups)
            exact += sum(
                size == held[0] == held[1] <= FLOOR
                for sizes, held in _consistent([(sizes, exactly) for sizes, exactly, _ in groups])
                for size in sizes
            )
            narrow += sum(
                held[0] <= size <= held[1] <= FLOOR
                for sizes, held in _consistent([(sizes, noisy) for sizes, _, noisy in groups])
                if held[1] - held[0] < NARROW
                for size in sizes
            )
    return [
        none_of("T4", "classes solved exactly", exact, classes),
        none_of("T4", "classes of 10 or fewer bounded within 5", narrow, classes),
    ]


def linkable_step(table: Placed) -> int:
    """The finest step whose classes, where not empty, have 5 people or more on average.

    Below it, a list of the classes that are not empty is a list of the people.
    """
    ladder = table.released.ladder
    last = len(table.released.plan.ladder) - 2
    for step in range(last):
        classes = {
            (slot, ladder.at(leaf, step)) for slot in table.people for leaf in table.leaves[slot]
        }
        if sum(table.people.values()) >= LIST_OF_PEOPLE * len(classes):
            return step
    return max(0, last)


def _consistent(
    groups: Sequence[tuple[list[int], Sum]],
) -> list[tuple[list[int], tuple[int, int]]]:
    """True sizes and bounds of every group; nothing where the numbers contradict this reading.

    So an attacker learns that numbers are not exact, and that what stands beside the others is
    their rest and not their total.
    """
    found = [(sizes, bounds(known)) for sizes, known in groups]
    possible = [(sizes, held) for sizes, held in found if held is not None]
    return possible if len(found) - len(possible) <= CONTRADICTIONS * len(found) else []


def _sums(table: Placed, slot: Slot, step: int, totals: bool) -> list[tuple[list[int], Sum, Sum]]:
    """Groups of unpublished classes: true sizes, and their sum taken for exact and with noise."""
    plan, ladder, cells = table.released.plan, table.released.ladder, table.cells_of(slot)
    hidden: dict[Values | None, dict[Values, int]] = defaultdict(lambda: defaultdict(int))
    for leaf, members in table.leaves[slot].items():
        home = table.homes[slot, leaf]
        if home is None or home[0] > step:
            at_home = None if home is None or totals else home[1]
            hidden[at_home][ladder.at(leaf, step)] += len(members)
    if totals:
        if table.released.root not in cells:
            return []
        unpublished = list(hidden[None].values())
        others = [n for values, n in cells.items() if values != table.released.root]
        rest = cells[table.released.root] - sum(others)
        off = NOISE_BOUND * (len(others) + 1)
        count = len(unpublished)
        if not count:
            return []
        return [
            (
                unpublished,
                Sum(count, rest, rest, False, FLOOR),
                Sum(count, max(rest - off, count), rest + off, False, MANY),
            )
        ]
    once = len(plan.ladder) == 2 and not plan.means  # noqa: PLR2004
    return [
        (
            list(group.values()),
            Sum(len(group), cells[home], cells[home], once, MANY),
            Sum(
                len(group),
                max(LEAST, cells[home] - NOISE_BOUND),
                cells[home] + NOISE_BOUND,
                once,
                MANY,
            ),
        )
        for home, group in hidden.items()
        if home is not None
    ]


def nested_cells(placed: Mapping[str, Placed]) -> Outcome:
    """T5: cells within cells that differ by 1 to 10 people, where numbers carry no noise."""
    close = pairs = 0
    for table in placed.values():
        kinds = table.released.plan.periods
        if len(kinds) < 2:  # noqa: PLR2004
            continue
        noisy = _is_noisy(table)
        larger = [slot for slot in table.people if slot.kind != kinds[0]]
        for slot in larger:
            inside = [
                other
                for other in table.people
                if kinds.index(other.kind) < kinds.index(slot.kind)
                and slot.period <= other.period < end_of(slot)
            ]
            for values in table.released.cells.get(slot, {}):
                whole = table.behind[slot, values]
                for other in inside:
                    part = table.behind.get((other, values), set())
                    if part and part <= whole:
                        pairs += 1
                        close += 0 < len(whole) - len(part) < LEAST and not noisy
    return none_of("T5", "nested cells 1 to 10 people apart, exact", close, pairs)


def _is_noisy(table: Placed) -> bool:
    cells = [n == people for _, _, n, people in table.certain_cells()]
    return len(cells) < ENOUGH_PERIODS or sum(cells) < 0.9 * len(cells)


def windows(placed: Mapping[str, Placed]) -> list[Outcome]:
    """T6: a week less its published days; weeks of person-days; windows off the calendar."""
    solved = tried = person_days = weeks = 0
    for table in placed.values():
        plan = table.released.plan
        if "day" not in plan.periods or "week" not in plan.periods:
            continue
        for slot in table.people:
            if slot.kind != "week":
                continue
            days = [Slot("day", slot.period + timedelta(days=number)) for number in range(7)]
            if any(day not in table.people for day in days):
                continue
            for values, n in table.released.cells.get(slot, {}).items():
                weeks += 1
                behind = table.behind[slot, values]
                person_days += n > max(LEAST, len(behind) + NOISE_BOUND)
                counts = [table.released.cells.get(day, {}).get(values) for day in days]
                if counts.count(None) != 1 or values == table.released.root:
                    continue
                tried += 1
                missing = days[counts.index(None)]
                guess = n - sum(count or 0 for count in counts)
                true = len(table.finest[missing].get(values, ()))
                solved += 0 < true == guess <= FLOOR
    plans = [table.released.plan for table in placed.values()]
    return [
        none_of("T6", "days of 10 or fewer solved from their week", solved, max(tried, weeks)),
        none_of("T6", "weeks that count person-days", person_days, weeks),
        windows_of_plan(plans),
    ]


def windows_of_plan(plans: list[PlannedTable]) -> Outcome:
    """T6: kinds of period that slide, overlap or are there twice."""
    strange = sum(len(plan.kinds) - len(set(plan.kinds) & set(HOLD_BACK)) for plan in plans)
    return none_of("T6", "windows off the calendar", strange, sum(len(p.kinds) for p in plans))


def end_of(slot: Slot) -> date:
    """The day after a slot's last."""
    if slot.kind == "month":
        return next_month(slot.period)
    return slot.period + timedelta(days=7 if slot.kind == "week" else 1)
