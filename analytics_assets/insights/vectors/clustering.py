"""Groups of vectors: k-means on directions, a tree above it, and clusters that keep their number.

Belongs here: arithmetic on arrays. Does not: people, the gate (groups/grouping.py) or words
(groups/naming.py). Invariant: pure and seeded, the same arrays give the same clusters; a cluster
that is still there in the next run keeps its number, so that names do not churn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from analytics_assets.insights.vectors.far import far_limit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Numbers = NDArray[np.int64]

SEED = 7
ROWS_PER_CLUSTER = 25
MAX_ROUNDS = 15
SETTLED_SHARE = 0.001
SEEDING_ROWS = 4  # of each cluster to be, drawn to choose the first centroids among
CHUNK = 8192
# Within this of the wanted number the old number of clusters stays.
K_SLACK = 0.3
# A cluster whose direction turned further than this is another one (cosine).
SAME_CLUSTER = 0.7
TREE_STEPS = (6, 36)
# Vectors are kept in 16 bits: closer than this, distances are the same.
DISTANCE_DIGITS = 4


@dataclass(frozen=True)
class Clustering:
    """``labels[n]``: the place of each row's cluster in ``numbers`` and ``centroids``.

    ``numbers[k]`` are the clusters' names for good; ``parents[levels, k]`` say to which node each
    belongs at every level of the tree, fine to coarse, the last being the root. ``far``: the
    distance from its centroid that 1 % of the rows exceed.
    """

    labels: Numbers
    numbers: Numbers
    centroids: Vectors
    parents: Numbers
    far: float = 2.0


def wanted_clusters(rows: int, before: int = 0) -> int:
    """About one for ROWS_PER_CLUSTER rows; the old number while that is near."""
    k = max(1, round(rows / ROWS_PER_CLUSTER))
    near = before and abs(k - before) <= K_SLACK * max(k, before)
    return before if near else k


def cluster(
    vectors: Vectors,
    k: int,
    *,
    before: Vectors | None = None,
    before_numbers: Numbers | None = None,
    seed: int = SEED,
) -> Clustering:
    """At most ``k`` clusters of rows of length 1, beginning from those there were before."""
    import numpy as np

    distinct, place_of_row, counts = _distinct(vectors)
    k = min(k, len(distinct))
    weights = counts.astype(np.float32)
    centroids = _first(distinct, weights, k, before, seed)
    labels, centroids = _rounds(distinct, weights, centroids)
    numbers = _aligned(centroids, before, before_numbers)
    far = far_limit(distances(distinct, centroids)[place_of_row].tolist()) if len(vectors) else 2.0
    return Clustering(labels[place_of_row], numbers, centroids, _tree(centroids), far)


def with_rest(found: Clustering, vectors: Any, shapes: NDArray[np.bool_]) -> Clustering:
    """Clusters of the rows that shape them, with labels for all rows of ``vectors``.

    The others, of any length and precision, get the cluster nearest to them and move nothing; only
    ``far`` is about all, since what is unlike all of them is looked for among all.
    """
    import numpy as np

    from analytics_assets.insights.vectors.embedding import unit

    labels = np.empty(len(vectors), dtype=np.int64)
    apart = np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), CHUNK):
        # One block at a time in full precision: the others are most of the rows.
        block = unit(vectors[start : start + CHUNK].astype(np.float32))
        place, cosines = nearest(block, found.centroids)
        labels[start : start + CHUNK] = place
        apart[start : start + CHUNK] = (1.0 - cosines).round(DISTANCE_DIGITS)
    labels[shapes] = found.labels
    return replace(found, labels=labels, far=far_limit(apart.tolist()))


def nearest(vectors: Vectors, centroids: Vectors) -> tuple[Numbers, Vectors]:
    """For every row the closest centroid and its cosine."""
    import numpy as np

    labels = np.empty(len(vectors), dtype=np.int64)
    cosines = np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), CHUNK):
        part = vectors[start : start + CHUNK] @ centroids.T
        best = part.argmax(axis=1)
        labels[start : start + CHUNK] = best
        cosines[start : start + CHUNK] = part[np.arange(len(best)), best]
    return labels, cosines


def distances(vectors: Vectors, centroids: Vectors) -> Vectors:
    """How far each row is from the closest centroid: 1 - cosine, rounded."""
    return (1.0 - nearest(vectors, centroids)[1]).round(DISTANCE_DIGITS)


def matched(now: Vectors, before: Vectors, least: float) -> list[tuple[int, int]]:
    """Pairs (now, before) of an optimal one-to-one matching with a cosine of ``least`` or more."""
    from scipy.optimize import linear_sum_assignment

    if not len(now) or not len(before):
        return []
    cosines = now @ before.T
    rows, columns = linear_sum_assignment(-cosines)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if cosines[r, c] >= least]


def _distinct(vectors: Vectors) -> tuple[Vectors, Numbers, Numbers]:
    """Rows that are alike count as one with a weight: rules give many people the same sentence."""
    import numpy as np

    rows = np.ascontiguousarray(vectors)
    whole = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, inverse, counts = np.unique(
        whole, return_index=True, return_inverse=True, return_counts=True
    )
    # In the order of the rows, so that adding one at the end moves nothing.
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rows[first[order]], rank[inverse.ravel()], counts[order]


def _first(
    vectors: Vectors, weights: Vectors, k: int, before: Vectors | None, seed: int
) -> Vectors:
    import numpy as np

    if before is None or not len(before):
        return _spread(vectors, weights, np.empty((0, vectors.shape[1]), np.float32), k, seed)
    labels, _ = nearest(vectors, before)
    sizes = np.bincount(labels, weights=weights, minlength=len(before))
    # Of clusters without rows none goes on; of too many, the largest do.
    kept = [int(place) for place in np.argsort(-sizes, kind="stable")[:k] if sizes[place] > 0]
    old = before[sorted(kept)]
    return _spread(vectors, weights, old, k, seed) if len(old) < k else old


def _spread(vectors: Vectors, weights: Vectors, given: Vectors, k: int, seed: int) -> Vectors:
    """More centroids beside ``given``, each drawn far from all that are there (k-means++)."""
    import numpy as np

    rng = np.random.default_rng(seed)
    pool = np.arange(len(vectors))
    if len(pool) > SEEDING_ROWS * k:
        drawn = rng.choice(len(pool), SEEDING_ROWS * k, replace=False, p=weights / weights.sum())
        pool = np.sort(drawn)
    candidates, weight = vectors[pool], weights[pool].astype(np.float64)
    far = np.full(len(pool), 2.0)
    if len(given):
        far = 1.0 - nearest(candidates, given)[1].astype(np.float64)
    chosen: list[int] = []
    while len(chosen) + len(given) < k:
        mass = np.cumsum(np.maximum(far, 0.0) * weight)
        if mass[-1] <= 1e-9:  # noqa: PLR2004 - nothing is left that is not a centroid
            break
        place = min(int(np.searchsorted(mass, rng.random() * mass[-1])), len(pool) - 1)
        chosen.append(place)
        far = np.minimum(far, 1.0 - candidates @ candidates[place])
    return np.concatenate([given, candidates[chosen]]).astype(np.float32)


def _rounds(vectors: Vectors, weights: Vectors, centroids: Vectors) -> tuple[Numbers, Vectors]:
    import numpy as np

    labels, _ = nearest(vectors, centroids)
    for _ in range(MAX_ROUNDS):
        centroids, labels = _centres(vectors, weights, labels)
        moved, _ = nearest(vectors, centroids)
        changed = float(weights[moved != labels].sum())
        labels = moved
        if changed <= SETTLED_SHARE * float(weights.sum()):
            break
    centroids, labels = _centres(vectors, weights, labels)
    return labels.astype(np.int64), centroids


def _centres(vectors: Vectors, weights: Vectors, labels: Numbers) -> tuple[Vectors, Numbers]:
    """Mean directions of the clusters that have rows, and the labels without the empty ones."""
    import numpy as np
    from scipy.sparse import csr_matrix

    from analytics_assets.insights.vectors.embedding import unit

    present, labels = np.unique(labels, return_inverse=True)
    rows = len(vectors)
    members = csr_matrix(
        (weights, (labels, np.arange(rows))), shape=(len(present), rows), dtype=np.float32
    )
    return unit(members @ vectors), labels.astype(np.int64)


def _aligned(centroids: Vectors, before: Vectors | None, before_numbers: Numbers | None) -> Numbers:
    import numpy as np

    if before is None or before_numbers is None or not len(before):
        return np.arange(1, len(centroids) + 1)
    numbers = np.zeros(len(centroids), dtype=np.int64)
    for now, then in matched(centroids, before, SAME_CLUSTER):
        numbers[now] = before_numbers[then]
    fresh = numbers == 0
    numbers[fresh] = int(before_numbers.max()) + np.arange(1, int(fresh.sum()) + 1)
    return numbers


def _tree(centroids: Vectors) -> Numbers:
    """Nested levels above the clusters: about one node for 6 of them, for 36, and the root."""
    import numpy as np

    k = len(centroids)
    levels: list[Any] = []
    if k > TREE_STEPS[0]:
        from scipy.cluster.hierarchy import fcluster, linkage

        merged = linkage(centroids, method="average", metric="cosine")
        levels = [
            fcluster(merged, max(2, round(k / step)), criterion="maxclust")
            for step in TREE_STEPS
            if k / step > 1
        ]
    return np.array([*levels, np.zeros(k, dtype=np.int64)], dtype=np.int64)
