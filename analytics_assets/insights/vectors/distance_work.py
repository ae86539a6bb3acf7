"""The workshop's work of distances: vectors and centroids in. See workshop.py for the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def perform(
    values: Mapping[str, Any],  # noqa: ARG001 - the protocol's
    arrays: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """``arrays``: vectors and centroids. Gives ``distances``, as clustering.distances has them."""
    import numpy as np

    from analytics_assets.insights.vectors.clustering import distances
    from analytics_assets.insights.vectors.embedding import unit

    vectors = unit(arrays["vectors"].astype(np.float32))
    return {}, {"distances": distances(vectors, arrays["centroids"])}
