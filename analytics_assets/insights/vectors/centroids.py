"""Centroids of clusters as the bytes they are kept as.

Belongs here: both directions. Invariant: little-endian float32, whatever the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from analytics_assets.insights.vectors.embedding import DIMENSIONS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def centroid_bytes(centroid: NDArray[np.float32]) -> bytes:
    return centroid.astype("<f4").tobytes()


def centroids_of(rows: Iterator[bytes] | Sequence[bytes]) -> NDArray[np.float32]:
    """``float32[n, DIMENSIONS]`` of what ``centroid_bytes`` made."""
    import numpy as np

    joined = b"".join(rows)
    return np.frombuffer(joined, dtype="<f4").reshape(-1, DIMENSIONS).astype(np.float32)
