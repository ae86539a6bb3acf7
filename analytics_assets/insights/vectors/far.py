"""How far is far: the distance beyond which a conversation is unlike all others.

Belongs here: arithmetic on distances. Does not: distances (vectors/distance_work.py) or SQL
(outlying.py). Invariant: pure and deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

OUTLIER_QUANTILE: Final = 0.99


def far_limit(distances: Sequence[float]) -> float:
    """The OUTLIER_QUANTILE of distances: what lies beyond it is an outlier."""
    return sorted(distances)[math.ceil(OUTLIER_QUANTILE * len(distances)) - 1]


def outliers(distances: Sequence[float], limit: float, most: int) -> list[int]:
    """Places of the distances beyond ``limit``, the furthest first, at most ``most``."""
    far = [place for place, distance in enumerate(distances) if distance > limit]
    return sorted(far, key=lambda place: (-distances[place], place))[:most]
