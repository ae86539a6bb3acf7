"""All measures in their order: what ``analytics-assets insights eval`` shows.

A module is added by its name; see the package.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from analytics_assets.insights.evaluation.measure import Measure
from analytics_assets.insights.evaluation.world import World

OF_A_WORLD = ("topics", "requests", "people", "auditor", "estimates")
OF_THEIR_OWN = ("scrub_recall", "return_prediction")


def measured(world: World) -> Iterator[Measure]:
    """Every measure, as they are taken."""
    for name in OF_A_WORLD:
        module = import_module(f"analytics_assets.insights.evaluation.{name}")
        yield from module.measure(world)
    for name in OF_THEIR_OWN:
        module = import_module(f"analytics_assets.insights.evaluation.{name}")
        yield from module.measures()
