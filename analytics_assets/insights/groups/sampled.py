"""What groups stand on where days were sampled: rows a model read, and what each stands for.

Belongs here: which rows shape a group, and the share of conversations a sample tells. Does not:
drawing (conversations/reading_plan.py) or the estimator's arithmetic (conversations/tiers.py).
Invariant: a row that rules read on a sampled day neither shapes a group nor bears weight; where no
day was sampled every row shapes, and nothing is estimated from weights.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import psycopg

from analytics_assets.insights.conversations.tiers import Interval, Stratum, share_of_strata
from analytics_assets.insights.groups.grouping import FLOOR_CONVERSATIONS, LEAST_PEOPLE
from analytics_assets.insights.groups.rows import Facet, people_of
from analytics_assets.windows import Window

PEOPLE, CONVERSATIONS = "people", "conversations"
TOO_FEW_READ = (
    "rules shaped these groups as well: the model read conversations of fewer than "
    f"{LEAST_PEOPLE} people, or fewer than {FLOOR_CONVERSATIONS} of them"
)

_PLANS = """
select day, strata from insights.reading_plans
where day >= %s and day < %s and drawn < conversations
"""
# Whoever wrote them: a weight is about all that could be drawn.
_READ = """
select day, stratum, count(*), count(*) filter (where source = 'model')
from insights.conversation_facets
where day >= %s and day < %s
group by day, stratum
"""


@dataclass(frozen=True)
class Sample:
    """``weights``: how many conversations a row stands for that a model read of a (day, stratum).

    ``sampled``: the days of which a model was to read a part. Their strata are those of the draw;
    any other day is one stratum, called None.
    """

    sampled: frozenset[date] = frozenset()
    weights: Mapping[tuple[date, str | None], float] = field(default_factory=dict)

    @classmethod
    def of(cls, conn: psycopg.Connection[Any], window: Window) -> Sample:
        """What the plans and the facets of the window say; part of the caller's transaction."""
        bounds = [window.start, window.end]
        plans = dict(conn.execute(_PLANS, bounds).fetchall())
        return cls.counted(plans, conn.execute(_READ, bounds)) if plans else cls()

    @classmethod
    def counted(
        cls,
        plans: Mapping[date, Mapping[str, Sequence[int]]],
        counts: Iterable[tuple[date, str | None, int, int]],
    ) -> Sample:
        """``plans``: of sampled days each stratum's conversations and those drawn; ``counts``: of
        all days rows by stratum, and how many of them a model read.
        """
        rows: Counter[date] = Counter()
        by_model: dict[date, Counter[str | None]] = defaultdict(Counter)
        for day, stratum, all_rows, read in counts:
            rows[day] += all_rows
            by_model[day][stratum if day in plans else None] += read
        weights: dict[tuple[date, str | None], float] = {}
        for day, read_of in by_model.items():
            sizes: dict[str | None, int] = (
                {stratum: size for stratum, (size, _) in plans[day].items()}
                if day in plans
                else {None: rows[day]}
            )
            for stratum, weight in weights_of(sizes, read_of).items():
                weights[day, stratum] = weight
        return cls(frozenset(plans), weights)

    def shaping(self, facets: Sequence[Facet]) -> tuple[list[bool] | None, str | None]:
        """Which of a kind's rows shape its groups; None where the sample has no say, and why."""
        if not self.sampled:
            return None, None
        shapes = [self.shapes(facet) for facet in facets]
        if all(shapes):
            return shapes, None
        read = [facet for facet, does in zip(facets, shapes, strict=True) if does]
        talks = {(facet.person, facet.conversation_id) for facet in read}
        if people_of(read) < LEAST_PEOPLE or len(talks) < FLOOR_CONVERSATIONS:
            return None, TOO_FEW_READ
        return shapes, None

    def shapes(self, facet: Facet) -> bool:
        return facet.by_model or facet.day not in self.sampled

    def stratum_of(self, facet: Facet) -> tuple[date, str | None] | None:
        """Where the row counts; None where it bears no weight: rules read it, or as an outlier."""
        if not facet.by_model:
            return None
        place = facet.day, facet.stratum if facet.day in self.sampled else None
        return place if place in self.weights else None


class Shares:
    """Shares of the conversations that ``facets`` are, all of a span: drawn and read ones tell."""

    def __init__(self, sample: Sample, facets: Iterable[Facet]) -> None:
        self.sample = sample
        counted = self._counted(facets)
        self.strata: dict[Hashable, Stratum] = {
            place: Stratum(drawn, sample.weights[place]) for place, drawn in counted.items()
        }

    def share(self, facets: Iterable[Facet]) -> Interval:
        """What share of the conversations some of the facets are, with its interval."""
        return share_of_strata(self.strata, self._counted(facets))

    def _counted(self, facets: Iterable[Facet]) -> Counter[Any]:
        places = (self.sample.stratum_of(facet) for facet in facets)
        return Counter(place for place in places if place is not None)


def weights_of(
    sizes: Mapping[str | None, int], read: Mapping[str | None, int]
) -> dict[str | None, float]:
    """How many conversations each that was read stands for, by the stratum of a day.

    That is the stratum's size by those drawn, where all drawn were read. What stays unread is made
    up for by others of its stratum, and a stratum without any by the day's others.
    """
    known = {stratum: size for stratum, size in sizes.items() if read.get(stratum)}
    if not known:
        return {}
    unread = sum(sizes.values()) / sum(known.values())
    return {stratum: unread * size / read[stratum] for stratum, size in known.items()}
