"""The workshop's work of clustering: vectors in, clusters out. See workshop.py for the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def perform(
    values: Mapping[str, Any], arrays: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """``values``: k, or null for the usual; ``arrays``: vectors and, from before, centroids and
    numbers. Gives the fields of Clustering.
    """
    import numpy as np

    from analytics_assets.insights.clustering import cluster, wanted_clusters
    from analytics_assets.insights.embedding import unit

    vectors = unit(arrays["vectors"].astype(np.float32))
    before = arrays.get("centroids")
    numbers = arrays.get("numbers")
    k = values["k"] or wanted_clusters(len(vectors), 0 if before is None else len(before))
    found = cluster(vectors, k, before=before, before_numbers=numbers)
    return {}, {
        "labels": found.labels,
        "numbers": found.numbers,
        "centroids": found.centroids,
        "parents": found.parents,
    }
