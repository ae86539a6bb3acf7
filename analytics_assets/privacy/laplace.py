"""Discrete Laplace noise for released histograms, exactly, and what it costs in privacy.

Belongs here: drawing it by integer arithmetic, its probabilities, the floor above it, putting it
into ``vault`` before a release. Does not: adding it (dbt/macros/release_laplace.sql) or the budget
(store/sql/dp_ledger.sql). Invariant: noise is drawn once for each number, from the OS, and stored
before anything is counted, so that a run after a crash adds the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date
from fractions import Fraction
from random import SystemRandom
from typing import Any, Final

import psycopg

DELTA: Final = 1e-6
_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('vault.laplace_noise', 0))"
# Weeks that are open and can be counted (they have a key), of planned tables told with noise that
# have not been drawn for yet.
_MISSING: Final = """
    with planned as (
        select distinct on (release_table) release_table, entry
        from ops.release_plan
        where retired_at is null
        order by release_table, version desc
    )
    select planned.release_table, keys.period, planned.entry -> 'laplace'
    from planned
    join vault.period_keys as keys on keys.period_kind = 'week'
    where jsonb_typeof(planned.entry -> 'laplace') = 'object'
        and not exists (
            select from vault.laplace_noise as noise
            where noise.release_table = planned.release_table and noise.period = keys.period
        )
        and not exists (
            select from ops.release_ledger as ledger
            where ledger.release_table = planned.release_table
                and ledger.period_kind = 'week'
                and ledger.period = keys.period
        )
    order by 1, 2
"""
_COPY: Final = "copy vault.laplace_noise (release_table, period, bucket, noise) from stdin"
Below = Callable[[int], int]


def discrete_laplace(epsilon: Fraction, below: Below) -> int:
    """An integer with probability proportional to exp(-epsilon * abs(x)).

    Exact: no floating point, whose gaps have told noise from counts (Mironov 2012). After
    Canonne, Kamath and Steinke 2020, algorithm 2. ``below(n)`` draws uniformly from 0 ... n - 1.
    """
    scale, step = epsilon.denominator, epsilon.numerator
    while True:
        rest = below(scale)
        if not _is_exp_minus(rest, scale, below):
            continue
        whole = 0
        while _is_exp_minus(1, 1, below):
            whole += 1
        size = (rest + scale * whole) // step
        negative = below(2) == 1
        if negative and size == 0:
            continue  # zero would come twice
        return -size if negative else size


def _is_exp_minus(numerator: int, denominator: int, below: Below) -> bool:
    """True with probability exp(-numerator / denominator), which is at most 1."""
    tried = 1
    while below(denominator * tried) < numerator:
        tried += 1
    return tried % 2 == 1


def probability(epsilon: Fraction, noise: int) -> float:
    """How likely a noise is."""
    ratio = math.exp(-epsilon)
    return (1 - ratio) / (1 + ratio) * ratio ** abs(noise)


def least_total(epsilon: Fraction, buckets: int, floor: int, delta: float = DELTA) -> int:
    """The smallest total to publish, if 10 people may seem as many with probability ``delta``.

    The total of a histogram has the noise of all its buckets. A floor on the true total alone would
    tell its eleventh person with certainty.
    """
    import numpy as np

    reach = math.ceil(40 / float(epsilon))
    one = np.array([probability(epsilon, noise) for noise in range(-reach, reach + 1)])
    total = np.ones(1)
    for _ in range(buckets):
        total = np.convolve(total, one)
    above = np.cumsum(total[::-1])[::-1]  # P(noise >= place - buckets * reach)
    place = int(np.argmax(above <= delta))
    return floor + place - buckets * reach


def ensure_noise(connection: psycopg.Connection[Any], below: Below | None = None) -> int:
    """Draw the noise of every open week of the tables that the plan tells with it.

    Returns how many weeks were drawn for. ``below`` is replaced by a seeded source in tests only.
    The caller commits.
    """
    source = below or SystemRandom().randrange
    with connection.transaction() if connection.autocommit else nullcontext():
        connection.execute(_LOCK)
        missing: list[tuple[str, date, dict[str, Any]]] = connection.execute(_MISSING).fetchall()
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for table, week, terms in missing:
                epsilon = Fraction(str(terms["epsilon"]))
                for bucket in terms["buckets"]:
                    copy.write_row((table, week, bucket, discrete_laplace(epsilon, source)))
    return len(missing)
