"""Attacks on the numbers themselves: what was counted, how exactly, and how useful it still is.

Belongs here: T2 small classes, T12 averaging, T16 dominance, T17 noise, T19 utility. Does not:
subtraction, linkage. Invariant: a reader's best guess of a number is what is judged.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from analytics_assets.privacy.audit.outcome import (
    Outcome,
    at_least,
    at_most,
    none_of,
    not_run,
    reported,
)
from analytics_assets.privacy.audit.placing import Placed
from analytics_assets.privacy.audit.released import LEAST, NOISE_BOUND, Slot
from analytics_assets.privacy.audit.truth import Truth

UNCLIPPED = LEAST + NOISE_BOUND  # from here on, noise never meets the floor
FEW = 50
ENOUGH_CELLS = 30
LEAST_EXPECTED = 5  # cells in each part of a chi-squared test
UNLIKELY = 1e-4
MOST_MERGED = 2
PEOPLE_KEPT, PEOPLE_PRECISE = 120, 400  # from so many on, use is gated


def small_classes(placed: Mapping[str, Placed]) -> list[Outcome]:
    """T2: published numbers below the floor, with fewer people behind them, or of other things."""
    small = other = cells = 0
    for table in placed.values():
        for _, _, n, people in table.cells():
            cells += 1
            small += n < LEAST or people < LEAST
            other += not table.explained(n, people)
    return [
        none_of("T2", "cells of fewer than 11 people", small, cells),
        none_of("T2", "cells that count more than people", other, cells),
    ]


def averaging(placed: Mapping[str, Placed]) -> Outcome:
    """T12: how far a published number of fewer than 50 is from the truth."""
    errors = [
        n - people
        for table in placed.values()
        for _, _, n, people in table.certain_cells()
        if people < FEW
    ]
    return averaging_error("a cell taken as it stands", errors)


def averaging_error(what: str, errors: Sequence[float]) -> Outcome:
    """The outcome of estimates of cells under 50."""
    if len(errors) < ENOUGH_CELLS:
        return not_run("T12", what, f"fewer than {ENOUGH_CELLS} cells under {FEW}")
    square = sum(error * error for error in errors) / len(errors)
    root = math.sqrt(square)
    spread = math.sqrt(
        sum((error * error - square) ** 2 for error in errors) / (len(errors) - 1) / len(errors)
    )
    return at_least("T12", what, root, spread / (2 * root) if root else 0.0, 1.5, len(errors))


def dominance(placed: Mapping[str, Placed], truth: Truth) -> Outcome:
    """T16: cells with the person of most events, whose number is off by more than the noise."""
    off = cells = 0
    for table in placed.values():
        for slot, values, n, people in table.certain_cells():
            if truth.busiest.get(slot) in table.behind[slot, values]:
                cells += 1
                off += not max(LEAST, people - NOISE_BOUND) <= n <= max(LEAST, people + NOISE_BOUND)
    return none_of("T16", "cells moved by the busiest person", off, cells)


def noise_of(placed: Mapping[str, Placed]) -> list[int]:
    """Noise that never met the floor, of every cell in which all are certain to stand."""
    return [
        n - people
        for table in placed.values()
        for _, _, n, people in table.certain_cells()
        if people >= UNCLIPPED
    ]


def noise_soundness(noise: Sequence[int], weights: Mapping[int, int]) -> list[Outcome]:
    """T17: mean, and fit to the noise table (``weights`` by noise), of unclipped noise."""
    cells = len(noise)
    if cells < ENOUGH_CELLS:
        return [not_run("T17", "noise", f"fewer than {ENOUGH_CELLS} cells of {UNCLIPPED} or more")]
    from scipy.stats import chisquare

    total = sum(weights.values())
    deviation = math.sqrt(sum(value**2 * weight for value, weight in weights.items()) / total)
    mean = sum(noise) / cells
    found = [
        at_most(
            "T17", "mean of the noise", abs(mean), deviation / math.sqrt(cells), 0.05, cells,
            "not gated below 10,000 cells",
        )
    ]  # fmt: skip
    values = sorted(weights)
    seen = [sum(1 for value in noise if value == wanted) for wanted in values]
    strange = cells - sum(seen)
    expected = [cells * weights[value] / total for value in values]
    # The rare ends are taken together, so that each part expects five cells or more.
    while len(expected) > MOST_MERGED and expected[0] < LEAST_EXPECTED:
        expected[1:], seen[1:] = [sum(expected[:2]), *expected[2:]], [sum(seen[:2]), *seen[2:]]
        expected, seen = expected[1:], seen[1:]
    while len(expected) > MOST_MERGED and expected[-1] < LEAST_EXPECTED:
        expected, seen = [*expected[:-2], sum(expected[-2:])], [*seen[:-2], sum(seen[-2:])]
    fit = (
        float(chisquare(seen, [e * sum(seen) / sum(expected) for e in expected]).pvalue)
        if (sum(seen))
        else 0.0
    )
    unlike = strange > 0 or fit < UNLIKELY
    found.append(
        Outcome(
            "T17", "fit to the noise table (p)", round(fit, 4), ">= 0.0001",
            "broken" if unlike else "held", cells,
            "numbers that no noise explains" if strange else "",
        )
    )  # fmt: skip
    return found


def utility(
    placed: Mapping[str, Placed], *, gate: bool = True, people: int | None = None
) -> list[Outcome]:
    """T19: person-periods that stand in a cell, error of weekly numbers, error of shares.

    Gated in worlds only: how much a real deployment can publish is up to its size.
    """
    found = _kept(placed, gate=gate and people is not None and people >= PEOPLE_KEPT)
    precise = gate and people is not None and people >= PEOPLE_PRECISE
    error = total = 0.0
    weeks = 0
    for table in placed.values():
        if "week" not in table.released.plan.periods:
            continue
        for slot in table.people:
            if slot.kind == "week":
                weeks += 1
                off, everybody = _week_error(table, slot)
                error += off
                total += everybody
    if total:
        what, wape = "error of weekly numbers (WAPE)", error / total
        found.append(
            at_most("T19", what, wape, 0.0, 0.10, weeks)
            if precise
            else reported("T19", what, wape, weeks)
        )
    shares = _share_errors(placed)
    if shares:
        what, mean = "error of archetype shares", sum(shares) / len(shares)
        note = f"in points; the worst is {max(shares):.1f}"
        found.append(
            at_most("T19", what, mean, 0.0, 3.0, len(shares), note)
            if precise
            else reported("T19", what, mean, len(shares), note)
        )
    return found


def _kept(placed: Mapping[str, Placed], *, gate: bool) -> list[Outcome]:
    kept: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for table in placed.values():
        for slot, count in table.people.items():
            if slot.kind in table.released.plan.periods:
                kept[slot.kind][0] += count - len(table.unplaced[slot])
                kept[slot.kind][1] += count
    return [
        at_least("T19", f"share of person-{kind}s kept", part / whole, 0.0, 0.95, whole)
        if gate
        else reported("T19", f"share of person-{kind}s kept", part / whole, whole)
        for kind, (part, whole) in sorted(kept.items())
        if whole
    ]


def _week_error(table: Placed, slot: Slot) -> tuple[float, int]:
    """People that a week's classes are off by, of those that are told, and how many they are."""
    cells = table.cells_of(slot)
    told = [
        (cells.get(values, 0), len(members))
        for values, members in table.finest[slot].items()
        if not values or (values in cells and values != table.released.root)
    ]
    return sum(abs(n - people) for n, people in told), sum(people for _, people in told)


def _share_errors(placed: Mapping[str, Placed]) -> list[float]:
    """Of every month: how many points each archetype's published share is off."""
    table = placed.get("published.archetype_distribution")
    if table is None:
        return []
    found = []
    for slot in table.people:
        cells = table.cells_of(slot)
        published, true = sum(cells.values()), table.people[slot]
        if published:
            found += [
                abs(100 * cells.get(values, 0) / published - 100 * len(members) / true)
                for values, members in table.finest[slot].items()
            ]
    return found
