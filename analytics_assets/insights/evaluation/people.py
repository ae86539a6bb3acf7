"""Whether kinds of users are told apart."""

from __future__ import annotations

from analytics_assets.insights.evaluation.agreement import mutual_information
from analytics_assets.insights.evaluation.measure import Measure
from analytics_assets.insights.evaluation.world import World
from analytics_assets.insights.groups.personas import OCCASIONAL, assigned, by_person

INFORMATION = 0.6


def measure(world: World) -> list[Measure]:
    """Personas found against those planted, of people who talked more than once."""
    people = by_person(world.facets)
    personas, _ = assigned(people)
    planted = {f.user_id: p for f, p in zip(world.facets, world.planted("persona"), strict=True)}
    pairs = [
        (persona, planted[person.user_id])
        for person, persona in zip(people, personas, strict=True)
        if persona != OCCASIONAL
    ]
    figure = mutual_information(*zip(*pairs, strict=True)) if pairs else None
    return [
        Measure(
            "personas, normalised mutual information",
            figure,
            INFORMATION,
            note=f"{len(pairs)} of {len(people)} people" if pairs else "too few people",
        )
    ]
