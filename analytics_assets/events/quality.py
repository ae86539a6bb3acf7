"""Is what came in plausible: share rejected, age of the newest event, days that stand out.

Belongs here: checks that read a window and answer with numbers. Does not: who is told (checks.py)
or rules for single events (validation.py). Invariant: facts and explanations count rows and name
days and error codes, never people or anything a sender wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from statistics import median
from typing import Any, Final

import psycopg

from analytics_assets.store.database import table_exists
from analytics_assets.windows import DAY, Window

# A single bad row among few says nothing about its source.
FEW_REJECTED: Final = 5
TOP_CODES: Final = 5
HISTORY_DAYS: Final = 28
MINIMUM_HISTORY_DAYS: Final = 14
# With the floor of the spread below, a large day stands out at half or one and a half times what
# was to be expected, never for less.
Z_LIMIT: Final = 5.0
SPREAD_FLOOR: Final = 0.1
# Scales a median absolute deviation to the standard deviation of a normal distribution.
MAD_TO_SIGMA: Final = 1.4826


@dataclass(frozen=True)
class CheckOutcome:
    """Whether a check passed, the numbers it saw, and one sentence that says what they mean."""

    passed: bool
    facts: dict[str, float | int | str]
    explanation: str


_REJECTED = """
select error_code, count(*)
from raw.rejected_events
where received_day >= %(start)s and received_day < %(end)s and processing_status = 'rejected'
group by error_code
order by count(*) desc, error_code
"""

# Rejected rows count on the day they were received, accepted ones on their own: a history loaded
# today would stand against the few rows of today. So what the loads of these days report counts
# where it is more.
_ACCEPTED = """
with accepted as (
    select count(*) as n from raw.platform_events where day >= %(start)s and day < %(end)s
    union all
    select count(*) from raw.conversations where day >= %(start)s and day < %(end)s
    union all
    select count(*) from raw.messages where day >= %(start)s and day < %(end)s
    union all
    select count(*) from raw.service_jobs where day >= %(start)s and day < %(end)s
),

loaded as (
    select coalesce(sum(rows_loaded), 0) as n
    from ops.load_log
    -- An entry of a finished file sums its chunks up once more.
    where loaded_at >= %(start_ts)s and loaded_at < %(end_ts)s and not finished
)

select greatest((select sum(n) from accepted), (select n from loaded))::bigint
"""


def rejected_share(
    connection: psycopg.Connection[Any],
    window: Window,
    limit: float = 0.05,
    few: int = FEW_REJECTED,
) -> CheckOutcome:
    """At most ``limit`` of the rows received in the window wait in quarantine.

    Replayed and discarded rows have been dealt with and do not count; fewer than ``few`` rejected
    rows pass whatever their share.
    """
    bounds = {
        "start": window.start,
        "end": window.end,
        "start_ts": window.start_ts,
        "end_ts": window.end_ts,
    }
    by_code: list[tuple[str, int]] = connection.execute(_REJECTED, bounds).fetchall()
    rejected = sum(rows for _, rows in by_code)
    facts: dict[str, float | int | str] = {"rejected": rejected, "limit": limit}
    if not rejected:
        return CheckOutcome(True, facts, "nothing was rejected")
    (accepted,) = connection.execute(_ACCEPTED, bounds).fetchone() or (0,)
    received = rejected + accepted
    share = rejected / received
    top = ", ".join(f"{code} {rows}" for code, rows in by_code[:TOP_CODES])
    facts |= {"received": received, "share": round(share, 4), "top_error_codes": top}
    said = f"{rejected} of {received} rows received were rejected ({share:.1%}): {top}"
    if share <= limit or rejected < few:
        return CheckOutcome(True, facts, said)
    return CheckOutcome(
        False,
        facts,
        f"{said}. More than {limit:.0%} points to a source or a catalogue that changed: read "
        "error_message in raw.rejected_events, mend the catalogue or the mapping, then materialize "
        "raw/rejected_events to replay them",
    )


# Bounded first: the newest event is nearly always among the newest partitions.
_NEWEST_SINCE = 'select max("timestamp") from raw.platform_events where day >= %s'


def freshness(
    connection: psycopg.Connection[Any],
    now: datetime,
    max_age: timedelta = timedelta(hours=26),
) -> CheckOutcome:
    """The newest event happened at most ``max_age`` before the platform's clock.

    By the events' own time: the clock may be pinned, the time of loading is not.
    """
    limit_hours = max_age / timedelta(hours=1)
    facts: dict[str, float | int | str] = {"limit_hours": round(limit_hours, 1)}
    newest: datetime | None = None
    for since in ((now - max_age).astimezone(UTC).date(), date.min):
        (newest,) = connection.execute(_NEWEST_SINCE, [since]).fetchone() or (None,)
        if newest is not None:
            break
    if newest is None:
        return CheckOutcome(
            False, facts, "there are no events yet; materialize raw once a source has some"
        )
    hours = (now - newest) / timedelta(hours=1)
    facts |= {"newest_day": newest.astimezone(UTC).date().isoformat(), "age_hours": round(hours, 1)}
    said = f"the newest event is {max(hours, 0.0):.1f} h old"
    if now - newest <= max_age:
        return CheckOutcome(True, facts, said)
    return CheckOutcome(
        False,
        facts,
        f"{said}, more than {limit_hours:g} h: see whether the sources still send, and the loads "
        "still run",
    )


_DAILY_TOTALS = """
select day, sum(total_events)::bigint
from marts.event_aggregations
where aggregation_type = 'daily' and day >= %s and day < %s
group by day
"""
_KNOWN_DAYS = (
    "select min(day), max(day) from marts.event_aggregations where aggregation_type = 'daily'"
)


@dataclass(frozen=True)
class _Judgement:
    day: date
    events: int
    expected: float
    z: float

    def __str__(self) -> str:
        if not self.expected:
            return f"{self.day} has events where none were expected"
        return f"{self.day} has {self.events / self.expected:.0%} of the events expected"


def row_count_anomaly(
    connection: psycopg.Connection[Any], window: Window, now: datetime | None = None
) -> CheckOutcome:
    """No day of the window has far more or fewer events than the weeks before let expect.

    A day is held against the median of the same weekdays of the 28 days before, in units of how
    far those days lay from their own weekday's median (a robust z score). Days with fewer than 14
    days before them are not judged, nor days after the newest one with events (that is freshness).
    The day of ``now`` is not over and can only have too many.
    """
    if not table_exists(connection, "marts.event_aggregations"):
        return CheckOutcome(True, {"days_judged": 0}, "marts.event_aggregations is not built yet")
    first, last = connection.execute(_KNOWN_DAYS).fetchone() or (None, None)
    judged: list[_Judgement] = []
    if first and last:
        totals: dict[date, int] = dict(
            connection.execute(
                _DAILY_TOTALS, [window.start - timedelta(days=HISTORY_DAYS), window.end]
            ).fetchall()
        )
        judged = [
            _judge(day, totals, first)
            for day in window.days()
            if first + timedelta(days=MINIMUM_HISTORY_DAYS) <= day <= last
        ]
    if not judged:
        return CheckOutcome(
            True,
            {"days_judged": 0},
            f"not enough history: a day is judged by the {MINIMUM_HISTORY_DAYS} days before it",
        )
    open_day = now.astimezone(UTC).date() if now else date.max
    strange = [
        each
        for each in sorted(judged, key=lambda each: -abs(each.z))
        if each.z > Z_LIMIT or (each.z < -Z_LIMIT and each.day < open_day)
    ]
    facts: dict[str, float | int | str] = {
        "days_judged": len(judged),
        "strange_days": len(strange),
    }
    if not strange:
        return CheckOutcome(True, facts, "every day has about as many events as expected")
    worst = strange[0]
    facts |= {
        "worst_day": worst.day.isoformat(),
        "worst_day_z": round(worst.z, 1),
    }
    listed = "; ".join(str(each) for each in strange[:TOP_CODES])
    return CheckOutcome(
        False,
        facts,
        f"{listed}. Look for a source that stopped or sent twice, or a release that changed what "
        "is tracked; where the day is right, there is nothing to do",
    )


def _judge(day: date, totals: Mapping[date, int], first: date) -> _Judgement:
    history = {
        before: totals.get(before, 0)
        for before in (day - DAY * ago for ago in range(1, HISTORY_DAYS + 1))
        if before >= first
    }
    usual = {
        weekday: median(n for before, n in history.items() if before.weekday() == weekday)
        for weekday in {before.weekday() for before in history}
    }
    expected = usual[day.weekday()]
    deviations = (abs(n - usual[before.weekday()]) for before, n in history.items())
    spread = max(
        MAD_TO_SIGMA * median(deviations),
        SPREAD_FLOOR * expected,
        # Counts of independent events scatter by their square root, however calm the weeks were.
        sqrt(expected),
        1.0,
    )
    events = totals.get(day, 0)
    return _Judgement(day, events, expected, (events - expected) / spread)
