"""Attacks that link what is known of a person to a cell: singling out, inference, rare values.

Belongs here: T3, T9, T10, T14. Does not: identifiers (access.py). Invariant: the attacker knows of
a target the day and what the plan says others may know; a control is somebody alike in no table.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from analytics_assets.privacy.audit.outcome import (
    Outcome,
    at_most,
    mean_by_person,
    none_of,
    not_run,
    reported,
)
from analytics_assets.privacy.audit.placing import Placed
from analytics_assets.privacy.audit.released import (
    LEAST,
    Leaf,
    Released,
    ReleasedTable,
    Slot,
    Values,
    at_level,
    untold,
)
from analytics_assets.privacy.plan import PlannedTable

MOST_TARGETS = 10_000
SMALL = 50
LARGEST_SHARE = 0.8
FEWEST_VALUES = 3
DRAWS = 200
FEWEST_CLASSES = 10


@dataclass
class Guesses:
    """Of every target that anything is told of, by person: whether the guess was right.

    Whoever nothing is told of is guessed no better than by the most common value of all.
    """

    members: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    controls: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    majority: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    singled_out: int = 0
    targets: int = 0

    def add(self, other: Guesses) -> None:
        for mine, theirs in (
            (self.members, other.members),
            (self.controls, other.controls),
            (self.majority, other.majority),
        ):
            for person, values in theirs.items():
                mine[person] += values
        self.singled_out += other.singled_out
        self.targets += other.targets


class Linker:
    """Guesses a sensitive value from cells that fit what is known of somebody, period by period."""

    def __init__(self, table: ReleasedTable, sensitive: str) -> None:
        self.plan: PlannedTable = table.plan
        self.table = table
        self.shown = self.plan.shown
        shown = [dimension.name for dimension in self.shown]
        names = [dimension.name for dimension in self.plan.dimensions]
        self.sensitive = shown.index(sensitive)
        self.sensitive_leaf = names.index(sensitive)
        self.known = [
            (shown.index(name), names.index(name)) for name in self.plan.sensitive[sensitive]
        ]
        self._found: dict[tuple[Slot, Leaf], tuple[int, dict[Any, int]]] = {}

    def link(self, slot: Slot, leaf: Leaf) -> tuple[int, dict[Any, int]]:
        """People in the closest cells that fit, and how many of them have which sensitive value."""
        aux = tuple(leaf[place] for _, place in self.known)
        if (slot, aux) not in self._found:
            self._found[slot, aux] = self._link(slot, leaf)
        return self._found[slot, aux]

    def _link(self, slot: Slot, leaf: Leaf) -> tuple[int, dict[Any, int]]:
        fits: dict[int, list[tuple[Values, int]]] = defaultdict(list)
        cells = self.table.cells.get(slot) or self.table.cells.get(Slot("", slot.period)) or {}
        fitting = []
        for place, leaf_place in self.known:
            dimension = self.shown[place]
            levels = range(len(dimension.levels))
            fitting.append(
                (
                    place,
                    untold(dimension),
                    {at_level(dimension, leaf[leaf_place], level) for level in levels},
                )
            )
        for values, n in cells.items():
            told = [
                (values[place], own) for place, nothing, own in fitting if values[place] != nothing
            ]
            if all(value in own for value, own in told):
                fits[len(told)].append((values, n))
        people = sum(n for group in fits.values() for _, n in group)
        counts: dict[Any, int] = Counter()
        for closeness in sorted(fits, reverse=True):
            for values, n in fits[closeness]:
                if values[self.sensitive] is not None:
                    counts[values[self.sensitive]] += n
            if counts:
                break
        return people, counts

    def guess(self, slot: Slot, leaf: Leaf) -> tuple[int, float | None]:
        """People that fit, and whether the majority's value is the target's own; None if untold."""
        people, told = self.link(slot, leaf)
        if not told:
            return people, None
        best = max(sorted(told), key=lambda value: told[value])
        dimension = self.shown[self.sensitive]
        levels = range(len(dimension.levels))
        own = {at_level(dimension, leaf[self.sensitive_leaf], level) for level in levels}
        return people, float(best in own)


def sensitive_tables(released: Released) -> list[tuple[ReleasedTable, str]]:
    return [(table, name) for table in released.values() for name in table.plan.sensitive]


def link_people(
    placed: Placed, sensitive: str, controls: Iterable[tuple[Slot, str, Leaf]] = ()
) -> Guesses:
    """Every person of the truth as a target, and every control."""
    linker = Linker(placed.released, sensitive)
    guesses = Guesses()
    everybody = [
        (slot, person, leaf)
        for slot in placed.people
        if placed.cells_of(slot)
        for leaf, people in placed.leaves[slot].items()
        for person in people
    ]
    every = max(1, len(everybody) // MOST_TARGETS)
    slots = {slot for slot, _, _ in everybody}
    common: dict[Slot, Any] = {}
    for slot in slots:
        values: Counter[Any] = Counter()
        for cell, n in placed.cells_of(slot).items():
            if cell[linker.sensitive] is not None:
                values[cell[linker.sensitive]] += n
        common[slot] = max(sorted(values), key=lambda value: values[value]) if values else None
    dimension = linker.shown[linker.sensitive]
    for slot, person, leaf in sorted(everybody)[::every]:
        people, right = linker.guess(slot, leaf)
        guesses.targets += 1
        guesses.singled_out += people < LEAST
        if right is None:
            continue
        guesses.members[person].append(right)
        own = {
            at_level(dimension, leaf[linker.sensitive_leaf], level)
            for level in range(len(dimension.levels))
        }
        guesses.majority[person].append(right - float(common[slot] in own))
    for slot, person, leaf in controls:
        right = linker.guess(slot, leaf)[1] if slot in slots else None
        if right is not None:
            guesses.controls[person].append(right)
    return guesses


def linkage_outcomes(guesses: Guesses) -> list[Outcome]:
    """T3 and the accuracy of T9."""
    members, spread = mean_by_person(guesses.members)
    controls, control_spread = mean_by_person(guesses.controls)
    found = [none_of("T3", "targets whose class is below 11", guesses.singled_out, guesses.targets)]
    if guesses.controls:
        error = (spread**2 + control_spread**2) ** 0.5
        found.append(
            at_most(
                "T3", "inference, members less controls", members - controls, error, 0.05,
                len(guesses.members), f"members are guessed right in {members:.1%}",
            )
        )  # fmt: skip
    else:
        found.append(
            not_run("T3", "inference, members less controls", "needs people kept out of the data")
        )
    gain, error = mean_by_person(guesses.majority)
    found.append(
        at_most(
            "T9",
            "inference over the majority",
            gain,
            error,
            0.10,
            len(guesses.majority),
            "people guessed right, less those right by the most common value of all",
            interval=True,
        )
    )
    return found


def homogeneity(released: Released) -> list[Outcome]:
    """T9 and T10, by the released numbers alone: groups that are too much of one value."""
    groups = one_sided = few = 0
    distances: list[tuple[float, float]] = []
    of_large: list[float] = []
    for table, name in sensitive_tables(released):
        shown = [dimension.name for dimension in table.plan.shown]
        place = shown.index(name)
        known = [shown.index(other) for other in table.plan.sensitive[name]]
        for cells in table.cells.values():
            told: dict[Values, Counter[Any]] = defaultdict(Counter)
            for values, n in cells.items():
                if values[place] is not None:
                    told[tuple(values[other] for other in known)][values[place]] += n
            everybody: Counter[Any] = Counter()
            for group in told.values():
                everybody.update(group)
            for group in told.values():
                people = group.total()
                groups += 1
                one_sided += max(group.values()) > LARGEST_SHARE * people
                few += len(group) < FEWEST_VALUES
                if people < SMALL:
                    distances.append((_distance(group, everybody), _by_chance(people, everybody)))
                else:
                    of_large.append(_distance(group, everybody))
    found = [
        none_of("T9", "classes of one value in over 80 %", one_sided, groups),
        none_of("T9", "classes of fewer than 3 values", few, groups),
    ]
    return [*found, *_skewness(distances, of_large)]


def _skewness(
    distances: Sequence[tuple[float, float]], of_large: Sequence[float]
) -> Iterator[Outcome]:
    """T10: how unlike everybody classes are, beyond what drawing so few of them gives."""
    what = "distance from everybody beyond the draw, of classes under 50"
    if len(distances) < FEWEST_CLASSES:
        yield not_run("T10", what, f"fewer than {FEWEST_CLASSES} classes under 50")
    else:
        beyond = [distance - by_chance for distance, by_chance in distances]
        mean = sum(beyond) / len(beyond)
        error = math.sqrt(
            sum((each - mean) ** 2 for each in beyond) / (len(beyond) - 1) / len(beyond)
        )
        chance = sum(by_chance for _, by_chance in distances) / len(distances)
        yield at_most(
            "T10", what, mean, error, 0.3, len(beyond),
            f"the draw alone gives {chance:.2f}", interval=True,
        )  # fmt: skip
    if of_large:
        yield reported(
            "T10", "largest distance of a class of 50 or more", max(of_large), len(of_large)
        )


def _distance(group: Mapping[Any, int], everybody: Mapping[Any, int]) -> float:
    people, all_people = sum(group.values()), sum(everybody.values())
    return 0.5 * sum(
        abs(group.get(value, 0) / people - n / all_people) for value, n in everybody.items()
    )


def _by_chance(people: int, everybody: Mapping[Any, int]) -> float:
    import numpy as np

    shares = np.array(list(everybody.values())) / sum(everybody.values())
    drawn = np.random.default_rng(people).multinomial(people, shares, size=DRAWS) / people
    return float(0.5 * np.abs(drawn - shares).sum(axis=1).mean())


def rare_combinations(released: Released) -> Outcome:
    """T14: combinations of up to three released values that 10 people or fewer have."""
    rare = combinations_seen = 0
    for table in released.values():
        places = range(len(table.plan.shown))
        chosen = [places_ for size in (1, 2, 3) for places_ in combinations(places, size)]
        for cells in table.cells.values():
            sizes: Counter[tuple[Any, ...]] = Counter()
            for values, n in cells.items():
                for some in chosen:
                    sizes[some, tuple(values[place] for place in some)] += n
            combinations_seen += len(sizes)
            rare += sum(n < LEAST for n in sizes.values())
    return none_of("T14", "combinations of 10 people or fewer", rare, combinations_seen)


def rare_values(
    placed: Mapping[str, Placed], people: Mapping[str, Iterable[Slot]]
) -> list[Outcome]:
    """T14: planted people whose own rare values stand in a cell of fewer than 11 who have them.

    ``people``: planted people with the slots they were active in. And what a reader learns of them:
    how much likelier a rare value is told of a period in which they are than of one without them.
    """
    told = tried = 0
    with_them: list[float] = []
    without: list[float] = []
    for table in placed.values():
        plan = table.released.plan
        rare: set[tuple[int, Any]] = set()
        theirs: set[Slot] = set()
        # Of the same world and size: in a larger one the values are not rare.
        months = {_month(slot) for slots in people.values() for slot in slots}
        for person, slots in people.items():
            for slot in slots:
                if slot not in table.people:
                    continue
                theirs.add(slot)
                for leaf, members in table.leaves[slot].items():
                    if person not in members:
                        continue
                    tried += 1
                    told += _names(plan, table, slot, leaf)
                    for place, value in _rare_texts(plan, table, slot, leaf):
                        rare.add((place, value))
                        with_them.append(_tells(table, slot, place, value))
        without += [
            _tells(table, slot, place, value)
            for slot in table.people
            if slot.kind == "day" and slot not in theirs and _month(slot) in months
            for place, value in rare
        ]
    found = [none_of("T14", "planted rare values in a cell", told, tried)]
    what = "rare values told, with the planted less without"
    if not with_them or not without:
        return [*found, not_run("T14", what, "nobody with a rare value was planted")]
    posterior, prior = sum(with_them) / len(with_them), sum(without) / len(without)
    error = math.sqrt(
        # At least one told or untold: a rate of none in n is not known exactly.
        _spread(posterior, len(with_them)) + _spread(prior, len(without))
    )
    return [*found, at_most("T14", what, posterior - prior, error, 0.05, len(with_them))]


def _month(slot: Slot) -> tuple[int, int]:
    return slot.period.year, slot.period.month


def _spread(rate: float, count: int) -> float:
    """Variance of an estimated rate, with a success and a failure added."""
    held = (rate * count + 1) / (count + 2)
    return held * (1 - held) / count


def _tells(table: Placed, slot: Slot, place: int, value: Any) -> float:
    return float(any(values[place] == value for values in table.cells_of(slot)))


def _rare_texts(
    plan: PlannedTable, table: Placed, slot: Slot, leaf: Leaf
) -> Iterator[tuple[int, Any]]:
    """Of a leaf: text values that fewer than 11 people have, with their place among the shown."""
    for place, dimension in enumerate(plan.shown):
        for position, other in enumerate(plan.dimensions):
            if other is not dimension or dimension.type != "text" or leaf[position] == "none":
                continue
            sharing = sum(
                len(members)
                for those, members in table.leaves[slot].items()
                if those[position] == leaf[position]
            )
            if sharing < LEAST:
                yield place, leaf[position]


def _names(plan: PlannedTable, table: Placed, slot: Slot, leaf: Leaf) -> bool:
    """Whether a cell tells a text value of the leaf that fewer than 11 people share."""
    return any(
        value != "any" and _tells(table, slot, place, value) > 0
        for place, value in _rare_texts(plan, table, slot, leaf)
    )
