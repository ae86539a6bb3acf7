"""How much two partitions of the same things agree: adjusted Rand index, mutual information.

Belongs here: comparing partitions. Does not: which partitions are compared. Invariant: pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from math import comb, log


def adjusted_rand(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    """Agreement of two partitions of the same things: 1 for the same, about 0 for chance."""
    pairs = sum(comb(n, 2) for n in Counter(zip(one, other, strict=True)).values())
    of_one = sum(comb(n, 2) for n in Counter(one).values())
    of_other = sum(comb(n, 2) for n in Counter(other).values())
    expected = of_one * of_other / max(comb(len(one), 2), 1)
    most = (of_one + of_other) / 2
    return 1.0 if most == expected else (pairs - expected) / (most - expected)


def mutual_information(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    """Normalised mutual information (arithmetic mean of entropies), 0 to 1."""
    n = len(one)
    left, right = Counter(one), Counter(other)
    shared = sum(
        count / n * log(count * n / (left[a] * right[b]))
        for (a, b), count in Counter(zip(one, other, strict=True)).items()
    )
    entropies = [-sum(c / n * log(c / n) for c in counted.values()) for counted in (left, right)]
    mean = sum(entropies) / 2
    return shared / mean if mean else 1.0
