"""The content of events: which entity they concern and their ``event_data``, as JSON text.

Belongs here: the context builders share and the dispatch over types. Does not: the builders
themselves (``payloads_market``, ``payloads_platform``). Invariant: a builder draws only from the
slab's generator and returns valid JSON for each of its rows, in their order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from analytics_assets.sources.sample.behaviour import Slab
from analytics_assets.sources.sample.company import Company
from analytics_assets.sources.sample.draws import Ints
from analytics_assets.sources.sample.eventtypes import EVENT_TYPES

PREFIXES: Final[dict[str, str]] = {
    "project": "prj", "proposal": "prp", "milestone": "mst", "payment": "pay", "review": "rev",
    "portfolio": "pfo", "media": "med", "package": "pkg", "notification": "ntf",
    "conversation": "thr", "repository": "rep",
}  # fmt: skip
EXISTING_AT_START: Final = 500


class Entities:
    """Ids of the things events refer to: new ones count up, old ones are drawn from the past."""

    def __init__(self) -> None:
        self._count = dict.fromkeys(PREFIXES, EXISTING_AT_START)

    def create(self, kind: str, count: int) -> list[str]:
        """Ids of ``count`` new entities."""
        first = self._count[kind]
        self._count[kind] = first + count
        prefix = PREFIXES[kind]
        return [f"{prefix}_{number}" for number in range(first, first + count)]

    def existing(self, kind: str, rng: np.random.Generator, count: int) -> list[str]:
        """Ids of ``count`` known entities, recent ones more often."""
        total = self._count[kind]
        prefix = PREFIXES[kind]
        back = (rng.random(count) ** 2 * total).astype(np.int64)
        return [f"{prefix}_{number}" for number in (total - 1 - back).tolist()]


@dataclass
class Observations:
    """Figures of the truth file that only the builders see; ``ai`` is (count, sum) per day."""

    installs: dict[str, int] = field(default_factory=dict)
    queries: dict[str, int] = field(default_factory=dict)
    ai: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, counts: dict[str, int], names: list[str], drawn: Ints) -> None:
        """Count drawn indexes under their names."""
        found, times = np.unique(drawn, return_counts=True)
        for index, count in zip(found.tolist(), times.tolist(), strict=True):
            counts[names[index]] = counts.get(names[index], 0) + count


@dataclass
class Context:
    """What a builder needs: the slab, its generator, and the company."""

    company: Company
    slab: Slab
    rng: np.random.Generator
    entities: Entities
    observations: Observations
    session_ids: list[str]

    def numbers(self, rows: Ints, low: int, high: int) -> list[int]:
        """One whole number in [low, high) per row."""
        values: list[int] = self.rng.integers(low, high, len(rows)).tolist()
        return values

    def amounts(self, rows: Ints, median: float) -> list[float]:
        """One price per row, log-normal around the median, in steps of 5."""
        drawn = median * np.exp(self.rng.normal(0, 0.8, len(rows)))
        values: list[float] = (np.maximum(np.round(drawn / 5), 1) * 5.0).tolist()
        return values

    def user_ids(self, rows: Ints) -> list[str]:
        """The acting user of each row (rows of visitors must not be passed)."""
        ids = self.company.user_ids
        return [ids[number] for number in self.slab.user[rows].tolist()]

    def other_users(self, count: int) -> list[str]:
        """Users somebody looks at or reviews: a few are looked at often."""
        ids = self.company.user_ids
        drawn = (self.rng.random(count) ** 2 * len(ids)).astype(np.int64)
        return [ids[number] for number in drawn.tolist()]


Built = tuple[list[str] | None, list[str]]
Builder = Callable[[Context, Ints], Built]


def build_payloads(context: Context) -> tuple[list[str | None], list[str]]:
    """Entity id and ``event_data`` (JSON text) of each row of the slab."""
    from analytics_assets.sources.sample.payloads_market import MARKET_BUILDERS
    from analytics_assets.sources.sample.payloads_platform import PLATFORM_BUILDERS

    builders: dict[str, Builder] = {**MARKET_BUILDERS, **PLATFORM_BUILDERS}
    slab = context.slab
    entities = np.full(slab.rows, None, dtype=object)
    data = np.empty(slab.rows, dtype=object)
    order = np.argsort(slab.type, kind="stable")
    kinds, starts = np.unique(slab.type[order], return_index=True)
    for kind, rows in zip(kinds.tolist(), np.split(order, starts[1:]), strict=True):
        ids, texts = builders[EVENT_TYPES[kind].name](context, rows)
        data[rows] = np.array(texts, dtype=object)
        if ids is not None:
            entities[rows] = np.array(ids, dtype=object)
    return entities.tolist(), data.tolist()
