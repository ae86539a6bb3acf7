"""Whether conversations are grouped by what they are about, and groups keep their names."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np

from analytics_assets.insights.evaluation.agreement import adjusted_rand
from analytics_assets.insights.evaluation.measure import Measure
from analytics_assets.insights.evaluation.world import World, clustered

RECONSTRUCTION, RAND, KEPT_NAMES = 0.90, 0.7, 0.95


def measure(world: World) -> list[Measure]:
    """Each cluster is called by its commonest topic, and so is every conversation in it."""
    planted = world.planted("topic")
    labels = world.clustering.labels.tolist()
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    for label, facet in zip(labels, world.facets, strict=True):
        votes[label][facet.topic] += 1
    named = {label: _commonest(counted) for label, counted in votes.items()}
    found = [named[label] for label in labels]
    right = sum(a == b for a, b in zip(found, planted, strict=True)) / len(planted)
    alone = sum(f.topic == t for f, t in zip(world.facets, planted, strict=True)) / len(planted)
    return [
        Measure("topic reconstruction, top level", right, RECONSTRUCTION, note=world.embedder),
        Measure("topics, adjusted Rand index", adjusted_rand(found, planted), RAND),
        Measure("topic of one conversation", alone, None, note=f"read by {world.read_by}"),
        Measure(
            "subtopics, adjusted Rand index",
            adjusted_rand(labels, world.planted("subtopic")),
            None,
            note=f"{len(votes)} clusters, 18 subtopics",
        ),
        Measure("clusters that keep their number without one user", _kept(world), KEPT_NAMES),
    ]


def _kept(world: World) -> float:
    """Without the busiest user, the run after: the share of rows whose cluster kept its number."""
    busiest, _ = Counter(facet.person for facet in world.facets).most_common(1)[0]
    stay = np.array([facet.person != busiest for facet in world.facets])
    before = world.clustering
    after = clustered(world.vectors[stay], before)
    then = before.numbers[before.labels[stay]]
    now = after.numbers[after.labels]
    return float(np.mean(then == now))


def _commonest(counted: Counter[Any]) -> str:
    known = {value: n for value, n in counted.items() if value != "other"} or counted
    return str(min(known, key=lambda value: (-known[value], value)))
