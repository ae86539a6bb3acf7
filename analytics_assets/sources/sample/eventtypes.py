"""Which events happen at the sample company, to what, and how often for whom.

Belongs here: the table of event types and their frequencies. Does not: what an event carries
(``payloads``). Invariant: one entry per type of the shipped catalogue; a test compares the two.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from analytics_assets.sources.sample.draws import Floats

VISITOR: Final = 5  # the row of people who are not signed in, after the five archetypes


class EventType(NamedTuple):
    """``weight``: relative frequency; ``lean``: factors per archetype; ``visitor``: theirs."""

    name: str
    entity: str | None
    weight: float
    lean: tuple[float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0)
    visitor: float = 0.0


_BUILD = (2.0, 0.6, 0.5, 1.2, 0.8)
_REVIEW = (0.6, 4.0, 0.7, 1.2, 0.2)
_LOOK = (0.8, 1.2, 2.0, 0.7, 0.5)
_UPKEEP = (1.0, 0.6, 0.4, 3.0, 0.9)
_AUTOMATE = (1.0, 0.4, 1.0, 0.8, 2.8)

EVENT_TYPES: Final[tuple[EventType, ...]] = (
    EventType("project.created", "project", 1.0, _BUILD),
    EventType("project.updated", "project", 2.0, _UPKEEP),
    EventType("project.deleted", "project", 0.2, _UPKEEP),
    EventType("proposal.submitted", "proposal", 2.5, _BUILD),
    EventType("proposal.accepted", "proposal", 0.8),
    EventType("proposal.rejected", "proposal", 0.9),
    EventType("milestone.created", "milestone", 1.0, _BUILD),
    EventType("milestone.approved", "milestone", 0.7, _REVIEW),
    EventType("milestone.completed", "milestone", 0.8, _BUILD),
    EventType("payment.initiated", "payment", 1.0),
    EventType("payment.completed", "payment", 0.9),
    EventType("payment.failed", "payment", 0.12),
    EventType("profile.viewed", "profile", 8.0, _LOOK, 22.0),
    EventType("project.viewed", "project", 13.0, _LOOK, 40.0),
    EventType("search.performed", None, 7.0, _LOOK, 12.0),
    EventType("filter.applied", None, 4.5, _LOOK, 8.0),
    EventType("message.sent", "conversation", 8.0, (1.0, 1.8, 0.6, 1.0, 0.2)),
    EventType("notification.clicked", "notification", 5.0),
    EventType("user.login", "user", 0.0),
    EventType("user.logout", "user", 0.0),
    EventType("user.registered", "user", 0.0),
    EventType("session.started", "session", 0.0),
    EventType("session.ended", "session", 0.0),
    EventType("password.changed", "user", 0.12),
    EventType("mfa.enabled", "user", 0.1),
    EventType("mfa.disabled", "user", 0.04),
    EventType("review.posted", "review", 1.1, _REVIEW),
    EventType("review.updated", "review", 0.3, _REVIEW),
    EventType("portfolio.created", "portfolio", 0.4, _BUILD),
    EventType("portfolio.updated", "portfolio", 0.8),
    EventType("profile.updated", "profile", 0.8),
    EventType("github.synced", "repository", 1.5, _UPKEEP),
    EventType("profile_analyzed", "profile", 0.0),
    EventType("package_generated", "package", 1.0, _AUTOMATE),
    EventType("download", "media", 3.5, _AUTOMATE, 2.0),
    EventType("share", "media", 1.4, _LOOK),
    EventType("credit_limit", "user", 0.5, _AUTOMATE),
    EventType("search_performed", None, 6.0, _AUTOMATE, 10.0),
    EventType("server_installed", "server", 3.5, _AUTOMATE, 4.0),
)
INDEX: Final[dict[str, int]] = {kind.name: number for number, kind in enumerate(EVENT_TYPES)}


@lru_cache(maxsize=1)
def cumulative_by_archetype() -> Floats:
    """Running probabilities of all archetypes laid end to end.

    Entry ``a * types + t`` is ``a`` plus the probability of a type up to ``t``, so that one search
    for ``archetype + uniform`` draws for every archetype at once.
    """
    rows = []
    for archetype in range(VISITOR + 1):
        weights = np.array(
            [
                kind.visitor if archetype == VISITOR else kind.weight * kind.lean[archetype]
                for kind in EVENT_TYPES
            ]
        )
        running = np.cumsum(weights) / weights.sum()
        running[-1] = 1.0
        rows.append(running + archetype)
    return np.concatenate(rows)
