"""Scores as buckets, in Python: the twin of the macro in dbt/macros/buckets.sql.

Belongs here: rounding scores down. Does not: which scores are released. Invariant: it says for
every score what the macro says (tested on the same values).
"""

from __future__ import annotations

from decimal import Decimal


def bucket(score: float | Decimal | None, step: int) -> int | None:
    """The lower border of the score's step within 0..100; out of range is clamped, None stays None.

    Raises ValueError for a step that does not divide 100.
    """
    if step < 1 or 100 % step:
        raise ValueError(f"a bucket's step must divide 100, not {step}")
    if score is None:
        return None
    return int(min(max(score, 0), 100) // step) * step
