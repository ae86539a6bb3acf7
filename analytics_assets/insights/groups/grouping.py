"""From clusters to groups that may be told of: large enough, of many, and none left to subtract.

Belongs here: the counts of the gate, and pooling of what is too small up the tree. Does not: words
(gate.py judges them). Invariant: a row is in one group at most; one that stands has FLOOR_PEOPLE
people, FLOOR_CONVERSATIONS conversations and nobody with more than MAX_SHARE of them; what is too
small goes up to its parent, never out alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analytics_assets.insights.floor import FLOOR_PEOPLE

if TYPE_CHECKING:
    from analytics_assets.insights.vectors.clustering import Clustering

FLOOR_CONVERSATIONS = 20
# Two groups of the floor's: with fewer there is nothing to tell apart.
LEAST_PEOPLE = 2 * FLOOR_PEOPLE
MAX_SHARE = 0.2


@dataclass(frozen=True)
class Row:
    """One clustered line: whose it is, and of which conversation.

    What is said of a group is said by rows that shape it; others count and say nothing.
    """

    person: str
    conversation: Hashable
    shapes: bool = True


@dataclass(frozen=True)
class Size:
    """People, conversations, and the share of them that the busiest person has.

    ``shaped``: the same of the rows that shape, where not all do.
    """

    people: int
    conversations: int
    top_share: float
    shaped: Size | None = None

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Size:
        everyone = list(rows)
        shaping = [row for row in everyone if row.shapes]
        whole = cls._of(everyone)
        return whole if len(shaping) == len(everyone) else replace(whole, shaped=cls._of(shaping))

    @classmethod
    def _of(cls, rows: Iterable[Row]) -> Size:
        talks = Counter(person for person, _ in {(row.person, row.conversation) for row in rows})
        total = sum(talks.values())
        return cls(len(talks), total, max(talks.values()) / total if total else 1.0)

    @property
    def stands(self) -> bool:
        return (
            self.people >= FLOOR_PEOPLE
            and self.conversations >= FLOOR_CONVERSATIONS
            and self.top_share <= MAX_SHARE
            # Else a text would be about the few that were read, however many it is told of.
            and (self.shaped is None or self.shaped.stands)
        )


@dataclass(frozen=True)
class Group:
    """Rows (their places) that may be told of together; ``level`` 0 is a cluster as it was."""

    members: tuple[int, ...]
    level: int
    size: Size


def groups_of(clustering: Clustering, rows: Sequence[Row]) -> tuple[list[Group], int]:
    """The groups that stand, in the order of their first row, and how many rows are in none.

    What fails under a node is pooled there; a pool that fails takes in the smallest group beside
    it, so that nobody can tell what it hides, and goes up where there is none.
    """
    by_cluster: dict[int, list[int]] = {}
    for place, label in enumerate(clustering.labels.tolist()):
        by_cluster.setdefault(label, []).append(place)
    standing: dict[int, list[Group]] = {label: [] for label in by_cluster}
    failing: dict[int, list[int]] = {label: [] for label in by_cluster}
    for label, members in by_cluster.items():
        size = _size(rows, members)
        if size.stands:
            standing[label] = [Group(tuple(members), 0, size)]
        else:
            failing[label] = members
    # Nodes of the level below, each known by one of its clusters.
    for level, nodes in enumerate(clustering.parents.tolist(), start=1):
        merged_groups: dict[int, list[Group]] = {}
        merged_rest: dict[int, list[int]] = {}
        first: dict[int, int] = {}
        for label, found in standing.items():
            node = first.setdefault(nodes[label], label)
            merged_groups.setdefault(node, []).extend(found)
            merged_rest.setdefault(node, []).extend(failing[label])
        standing, failing = {}, {}
        for node, rest in merged_rest.items():
            standing[node], failing[node] = _pooled(merged_groups[node], rest, level, rows)
    groups = [group for found in standing.values() for group in found]
    return (
        sorted(groups, key=lambda group: group.members[0]),
        sum(len(rest) for rest in failing.values()),
    )


def merged_by(groups: Sequence[tuple[str, Group]], rows: Sequence[Row]) -> dict[str, Group]:
    """Groups of one name as one; a union of groups that stand may fail on MAX_SHARE, and goes."""
    found: dict[str, list[Group]] = {}
    for name, group in groups:
        found.setdefault(name, []).append(group)
    merged: dict[str, Group] = {}
    for name, parts in found.items():
        members = tuple(sorted(place for part in parts for place in part.members))
        size = _size(rows, members)
        if size.stands:
            merged[name] = Group(members, max(part.level for part in parts), size)
    return merged


def _pooled(
    groups: list[Group], rest: list[int], level: int, rows: Sequence[Row]
) -> tuple[list[Group], list[int]]:
    if not rest:
        return groups, []
    pool = list(rest)
    left = sorted(groups, key=lambda group: (group.size.people, group.members[0]))
    while True:
        size = _size(rows, pool)
        if size.stands:
            return [*left, Group(tuple(sorted(pool)), level, size)], []
        if not left:
            return groups, rest
        pool.extend(left.pop(0).members)


def _size(rows: Sequence[Row], members: Iterable[int]) -> Size:
    return Size.of(rows[place] for place in members)


def top_share_by_value(values: Mapping[str, int]) -> tuple[str, float]:
    """The commonest value, the first by name of equals, and its share."""
    total = sum(values.values())
    name = min(values, key=lambda value: (-values[value], value))
    return name, values[name] / total
