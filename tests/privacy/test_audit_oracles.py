"""The integer programs of T4, against two oracles: counting every case, and tau-ARGUS.

tau-ARGUS is what statistical offices audit suppressed tables with; ours must know as much as it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from analytics_assets.privacy.audit.subtraction import FLOOR, MOST_SURCHARGE, Sum, bounds

LEAST = FLOOR + 1


def counted(known: Sum) -> tuple[int, int] | None:
    """Least and most of one leaf, over every case there is."""
    sizes = range(1, min(known.most, known.high) + 1)
    held = [
        case[0]
        for case in product(sizes, repeat=known.leaves)
        if known.low <= sum(case) <= known.high and (not known.first_pool or can_be_a_pool(case))
    ]
    return (min(held), max(held)) if held else None


def can_be_a_pool(case: Sequence[int]) -> bool:
    """Whether some of its leaves failed, one at least, and others were taken in to hide them."""
    return any(
        not all(taken)
        and all(
            size >= LEAST if taken_in else size <= FLOOR + MOST_SURCHARGE
            for size, taken_in in zip(case, taken, strict=True)
        )
        and sum(case) - LEAST * sum(taken) >= FLOOR
        for taken in product((False, True), repeat=len(case))
    )


@pytest.mark.parametrize("seed", range(40))
def test_bounds_are_those_of_every_case(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    low = draw.randint(2, 26)
    known = Sum(
        leaves=draw.randint(1, 3),
        low=low,
        high=low + draw.choice([0, 0, 6, 12]),
        first_pool=draw.random() < 0.5,
        most=draw.choice([FLOOR, 1_000]),
    )
    assert bounds(known) == counted(known)


@pytest.mark.parametrize(
    "known",
    [
        Sum(leaves=2, low=8, high=8, first_pool=False, most=FLOOR),
        Sum(leaves=1, low=7, high=7, first_pool=False, most=FLOOR),
        Sum(leaves=4, low=38, high=38, first_pool=False, most=FLOOR),
        Sum(leaves=5, low=25, high=37, first_pool=False, most=1_000),
        Sum(leaves=3, low=4, high=4, first_pool=False, most=1_000),
    ],
    ids=str,
)
def test_tau_argus_finds_the_same_intervals(
    known: Sum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A total (a range, where it carries noise) and the cells left out, none of them empty."""
    engine = pytest.importorskip("pytauargus.engine", reason="pytauargus is not installed")
    monkeypatch.chdir(tmp_path)  # it logs to where it stands
    total = (known.low + known.high) // 2
    exact = known.low == known.high
    # cell, value, cost, status (s told, u left out), least, most, protection wanted thrice
    cells = [f"0 {total} 1 {'s' if exact else 'u'} {known.low} {known.high} 0 0 0"]
    share, rest = divmod(total, known.leaves)
    cells += [
        f"{place} {share + (place <= rest)} 1 u 1 {min(known.most, known.high)} 1 1 0"
        for place in range(1, known.leaves + 1)
    ]
    terms = "".join(f"{place} (1) " for place in range(1, known.leaves + 1))
    table = tmp_path / "table.jj"
    table.write_text(
        "\n".join(["0", str(len(cells)), *cells, "1", f"0 {len(cells)} : 0 (-1) {terms}", ""])
    )
    audited = {row["cell"]: (row["min"], row["max"]) for row in engine.audit_jj(str(table))}
    assert audited[1] == bounds(known)
