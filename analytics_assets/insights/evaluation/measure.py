"""One figure of the evaluation and the limit it is held to.

Belongs here: the row all groups of measures share. Invariant: a figure without a limit is reported
and never judged.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """``figure`` has to be at least ``limit`` where ``at_least``, else at most."""

    name: str
    figure: float
    limit: float | None
    at_least: bool
    note: str
