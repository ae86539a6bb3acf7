"""All measures in their order: what ``analytics-assets insights eval`` shows.

A module is added by its name; see the package.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from analytics_assets.insights.evaluation.measures import Measure
from analytics_assets.insights.evaluation.world import World

MODULES = ("topics", "requests", "people", "auditor", "estimates")


def measured(world: World) -> Iterator[Measure]:
    """Every measure, as they are taken."""
    for name in MODULES:
        module = import_module(f"analytics_assets.insights.evaluation.{name}")
        yield from module.measure(world)
