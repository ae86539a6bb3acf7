"""The tree of a release once more, person by person, to compare with what SQL made of the same.

Belongs here: the rule as it is written down, as plainly as can be. Does not: SQL, or speed.
Invariant: nothing is taken from the macros but the meaning of a cell key's bits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Any

Row = tuple[Any, ...]


@dataclass
class Unit:
    """People who are told of together, by where each would stand at every step."""

    step: int
    steps: Sequence[Row]
    keys: list[int]
    stands: bool

    @property
    def n(self) -> int:
        return len(self.keys)

    @property
    def key(self) -> int:
        return reduce(xor, self.keys)


def surcharge(key: int) -> int:
    return (key % 4096) * 10 // 4096


def to_hide(key: int) -> int:
    return 10 + ((key >> 24) % 4096) * 10 // 4096


def noise(key: int, weights: Sequence[int]) -> int:
    """Weights of -6, -5, ... 6 in 4,096 parts."""
    left = (key >> 12) % 4096
    for people, weight in enumerate(weights):
        if left < weight:
            return people - 6
        left -= weight
    raise AssertionError("weights add up to 4,096")


def published(n: int, key: int, weights: Sequence[int]) -> int:
    return max(11, n + noise(key, weights))


def open_groups(
    people: Sequence[tuple[Sequence[Row], int]],
    weights: Sequence[int],
    sensitive: int,
    given: Sequence[int],
    step: int,
) -> set[Row]:
    """Groups alike in what others may know in which a step tells three values or more, none of
    them of more than 80 %; as far as values stand as a class does."""
    told: dict[Row, dict[Any, list[int]]] = defaultdict(lambda: defaultdict(list))
    for steps, key in people:
        row = steps[step]
        if row[sensitive] is not None:
            told[_known(row, given)][row[sensitive]].append(key)
    found = set()
    for known, values in told.items():
        counts = [
            published(len(keys), reduce(xor, keys), weights)
            for keys in values.values()
            if len(keys) >= 11 + surcharge(reduce(xor, keys))
        ]
        if len(counts) >= 3 and max(counts) <= 0.8 * sum(counts):
            found.add(known)
    return found


def _known(row: Row, given: Sequence[int]) -> Row:
    return tuple(row[column] for column in given)


def _without(row: Row, column: int) -> Row:
    return (*row[:column], None, *row[column + 1 :])


def grow(
    people: Iterable[tuple[Sequence[Row], int]],
    weights: Sequence[int],
    sensitive: int,
    given: Sequence[int],
) -> list[Unit]:
    """The units that stand in the end; people come with their row at each step and their key.

    Before that the gate: a value that the last step to tell it may not tell is told at none, and
    at no step stands a class whose group is closed there.
    """
    everybody = list(people)
    telling = [
        step
        for step in range(len(everybody[0][0]))
        if any(steps[step][sensitive] is not None for steps, _ in everybody)
    ]
    last = telling[-1]
    opened = open_groups(everybody, weights, sensitive, given, last)
    everybody = [
        (steps, key)
        if _known(steps[last], given) in opened
        else ([_without(row, sensitive) for row in steps], key)
        for steps, key in everybody
    ]
    groups = {
        step: open_groups(everybody, weights, sensitive, given, step) for step in telling
    }

    def may_stand(steps: Sequence[Row], step: int) -> bool:
        row = steps[step]
        return row[sensitive] is None or _known(row, given) in groups[step]

    leaves: dict[Row, list[tuple[Sequence[Row], int]]] = defaultdict(list)
    for steps, key in everybody:
        leaves[steps[0]].append((steps, key))
    units = [_unit(0, group[0][0], [key for _, key in group]) for group in leaves.values()]
    for unit in units:
        unit.stands = unit.stands and may_stand(unit.steps, 0)
    for step in range(1, len(units[0].steps)):
        by_class: dict[Row, list[Unit]] = defaultdict(list)
        for unit in units:
            by_class[unit.steps[step]].append(unit)
        units = [
            after
            for group in by_class.values()
            for after in _pool(group, step, closed=not may_stand(group[0].steps, step))
        ]
    return [unit for unit in units if unit.stands]


def _unit(step: int, steps: Sequence[Row], keys: list[int]) -> Unit:
    unit = Unit(step, steps, keys, stands=False)
    unit.stands = unit.n >= 11 + surcharge(unit.key)
    return unit


def _pool(group: list[Unit], step: int, *, closed: bool) -> list[Unit]:
    failing = [unit for unit in group if not unit.stands]
    standing = sorted((u for u in group if u.stands), key=lambda unit: (unit.n, _signed(unit.key)))
    if not failing:
        return standing
    pool = _unit(step, group[0].steps, [key for unit in failing for key in unit.keys])
    if closed:
        pool.stands = False
    if closed or pool.stands:
        return [*standing, pool]
    slack, least = pool.n, to_hide(pool.key)
    while standing and (not pool.stands or slack < least):
        taken = standing.pop(0)
        slack += taken.n - 11
        pool = Unit(step, pool.steps, pool.keys + taken.keys, stands=True)
    return [*standing, pool]


def _signed(key: int) -> int:
    return key - 2**64 if key >= 2**63 else key


def released(
    units: Iterable[Unit],
    weights: Sequence[int],
    sensitive: int,
    given: Sequence[int],
    row: Callable[[Unit], Row] = lambda unit: unit.steps[unit.step],
) -> Counter[Row]:
    """Rows with their published counts; ``sensitive`` and ``given`` are columns of a row."""
    keys: dict[Row, list[int]] = defaultdict(list)
    for unit in units:
        keys[row(unit)] += unit.keys
    told: dict[Row, Counter[Any]] = defaultdict(Counter)
    for values, group in keys.items():
        if values[sensitive] is not None:
            known = tuple(values[column] for column in given)
            told[known][values[sensitive]] += published(len(group), reduce(xor, group), weights)
    gated: dict[Row, list[int]] = defaultdict(list)
    for values, group in keys.items():
        counts = told[tuple(values[column] for column in given)]
        if len(counts) < 3 or max(counts.values()) > 0.8 * counts.total():
            values = (*values[:sensitive], None, *values[sensitive + 1 :])
        gated[values] += group
    return Counter(
        {values: published(len(group), reduce(xor, group), weights) for values, group in gated.items()}
    )
