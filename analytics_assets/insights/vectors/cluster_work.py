"""The workshop's work of clustering: vectors in, clusters out. See workshop.py for the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any


def perform(
    values: Mapping[str, Any], arrays: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """``values``: kinds and, where not the usual, k by kind; ``arrays``: for each kind its vectors,
    where there was a run before centroids and numbers, and where only some rows shape clusters
    which (``shapes``). Gives Clustering's fields for each.
    """
    import numpy as np

    from analytics_assets.insights.vectors.clustering import cluster, wanted_clusters, with_rest
    from analytics_assets.insights.vectors.embedding import unit

    made = {}
    for kind in values["kinds"]:
        everything, shapes = arrays[f"{kind}.vectors"], arrays.get(f"{kind}.shapes")
        shaping = everything if shapes is None else everything[shapes]
        vectors = unit(shaping.astype(np.float32))
        before = arrays.get(f"{kind}.centroids")
        numbers = arrays.get(f"{kind}.numbers")
        k = values.get("k", {}).get(kind) or wanted_clusters(
            len(vectors), 0 if before is None else len(before)
        )
        found = cluster(vectors, k, before=before, before_numbers=numbers)
        del vectors
        if shapes is not None:
            found = with_rest(found, everything, shapes)
        for field in fields(found):
            made[f"{kind}.{field.name}"] = getattr(found, field.name)
    return {}, made
