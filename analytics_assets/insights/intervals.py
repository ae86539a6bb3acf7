"""How sure a figure is: intervals of 95 %, and a word for them.

Belongs here: pure arithmetic. Does not: queries. Invariant: conversations of one person are not
independent, so a share of conversations is judged by how people differ, never by how many
conversations there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from typing import Final

Z: Final = 1.96


class Confidence(StrEnum):
    """How far a figure carries a decision; NONE where there is no figure."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    NONE = "none"


# People, and half the interval's length as a share of the figure's range.
_HIGH: Final = (100, 0.05)
_MEDIUM: Final = (30, 0.15)


@dataclass(frozen=True)
class Interval:
    """A figure and where it would lie in 95 of 100 samples like this one."""

    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Sums:
    """Of each person's hits ``a`` among their ``n``: sums over people, enough for a ratio.

    ``people`` have an ``n`` above 0, ``having`` an ``a`` above 0; ``largest`` is the largest ``a``.
    """

    people: int = 0
    having: int = 0
    n: float = 0.0
    nn: float = 0.0
    a: float = 0.0
    aa: float = 0.0
    an: float = 0.0
    largest: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.people + other.people,
            self.having + other.having,
            self.n + other.n,
            self.nn + other.nn,
            self.a + other.a,
            self.aa + other.aa,
            self.an + other.an,
            max(self.largest, other.largest),
        )

    def among(self, everyone: Sums) -> Sums:
        """The same hits among everyone's ``n``: people without a hit bring only their ``n``."""
        return Sums(
            everyone.people,
            self.having,
            everyone.n,
            everyone.nn,
            self.a,
            self.aa,
            self.an,
            self.largest,
        )


def wilson(hits: float, of: float, z: float = Z) -> Interval:
    """A share of independent things. ``of`` must be above 0."""
    share = hits / of
    centre = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def ratio(sums: Sums, lowest: float = 0.0, highest: float = 1.0) -> Interval:
    """A share or mean over what people have several of; a person is what was sampled.

    Where nobody differs from anybody the people's Wilson interval is told instead of a point.
    """
    value = sums.a / sums.n
    people = sums.people
    spread = sums.aa - 2 * value * sums.an + value * value * sums.nn
    half = 0.0
    if people > 1:
        half = Z * sqrt(max(spread, 0.0) * people / (people - 1)) / sums.n
    if half == 0.0:
        inside = wilson(people * (value - lowest) / (highest - lowest), people)
        scale = highest - lowest
        return Interval(value, lowest + inside.low * scale, lowest + inside.high * scale)
    return Interval(value, max(lowest, value - half), min(highest, value + half))


def difference(one: Interval, other: Interval) -> Interval:
    """How much larger ``one`` is, after Newcombe: the distances to both ends, squared and added."""
    value = one.value - other.value
    below = sqrt((one.value - one.low) ** 2 + (other.high - other.value) ** 2)
    above = sqrt((one.high - one.value) ** 2 + (other.value - other.low) ** 2)
    return Interval(value, value - below, value + above)


def confidence(people: int, half: float, *, span: float = 1.0, guessed: bool = False) -> Confidence:
    """high, medium or low by people and length of the interval; a step less where most of what it
    stands on was read by rules.
    """
    reached = 0
    for step, (enough, narrow) in enumerate((_MEDIUM, _HIGH), start=1):
        if people >= enough and half / span <= narrow:
            reached = step
    return (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)[max(0, reached - guessed)]
