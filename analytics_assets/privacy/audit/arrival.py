"""Whether the order of rows tells when people came.

Belongs here: the rank correlation of T13. Does not: inserts and hold-back (access.py). Invariant:
the attacker sees physical places only; when people came is the judge's.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.privacy.audit.outcome import Outcome, at_most, not_run
from analytics_assets.privacy.audit.placing import Placed
from analytics_assets.privacy.audit.released import Slot, Values
from analytics_assets.privacy.audit.subtraction import end_of
from analytics_assets.store.database import qualified

LIMIT: Final = 0.05
FEWEST: Final = 3  # cells of a period; of fewer there is no order to speak of
# Where the people of a table come from, for when raw has none of their times any more.
SOURCES: Final[Mapping[str, str]] = {
    "anonymous.analytics_events": "marts.int_profile_days",
    "published.event_trends": "marts.int_subject_days",
}
_TIMES: Final = """
    select day, coalesce(subject, user_id), avg(extract(epoch from "timestamp"))::float8
    from raw.platform_events
    where day >= %(since)s and day < %(until)s and coalesce(subject, user_id) is not null
    group by 1, 2
"""
_LOADED: Final = """
    select day, subject, min(place)::float8
    from (
        select day, subject, row_number() over (order by day, ctid) as place
        from {source}
        where day >= %(since)s and day < %(until)s
    ) as loaded
    group by 1, 2
"""


def order_of_rows(
    reader: psycopg.Connection[Any],
    pipeline: psycopg.Connection[Any],
    placed: Mapping[str, Placed],
) -> Outcome:
    """T13: Spearman's rank correlation of where rows stand with when their people came.

    Ranks are those within a period, since periods are told in order anyway.
    """
    what = "order of rows against time (Spearman)"
    pairs: list[tuple[float, float]] = []
    slots = 0
    for name, source in SOURCES.items():
        table = placed.get(name)
        if table is None or not table.people:
            continue
        came = _arrivals(pipeline, table, source)
        for slot, places in _places(reader, table).items():
            known = [
                (place, time)
                for values, place in places.items()
                if (time := _mean_time(table, slot, values, came)) is not None
            ]
            if len(known) >= FEWEST:
                slots += 1
                pairs += _ranks(known)
    if len(pairs) <= slots + 1:
        return not_run("T13", what, "no period has three cells whose people's times are known")
    rho = _correlation(pairs)
    return at_most("T13", what, abs(rho), 1 / math.sqrt(len(pairs) - slots), LIMIT, len(pairs))


def _arrivals(
    pipeline: psycopg.Connection[Any], table: Placed, source: str
) -> dict[tuple[date, str], float]:
    span = {
        "since": min(slot.period for slot in table.people),
        "until": max(end_of(slot) for slot in table.people),
    }
    rows = pipeline.execute(_TIMES, span).fetchall() or pipeline.execute(
        sql.SQL(_LOADED).format(source=qualified(source)), span
    )
    return {(day, person): time for day, person, time in rows}


def _places(reader: psycopg.Connection[Any], table: Placed) -> dict[Slot, dict[Values, int]]:
    """Where the first row of every cell stands, among those of its period."""
    plan = table.released.plan
    kind = sql.Identifier(plan.kind_column) if plan.kind_column else sql.Literal("")
    shown = [sql.Identifier(dimension.name) for dimension in plan.shown]
    rows = reader.execute(
        sql.SQL(
            "select {period}, {kind}, {shown} from {table} where {period} >= {first} order by ctid"
        ).format(
            period=sql.Identifier(plan.period_column),
            kind=kind,
            shown=sql.SQL(", ").join(shown),
            table=qualified(plan.name),
            first=sql.Literal(min(slot.period for slot in table.people)),
        )
    )
    named: dict[tuple[str, date], Slot] = {}
    for slot in table.people:
        if table.cells_of(slot):
            named[slot.kind if plan.kind_column else "", slot.period] = slot
    found: dict[Slot, dict[Values, int]] = defaultdict(dict)
    for place, (period, told, *values) in enumerate(rows):
        its_slot = named.get((told, period))
        if its_slot is not None:
            found[its_slot].setdefault(tuple(values), place)
    return found


def _mean_time(
    table: Placed, slot: Slot, values: Values, came: Mapping[tuple[date, str], float]
) -> float | None:
    days = range(slot.period.toordinal(), end_of(slot).toordinal())
    times = [
        time
        for person in table.behind.get((slot, values), ())
        for day in days
        if (time := came.get((date.fromordinal(day), person))) is not None
    ]
    return sum(times) / len(times) if times else None


def _ranks(known: list[tuple[int, float]]) -> list[tuple[float, float]]:
    """Both ranks of every cell, from -0.5 to 0.5."""
    by_time = {time: rank for rank, (_, time) in enumerate(sorted(known, key=lambda k: k[1]))}
    last = len(known) - 1
    return [
        (rank / last - 0.5, by_time[time] / last - 0.5)
        for rank, (_, time) in enumerate(sorted(known))
    ]


def _correlation(pairs: list[tuple[float, float]]) -> float:
    scale = math.sqrt(sum(a * a for a, _ in pairs) * sum(b * b for _, b in pairs))
    return sum(a * b for a, b in pairs) / scale if scale else 0.0
