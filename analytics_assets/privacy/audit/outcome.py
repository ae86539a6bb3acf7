"""What one attack came to, and when a figure is enough to judge by.

Belongs here: outcomes and the statistics behind verdicts. Does not: attacks. Invariant: an attack
is gated only where the test would notice a breach four times out of five; the rest is reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Verdict = Literal["held", "broken", "reported", "not run"]
Z_95: Final = 1.645  # one-sided
Z_95_TWO_SIDED: Final = 1.96
Z_POWER: Final = 0.842  # power 0.8


@dataclass(frozen=True)
class Outcome:
    """One figure of one attack. ``trials`` is how many cells, targets or pairs it rests on."""

    attack: str
    what: str
    figure: float | None
    limit: str
    verdict: Verdict
    trials: int
    note: str = ""

    @property
    def order(self) -> tuple[int, str]:
        return int(self.attack[1:]), self.what


def none_of(attack: str, what: str, found: int, trials: int, note: str = "") -> Outcome:
    """Of an attack that must not succeed once."""
    verdict: Verdict = "broken" if found else "held" if trials else "not run"
    return Outcome(attack, what, found, "0", verdict, trials, note)


def at_most(
    attack: str,
    what: str,
    figure: float,
    error: float,
    limit: float,
    trials: int,
    note: str = "",
    *,
    expected: float = 0.0,
    interval: bool = False,
) -> Outcome:
    """Of a rate with a standard error; ``expected`` is what an honest release comes to.

    Broken where the whole 95 % interval lies above the limit. Not gated where a breach as far above
    the limit as the limit is above what is expected would be missed more than once in five. With
    ``interval`` the note says between what the rate lies, 19 times in 20.
    """
    if not trials or math.isnan(figure):
        return Outcome(attack, what, None, f"<= {limit:g}", "not run", 0, note)
    if interval:
        wide = Z_95_TWO_SIDED * error
        within = f"95 % interval {figure - wide:.3f} to {figure + wide:.3f}"
        note = f"{within}; {note}" if note else within
    powerful = error * (Z_95 + Z_POWER) <= limit - expected
    if figure - Z_95 * error > limit:
        verdict: Verdict = "broken"
    else:
        verdict = "held" if powerful and figure <= limit else "reported"
    return Outcome(attack, what, round(figure, 4), f"<= {limit:g}", verdict, trials, note)


def at_least(
    attack: str, what: str, figure: float, error: float, limit: float, trials: int, note: str = ""
) -> Outcome:
    """Of a figure that must not fall below a limit, with its standard error."""
    if not trials or math.isnan(figure):
        return Outcome(attack, what, None, f">= {limit:g}", "not run", 0, note)
    verdict: Verdict = "broken" if figure + Z_95 * error < limit else "held"
    return Outcome(attack, what, round(figure, 4), f">= {limit:g}", verdict, trials, note)


def reported(attack: str, what: str, figure: float, trials: int, note: str = "") -> Outcome:
    return Outcome(attack, what, round(figure, 4), "", "reported", trials, note)


def not_run(attack: str, what: str, why: str) -> Outcome:
    return Outcome(attack, what, None, "", "not run", 0, why)


def mean_by_person(scores: dict[str, list[float]]) -> tuple[float, float]:
    """Mean and standard error of repeated scores of people; people are the independent unit."""
    people = [(sum(values), len(values)) for values in scores.values() if values]
    weight = sum(count for _, count in people)
    if len(people) <= 1:
        return math.nan, math.nan
    mean = sum(total for total, _ in people) / weight
    spread = sum((total - mean * count) ** 2 for total, count in people)
    return mean, math.sqrt(spread * len(people) / (len(people) - 1)) / weight


def broken(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.verdict == "broken"]
