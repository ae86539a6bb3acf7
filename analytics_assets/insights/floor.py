"""The least people anything is told of outside the release, and how counts are rounded.

Belongs here: the numbers, and a count as metadata tell it. Does not: who counts.
Invariant: the floor is that of the release plan.
"""

from __future__ import annotations

from typing import Final

from analytics_assets.privacy.plan import FLOOR

FLOOR_PEOPLE: Final = FLOOR + 1
STEP: Final = 5


def told_people(count: int) -> int | str:
    """A number of people for metadata; what is below the floor is not told."""
    return count if count >= FLOOR_PEOPLE else f"fewer than {FLOOR_PEOPLE}"
