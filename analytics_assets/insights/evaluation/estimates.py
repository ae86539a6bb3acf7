"""Whether what is told of a sample holds for the whole: intervals of shares, and nearest clusters.

Belongs here: a world read as at scale, beside the same world read in full. Does not: drawing or
estimating (what does that is the code that does it in production). Invariant: deterministic.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from analytics_assets.insights.conversations.tiers import draw
from analytics_assets.insights.evaluation.measure import Measure
from analytics_assets.insights.evaluation.world import World, clustered
from analytics_assets.insights.groups.rows import Facet
from analytics_assets.insights.groups.sampled import Sample, Shares

DRAWS = 200
SAMPLE_SHARE = 0.3
MOST_AWAY = 0.02
TOPIC_OF_UNREAD = 0.9
BUSY = 3  # conversations of a user, to be of the busy ones' stratum


def measure(world: World) -> list[Measure]:
    """Shares of conversations from many samples, and topics of what one of them leaves unread."""
    held = coverage(world)
    unread = _unread(world)
    planted = [
        topic for topic, skipped in zip(world.planted("topic"), unread, strict=True) if skipped
    ]
    nearest = _topics(world, unread, clustered(world.vectors, shapes=[not one for one in unread]))
    whole = _topics(world, unread, world.clustering)
    return [
        Measure(
            "coverage of 95 % intervals, distance from 95 %",
            round(abs(held - 0.95), 4),
            MOST_AWAY,
            "lower",
            note=f"{held:.1%} of {DRAWS} draws hold the truth",
        ),
        Measure(
            "topic of what is not read, by the nearest cluster",
            _same(nearest, planted),
            TOPIC_OF_UNREAD,
            note=f"{sum(unread):,} conversations; {_same(whole, planted):.3f} where all shape "
            f"clusters, {_same(nearest, whole):.3f} the same both ways",
        ),
    ]


def coverage(world: World) -> float:
    """Of DRAWS samples, the share whose interval holds the share of the whole."""
    stuck = {facet.conversation_id for facet in world.facets if facet.friction != "none"}
    truth = len(stuck) / len(world.facets)
    held = 0
    for number in range(DRAWS):
        facets, sample = sampled(world.facets, f"draw {number}")
        found = Shares(sample, facets).share(f for f in facets if f.conversation_id in stuck)
        held += found.low <= truth <= found.high
    return held / DRAWS


def sampled(
    facets: Sequence[Facet], seed: str, share: float = SAMPLE_SHARE
) -> tuple[list[Facet], Sample]:
    """The facets, in another order, as had a model read a sample of each day and rules the rest."""
    talks = Counter(facet.user_id for facet in facets)
    by_day: dict[date, list[Facet]] = defaultdict(list)
    for facet in facets:
        by_day[facet.day].append(facet)
    marked: list[Facet] = []
    plans: dict[date, dict[str, tuple[int, int]]] = {}
    for day, of_day in sorted(by_day.items()):
        strata = {
            facet.conversation_id: "busy" if talks[facet.user_id] > BUSY else "calm"
            for facet in of_day
        }
        found = draw(strata.items(), round(share * len(of_day)), f"{seed} {day}")
        drawn = {one.unit: str(one.stratum) for one in found}
        sizes, taken = Counter(strata.values()), Counter(drawn.values())
        plans[day] = {stratum: (size, taken[stratum]) for stratum, size in sizes.items()}
        marked += [
            replace(facet, source="model", stratum=drawn[facet.conversation_id])
            if facet.conversation_id in drawn
            else replace(facet, source="rules")
            for facet in of_day
        ]
    counts = Counter((f.day, f.stratum, f.by_model) for f in marked)
    read = [
        (day, stratum, n, n if by_model else 0) for (day, stratum, by_model), n in counts.items()
    ]
    return marked, Sample.counted(plans, read)


def _unread(world: World) -> list[bool]:
    facets, _ = sampled(world.facets, "unread")
    read = {facet.conversation_id for facet in facets if facet.by_model}
    return [facet.conversation_id not in read for facet in world.facets]


def _topics(world: World, unread: Sequence[bool], clustering: Any) -> list[str | None]:
    """For what is not read, the commonest topic among what is read of its cluster."""
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    labels = clustering.labels.tolist()
    for label, facet, skipped in zip(labels, world.facets, unread, strict=True):
        if not skipped:
            votes[label][facet.topic] += 1
    named = {label: max(sorted(n), key=n.__getitem__) for label, n in votes.items()}
    return [named.get(label) for label, skipped in zip(labels, unread, strict=True) if skipped]


def _same(some: Sequence[str | None], others: Sequence[str | None]) -> float:
    return sum(a == b for a, b in zip(some, others, strict=True)) / len(some)
