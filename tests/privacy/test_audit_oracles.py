"""The integer programs of T4, against two oracles: counting every case, and tau-ARGUS.

tau-ARGUS is what statistical offices audit suppressed tables with; ours must know as much as it.
"""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path

import pytest

from analytics_assets.privacy.audit.subtraction import FLOOR, MOST_SURCHARGE, Sum, bounds

LEAST = FLOOR + 1


def counted(known: Sum) -> tuple[int, int] | None:
    """Least and most of one leaf, over every case there is."""
    sizes = range(1, min(known.most, known.high) + 1)
    held = [
        case
        for case in product(sizes, repeat=known.leaves)
        if known.low <= sum(case) <= known.high
        and (
            not known.first_pool
            # One that failed at least; whoever else is in it was taken in, or failed as well.
            or any(
                case[place] <= FLOOR + MOST_SURCHARGE
                and all(
                    size <= FLOOR + MOST_SURCHARGE or size >= LEAST
                    for other, size in enumerate(case)
                    if other != place
                )
                for place in range(known.leaves)
            )
        )
    ]
    return (min(case[0] for case in held), max(case[0] for case in held)) if held else None


@pytest.mark.parametrize("seed", range(25))
def test_bounds_are_those_of_every_case(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    low = draw.randint(2, 30)
    known = Sum(
        leaves=draw.randint(1, 3),
        low=low,
        high=low + draw.choice([0, 0, 6, 12]),
        first_pool=draw.random() < 0.5,
        most=draw.choice([FLOOR, 1_000]),
    )
    assert bounds(known) == counted(known)


@pytest.mark.parametrize("sizes", [(3, 5, 40, 60), (4, 30, 50), (2, 2, 9, 10, 25, 80)])
def test_tau_argus_finds_the_same_intervals(sizes: tuple[int, ...], tmp_path: Path) -> None:
    """A table with its total, the small cells left out and nothing else.

    tau-ARGUS lets a cell be empty; an attacker knows that these are not. So it is given the people
    beyond the first of each cell, which is the same polytope moved by one.
    """
    protect = pytest.importorskip("pytauargus", reason="pytauargus is not installed").protect
    hidden = [size for size in sizes if size <= FLOOR]
    rows = [
        {"label": f"c{place}", "people": 1.0}
        for place, size in enumerate(sizes)
        for _ in range(size - 1 if size <= FLOOR else size)
    ]
    result = protect(
        rows, ["label"], response="people", safety_rules=f"FREQ({FLOOR},0)",
        suppress="", workdir=str(tmp_path),
    )  # fmt: skip
    audit = result.engine.audit(0)
    print(audit)
    rest = sum(hidden)
    expected = bounds(Sum(len(hidden), rest, rest, False, 1_000))
    assert expected is not None
