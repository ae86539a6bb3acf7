"""Conversations unlike all others: what a sample would miss, found by their vectors.

Belongs here: a day's vectors against the last clusters. Does not: making either (facet_vectors.py,
groups/facet_groups.py) or what is done about it (conversations/reading_plan.py, users/plan.py).
Invariant: nothing is embedded here, so a day's outliers are known from its first groups on; memory
holds one block of vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from typing import Any

import psycopg

from analytics_assets.insights.vectors.centroids import centroids_of
from analytics_assets.insights.vectors.embedding import DIMENSIONS
from analytics_assets.insights.vectors.far import outliers
from analytics_assets.insights.vectors.workshop import WorkshopError, work

BLOCK = 10_000
Place = tuple[str, str]

_LAST = """
select centroid, embedder, far
from insights.clusters
where kind = 'use_case' and level = 'cluster' and far is not null and as_of_day = (
    select max(as_of_day) from insights.clusters
    where kind = 'use_case' and level = 'cluster' and as_of_day <= %s
)
order by number
"""
# A row that a model has read since still has the vector of the user's first words, whatever topic
# rules had found for them.
_VECTORS = """
select distinct on (f.user_id, f.conversation_id) f.user_id, f.conversation_id, v.vector
from insights.conversation_facets as f
join insights.facet_vectors as v
    on v.user_id = f.user_id
    and v.embedder = %(embedder)s
    and split_part(v.text_digest, ':', 2) = f.text_digest
where f.day = %(day)s and f.user_id = any(%(users)s)
order by f.user_id, f.conversation_id, v.text_digest
"""


def outlying(
    conn: psycopg.Connection[Any],
    day: date,
    users: Sequence[str],
    most: int,
    without: AbstractSet[Place] = frozenset(),
) -> list[Place]:
    """The day's (user, conversation) of ``users`` further from every cluster than 99 % of what the
    clusters were made of; the furthest first, at most ``most``. Needs the caller's transaction.
    """
    last = conn.execute(_LAST, [day]).fetchall() if most > 0 and users else []
    if not last:
        return []
    import numpy as np

    _, embedder, limit = last[0]
    centroids = centroids_of([row[0] for row in last])
    found: list[tuple[float, Place]] = []
    with conn.cursor(name="outlying") as cursor:
        cursor.execute(_VECTORS, {"embedder": embedder, "day": day, "users": list(users)})
        while rows := cursor.fetchmany(BLOCK):
            block = [(place, raw) for *place, raw in rows if tuple(place) not in without]
            if not block:
                continue
            joined = b"".join(raw for _, raw in block)
            vectors = np.frombuffer(joined, dtype="<f2").reshape(-1, DIMENSIONS)
            try:
                done = work("distances", {}, {"vectors": vectors, "centroids": centroids})
            except WorkshopError:
                # Reading goes on without them; where memory is short, the groups say so.
                return []
            distances = done.arrays["distances"].tolist()
            for position in outliers(distances, float(limit), most):
                user_id, conversation_id = block[position][0]
                found.append((distances[position], (user_id, conversation_id)))
    found.sort(key=lambda one: (-one[0], one[1]))
    return [place for _, place in found[:most]]
