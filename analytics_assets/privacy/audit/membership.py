"""Attacks by somebody who knows everybody but the target: membership and sybil, by trial cells.

Belongs here: T11, T15, and what trial cells tell of T12 and T17. Does not: drawing the cells
(worlds.py). Invariant: the threshold is chosen on one half of the trials and judged on the other.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from analytics_assets.privacy.audit.counting import UNCLIPPED, averaging_error, noise_soundness
from analytics_assets.privacy.audit.outcome import Outcome, at_most, none_of, reported
from analytics_assets.privacy.audit.released import ReleasedTable, Slot

if TYPE_CHECKING:
    from analytics_assets.privacy.audit.worlds import Trials

LIMIT = 0.25
ABSENT = 0
DAYS_REPORTED = (7, 30)
DRAWS = 20_000


def trial_outcomes(
    released: ReleasedTable,
    trials: Trials,
    weights: Mapping[int, int],
    noise: Sequence[int] = (),
) -> list[Outcome]:
    """Everything the trial cells tell; ``noise`` is unclipped noise of other cells."""
    numbers = {
        (week, label): released.cells.get(Slot("week", week), {}).get((label,), ABSENT)
        for week, label in trials.cells
    }
    pairs: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for (_, label), n in numbers.items():
        if label.startswith("pair-"):
            _, size, _, more = label.split("-")
            pairs[int(size)][int(more)].append(n)
    found = []
    smallest = min(pairs, default=0)
    for people, (without, with_target) in sorted(pairs.items()):
        attack, what = ("T15", "sybil") if people == smallest else ("T11", "membership")
        gain, error = advantage(without, with_target)
        found.append(
            at_most(
                attack, f"{what}: TPR - FPR at {people} or {people + 1} people", gain, error, LIMIT,
                len(without), expected=0.2, interval=True,
            )
        )  # fmt: skip
    unclipped = [
        numbers[cell] - people
        for cell, people in trials.cells.items()
        if people >= UNCLIPPED and numbers[cell] != ABSENT
    ]
    found += [
        reported(
            "T11", f"membership over {days} days", composed(unclipped, days), len(unclipped),
            "with other people in the cell every day; k-anonymity does not protect against this",
        )
        for days in DAYS_REPORTED
    ]  # fmt: skip
    found += noise_soundness([*unclipped, *noise], weights)
    return found + _stickiness(numbers, trials)


def advantage(without: Sequence[int], with_target: Sequence[int]) -> tuple[float, float]:
    """The best rule's TPR - FPR with its standard error, each half judged by the other's rule."""
    rates = []
    for chosen, judged in ((0, 1), (1, 0)):
        seen = Counter(with_target[chosen::2])
        seen.subtract(Counter(without[chosen::2]))
        says_in = {n for n, more in seen.items() if more > 0}
        rates.append([_share(with_target[judged::2], says_in), _share(without[judged::2], says_in)])
    true = sum(rate[0] for rate in rates) / 2
    false = sum(rate[1] for rate in rates) / 2
    error = math.sqrt((true * (1 - true) + false * (1 - false)) / max(len(without), 1))
    return true - false, error


def _share(numbers: Sequence[int], chosen: set[int]) -> float:
    return sum(n in chosen for n in numbers) / len(numbers)


def composed(noise: Sequence[int], periods: int) -> float:
    """TPR - FPR of the sum of so many independent numbers, by drawing from the noise seen."""
    import numpy as np

    rng = np.random.default_rng(periods)
    sums = rng.choice(np.array(noise or [0]), (DRAWS, periods)).sum(axis=1)
    return advantage(sums.tolist(), (sums[::-1] + periods).tolist())[0]


def _stickiness(numbers: Mapping[tuple[date, str], int], trials: Trials) -> list[Outcome]:
    """The same people told again, elsewhere and later: what averaging wins."""
    shown = {cell for cell, n in numbers.items() if n != ABSENT}
    again = [pair for pair in trials.again if shown.issuperset(pair)]
    changed = sum(numbers[first] != numbers[second] for first, second in again)
    means = [
        (numbers[first] + numbers[second]) / 2 - trials.cells[first] for first, second in again
    ]
    exchanged = [
        (numbers[first] - trials.cells[first], numbers[second] - trials.cells[second])
        for first, second in trials.exchanged
        if shown.issuperset((first, second))
    ]
    return [
        none_of("T17", "same people, other number", changed, len(again)),
        averaging_error("the same people told twice", means),
        at_most(
            "T17", "correlation of noise, one person exchanged", abs(_correlation(exchanged)),
            1 / math.sqrt(max(len(exchanged), 1)), 0.02, len(exchanged),
        ),
    ]  # fmt: skip


def _correlation(pairs: Sequence[tuple[float, float]]) -> float:
    if len(pairs) < 2:  # noqa: PLR2004
        return math.nan
    first = [a - sum(x for x, _ in pairs) / len(pairs) for a, _ in pairs]
    second = [b - sum(y for _, y in pairs) / len(pairs) for _, b in pairs]
    scale = math.sqrt(sum(a * a for a in first) * sum(b * b for b in second))
    return sum(a * b for a, b in zip(first, second, strict=True)) / scale if scale else 1.0
