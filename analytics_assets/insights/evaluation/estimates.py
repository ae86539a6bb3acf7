"""Whether intervals of a sample hold the truth as often as they say."""

from __future__ import annotations

from analytics_assets.insights.conversations.tiers import draw, weighted_share
from analytics_assets.insights.evaluation.measure import Measure
from analytics_assets.insights.evaluation.world import World

DRAWS = 200
SAMPLE_SHARE = 0.3
MOST_AWAY = 0.02


def measure(world: World) -> list[Measure]:
    """The share of conversations with a friction, estimated from many stratified samples."""
    held = coverage(world)
    return [
        Measure(
            "coverage of 95 % intervals, distance from 95 %",
            round(abs(held - 0.95), 4),
            MOST_AWAY,
            "lower",
            note=f"{held:.1%} of {DRAWS} draws hold the truth",
        )
    ]


def coverage(world: World) -> float:
    """Of DRAWS samples, the share whose interval holds the share of the whole."""
    hit = {f.conversation_id: f.friction != "none" for f in world.facets}
    strata = {f.conversation_id: f.topic for f in world.facets}
    truth = sum(hit.values()) / len(hit)
    held = 0
    for number in range(DRAWS):
        sample = draw(strata.items(), round(SAMPLE_SHARE * len(hit)), seed=f"draw {number}")
        found = weighted_share(sample, [hit[str(one.unit)] for one in sample])
        held += found.low <= truth <= found.high
    return held / DRAWS
