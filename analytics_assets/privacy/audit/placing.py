"""Who is behind which cell: the truth placed on what was released, for judges.

Belongs here: placing people. Does not: what is made of it. Invariant: nobody is placed where the
public ladder could not have put them; where it leaves a choice, every choice is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from analytics_assets.privacy.audit.released import (
    LEAST,
    NOISE_BOUND,
    Leaf,
    Released,
    ReleasedTable,
    Slot,
    Values,
)
from analytics_assets.privacy.audit.truth import TrueTable, Truth


@dataclass
class Placed:
    """One table: who may stand in which cell, and how many stood in which finest class.

    ``homes`` has the first cell a leaf may stand in, with its step. ``uncertain`` cells have people
    who may stand elsewhere.
    """

    released: ReleasedTable
    behind: dict[tuple[Slot, Values], set[str]] = field(default_factory=lambda: defaultdict(set))
    finest: dict[Slot, dict[Values, set[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    leaves: dict[Slot, dict[Leaf, set[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    homes: dict[tuple[Slot, Leaf], tuple[int, Values] | None] = field(default_factory=dict)
    uncertain: set[tuple[Slot, Values]] = field(default_factory=set)
    unplaced: dict[Slot, set[str]] = field(default_factory=lambda: defaultdict(set))
    people: dict[Slot, int] = field(default_factory=dict)
    withheld: set[Slot] = field(default_factory=set)

    def cells_of(self, slot: Slot) -> Mapping[Values, int]:
        """The cells of a slot; a table without kinds does not tell a reader which kind it is."""
        if slot in self.withheld:
            return {}
        cells = self.released.cells
        return cells.get(slot) or cells.get(Slot("", slot.period)) or {}

    def cells(self) -> list[tuple[Slot, Values, int, int]]:
        """Slot, values, published and true number of every cell of a slot with truth."""
        return [
            (slot, values, n, len(self.behind[slot, values]))
            for slot in self.people
            for values, n in self.cells_of(slot).items()
        ]

    def certain_cells(self) -> list[tuple[Slot, Values, int, int]]:
        """Those behind which all people are known, and whose number has one noise."""
        if self.released.plan.means:
            return []
        return [cell for cell in self.cells() if (cell[0], cell[1]) not in self.uncertain]

    def between(self, spans: Iterable[tuple[date, date]]) -> Placed:
        """The slots alone that lie within one of the spans, last days included."""
        spans = list(spans)
        kept = {
            slot: count
            for slot, count in self.people.items()
            if any(first <= slot.period <= last for first, last in spans)
        }
        return replace(self, people=kept)

    def explained(self, n: int, people: int) -> bool:
        """Whether a published number is that of at most so many people, the floor and noise."""
        told = max(1, people // LEAST) if self.released.plan.means else 1
        return n <= max(LEAST, people + NOISE_BOUND * told)


def place(released: Released, truth: Truth) -> dict[str, Placed]:
    """The truth of every table that has one, placed."""
    return {
        name: _place(released[name], true)
        for name, true in truth.tables.items()
        # Of a table told with an epsilon there are no cells to place anybody in.
        if name in released and released[name].plan.epsilon is None
    }


def _place(released: ReleasedTable, true: TrueTable) -> Placed:
    placed = Placed(released, withheld=true.withheld)
    ladder = released.ladder
    finest: dict[Leaf, Values] = {}
    for slot, leaves_of in true.people.items():
        placed.people[slot] = len(leaves_of)
        cells = placed.cells_of(slot)
        of_leaf = placed.leaves[slot]
        for person, leaves in leaves_of.items():
            for leaf in leaves:
                of_leaf[leaf].add(person)
        several = {person for person, leaves in leaves_of.items() if len(leaves) > 1}
        at_home: set[str] = set()
        for leaf, members in of_leaf.items():
            if leaf not in finest:
                finest[leaf] = ladder.at(leaf, 0)
            placed.finest[slot][finest[leaf]] |= members
            found = ladder.homes(leaf, cells) if cells else []
            placed.homes[slot, leaf] = found[0] if found else None
            for _, values in found:
                placed.behind[slot, values] |= members
                if len(found) > 1 or members & several:
                    placed.uncertain.add((slot, values))
            if found:
                at_home |= members
        placed.unplaced[slot] = leaves_of.keys() - at_home
    return placed
