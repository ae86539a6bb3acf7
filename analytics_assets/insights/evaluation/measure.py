"""One figure of the evaluation and the limit it has to keep.

Belongs here: the shape every measure has. Does not: measuring. Invariant: a figure without a limit
is reported, never judged.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """``figure`` must be at least ``limit`` (or at most, where not ``at_least``)."""

    name: str
    figure: float
    limit: float | None
    at_least: bool
    note: str
