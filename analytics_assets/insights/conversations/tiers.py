"""How much is read at which scale: tiers with hysteresis, samples with weights, honest estimates.

Belongs here: arithmetic of sampling. Does not: SQL (reading_plan.py, users/plan.py) or asking.
Invariant: pure and deterministic, a draw follows from ids and a seed alone; every estimate comes
with an interval, and the weights of a sample add up to what it stands for.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from analytics_assets.insights import intervals

BOUNDS: Final = (100, 1_000, 10_000)
HYSTERESIS: Final = 0.1
SAMPLE: Final = 1_067  # ±3 points at 95 %, whatever the population
CALLS_A_DAY: Final[Mapping[int, int | None]] = {1: None, 2: None, 3: 3_000, 4: 1_500}
# What each kind of question may take of a day's calls; what they leave is for personas.
READ_A_DAY: Final[Mapping[int, int | None]] = {1: None, 2: None, 3: 2_000, 4: 1_100}
OUTLIERS_A_DAY: Final[Mapping[int, int]] = {1: 0, 2: 0, 3: 200, 4: 100}
USERS_A_DAY: Final[Mapping[int, int | None]] = {1: None, 2: None, 3: 300, 4: 0}
NAMES_A_DAY: Final[Mapping[int, int | None]] = {1: None, 2: None, 3: 100, 4: 60}
LEAST_OF_STRATUM: Final = 2
BORROWED: Final = 4
Z95: Final = 1.959963984540054


class Interval(NamedTuple):
    """A share with the ends of its 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Drawn:
    """One unit of a sample; ``weight``: how many units it stands for."""

    unit: Hashable
    stratum: Hashable
    weight: float


class Stratum(NamedTuple):
    """Units drawn of a stratum, and how many units each stands for."""

    drawn: int
    weight: float


def tier_of(users: int, before: int | None = None) -> int:
    """1 to 4 by consenting users active in 28 days; leaves the old tier only beyond ±10 %."""
    plain = 1 + sum(users >= bound for bound in BOUNDS)
    if before is None or plain == before:
        return plain
    # In hundredths, because 100 * 1.1 is a little more than 110.
    wider = round(100 * HYSTERESIS)
    limits = (
        bound * (100 + (wider * (rank >= before) if plain > before else -wider * (rank < before)))
        for rank, bound in enumerate(BOUNDS, start=1)
    )
    return 1 + sum(100 * users >= limit for limit in limits)


def allocated(sizes: Mapping[Hashable, int], total: int) -> dict[Hashable, int]:
    """How many to draw of each stratum: in proportion, at least LEAST_OF_STRATUM, all of a small
    one; ``total`` in all, where the least of each leaves room for that.
    """
    population = sum(sizes.values())
    if population <= total:
        return dict(sizes)
    found = {
        name: min(size, max(LEAST_OF_STRATUM, math.floor(total * size / population)))
        for name, size in sizes.items()
    }
    # What is left goes where most was cut off, what is too much comes off the largest.
    rest = total - sum(found.values())
    by_need = sorted(
        sizes, key=lambda name: (found[name] - total * sizes[name] / population, str(name))
    )
    for name in by_need:
        if rest > 0 and found[name] < sizes[name]:
            found[name] += 1
            rest -= 1
    while rest < 0:
        name = max(found, key=lambda one: (found[one], str(one)))
        if found[name] <= 1:
            break
        found[name] -= 1
        rest += 1
    return found


def draw(units: Iterable[tuple[Hashable, Hashable]], total: int, seed: str) -> list[Drawn]:
    """A stratified sample of ``(unit, stratum)``: the lowest hashes of each stratum, so that a unit
    that was drawn stays drawn when others come and go.
    """
    strata: dict[Hashable, list[Hashable]] = defaultdict(list)
    for unit, stratum in units:
        strata[stratum].append(unit)
    wanted = allocated({name: len(members) for name, members in strata.items()}, total)
    found: list[Drawn] = []
    for name in sorted(strata, key=str):
        members = sorted(strata[name], key=lambda unit: (_hash(unit, seed), str(unit)))
        taken = members[: wanted[name]]
        weight = len(members) / len(taken) if taken else 0.0
        found.extend(Drawn(unit, name, weight) for unit in taken)
    return found


def wilson(hits: float, n: float, population: float | None = None) -> Interval:
    """A share and its Wilson interval; of a whole population there is nothing to estimate."""
    if n <= 0:
        return Interval(0.0, 0.0, 1.0)
    share = min(max(hits / n, 0.0), 1.0)
    size = n
    if population is not None:
        if population <= n:
            return Interval(round(share, 4), round(share, 4), round(share, 4))
        # A sample of most of a population knows more than one of few.
        size = n * (population - 1) / (population - n)
    found = intervals.wilson(share * size, size, Z95)
    return Interval(round(share, 4), round(found.low, 4), round(found.high, 4))


def weighted_share(sample: Sequence[Drawn], hits: Sequence[bool]) -> Interval:
    """The share of the population that ``hits``, from a stratified sample, with an interval.

    The variance is that of the strata; the interval is Wilson's at the sample size that would have
    the same variance, so that it stays within 0 and 1 and honest near its ends.
    """
    counted: Counter[Hashable] = Counter()
    found: Counter[Hashable] = Counter()
    weights: dict[Hashable, float] = {}
    for one, hit in zip(sample, hits, strict=True):
        counted[one.stratum] += 1
        found[one.stratum] += hit
        weights[one.stratum] = one.weight
    return share_of_strata({name: Stratum(n, weights[name]) for name, n in counted.items()}, found)


def share_of_strata(strata: Mapping[Hashable, Stratum], hits: Mapping[Hashable, int]) -> Interval:
    """``weighted_share`` from the number of units and hits of each stratum."""
    population = sum(one.weight * one.drawn for one in strata.values())
    if not population:
        return wilson(0, 0)
    share = sum(one.weight * hits.get(name, 0) for name, one in strata.items()) / population
    rare = min(share, 1 - share)
    # A stratum with few hits says little about its own spread: it borrows that of all, as much as
    # units of all that hold BORROWED hits.
    borrowed = BORROWED / rare if rare > 0 else 0.0
    variance = unknown = 0.0
    for name, (n, weight) in strata.items():
        size = weight * n
        if size <= n:
            continue
        part = (size / population) ** 2 / n * (1 - n / size)
        unknown += part
        if rare > 0:
            smooth = (hits.get(name, 0) + borrowed * share) / (n + borrowed)
            variance += part * smooth * (1 - smooth)
    if not unknown:
        return Interval(round(share, 4), round(share, 4), round(share, 4))
    # The size of a plain sample as uncertain as this one. Where none or all of it are hits no
    # spread is seen, and the strata are taken for alike.
    alike = share * (1 - share) / variance if variance else 1 / unknown
    return wilson(share * alike, alike)


def chosen(ranked: Iterable[str], answered: AbstractSet[str], most: int) -> frozenset[str]:
    """The first ``most`` of ``ranked``, who may be named twice, that have no answer yet."""
    fresh = dict.fromkeys(user for user in ranked if user not in answered)
    return frozenset(islice(fresh, max(0, most)))


def _hash(unit: Hashable, seed: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{unit}".encode(), digest_size=8).digest()
