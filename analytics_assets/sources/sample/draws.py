"""Seeded randomness: one independent stream per purpose and day.

Belongs here: how streams are keyed and how values are drawn from them. Does not: what is drawn.
Invariant: a stream depends on the seed and its key only, never on how much another one was used,
so that leaving one kind of data out changes no byte of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

COMPANY: Final = 1
CALENDAR: Final = 2
PRESENCE: Final = 3
SESSIONS: Final = 4
EVENTS: Final = 5
DEFECTS: Final = 6
CONVERSATIONS: Final = 7
JOBS: Final = 8


def stream(seed: int, *key: int) -> np.random.Generator:
    """The generator for one purpose (and day, and slab)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def zipf_weights(count: int, exponent: float, offset: float = 0.0) -> Floats:
    """Probabilities of ranks 1..count, falling as 1 / (rank + offset) ** exponent."""
    weights = 1.0 / (np.arange(1, count + 1) + offset) ** exponent
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def pick(generator: np.random.Generator, cumulative: Floats, size: int) -> Ints:
    """``size`` indexes drawn with the probabilities whose running sum is ``cumulative``."""
    found = np.searchsorted(cumulative, generator.random(size) * cumulative[-1], side="right")
    return np.asarray(np.minimum(found, len(cumulative) - 1), dtype=np.int64)


def apportion(total: int, weights: Floats) -> Ints:
    """Whole numbers in proportion to ``weights`` that sum to ``total`` (largest remainders)."""
    exact = weights / weights.sum() * total
    parts: Ints = np.floor(exact).astype(np.int64)
    missing = total - int(parts.sum())
    parts[np.argsort(parts - exact, kind="stable")[:missing]] += 1
    return parts


class Dice:
    """Cheap single draws for text, where arrays do not help: uniforms drawn 4,096 at a time."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._pool: list[float] = []

    def uniform(self) -> float:
        """A number in [0, 1)."""
        if not self._pool:
            self._pool = self._generator.random(4096).tolist()
        return self._pool.pop()

    def below(self, limit: int) -> int:
        """A whole number in [0, limit)."""
        return int(self.uniform() * limit)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform() < probability

    def choose(self, options: Sequence[T]) -> T:
        """One of the options, all alike."""
        return options[int(self.uniform() * len(options))]

    def choose_weighted(self, options: Sequence[T], weights: Sequence[float]) -> T:
        """One of the options with probabilities in proportion to ``weights``."""
        rest = self.uniform() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            rest -= weight
            if rest < 0:
                return option
        return options[-1]
