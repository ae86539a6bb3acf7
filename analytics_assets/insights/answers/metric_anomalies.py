"""``insights.metric_anomalies``: days on which a daily metric stood out from its weekly rhythm.

Belongs here: what stands out, the table and the domain call. Does not: wording (summary/text.py).
Invariant: a day is judged by days before it alone, with medians throughout, so that neither a
weekend nor an earlier outlier moves what is expected; days that are not over are not judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import psycopg

from analytics_assets.events.quality import MAD_TO_SIGMA
from analytics_assets.store.database import lock_table, table_exists
from analytics_assets.windows import DAY, Window

if TYPE_CHECKING:
    from analytics_assets.settings import Settings
    from analytics_assets.store.database import Database

TABLE: Final = "insights.metric_anomalies"
WEEK: Final = timedelta(days=7)
WEEKS: Final = 8
LEAST_WEEKDAYS: Final = 2
LEAST_SURPRISES: Final = 10
THRESHOLD: Final = 3.5
# In logs: changes below 5 % are never strange, however regular a metric was.
SMALLEST_SCALE: Final = 0.05 / THRESHOLD


@dataclass(frozen=True)
class Anomaly:
    """A value outside of ``low`` to ``high``; ``score`` is in robust standard deviations."""

    day: date
    metric_name: str
    value: float
    expected: float
    low: float
    high: float
    score: float
    same_weekdays: int


@dataclass(frozen=True)
class AnomalyOutcome:
    days: int
    anomalies: int

    def metadata(self) -> dict[str, int]:
        return {"days": self.days, "anomalies": self.anomalies}


def anomalies_of(metric: str, values: Mapping[date, float], days: Sequence[date]) -> list[Anomaly]:
    """Which of ``days`` stand out; ``values`` should reach back sixteen weeks before them.

    Expected is the median of the same weekday in the eight weeks before. How far a day lies from
    it, in logs, is compared with how far the days of the eight weeks before lay from theirs.
    Nothing is said before two weeks of the weekday and ten such distances are known.
    """
    distances = {day: _surprise(values, day) for day in values}
    surprise = {day: far for day, far in distances.items() if far is not None}
    found = []
    for day in days:
        if day not in surprise:
            continue
        before = [
            surprise[day - DAY * back]
            for back in range(1, 7 * WEEKS + 1)
            if day - DAY * back in surprise
        ]
        if len(before) < LEAST_SURPRISES:
            continue
        drift = median(before)
        spread = median(abs(one - drift) for one in before)
        scale = max(MAD_TO_SIGMA * spread, SMALLEST_SCALE)
        score = (surprise[day] - drift) / scale
        if abs(score) > THRESHOLD:
            usual = _same_weekdays(values, day)
            centre = median(map(math.log1p, usual)) + drift
            found.append(
                Anomaly(
                    day,
                    metric,
                    values[day],
                    round(math.expm1(centre), 2),
                    round(max(0.0, math.expm1(centre - THRESHOLD * scale)), 2),
                    round(math.expm1(centre + THRESHOLD * scale), 2),
                    round(max(-99999.0, min(99999.0, score)), 2),
                    len(usual),
                )
            )
    return found


def watch_window(database: Database, window: Window, settings: Settings) -> AnomalyOutcome:
    """Bring the table's window up to date, for days before the platform's today."""
    with database.connect("analytics_pipeline") as conn:
        return build_anomalies(conn, window, settings.now().date())


def build_anomalies(conn: psycopg.Connection[Any], window: Window, today: date) -> AnomalyOutcome:
    """Replace the window's rows."""
    days = [day for day in window.days() if day < today]
    with conn.transaction():
        lock_table(conn, TABLE)
        conn.execute(
            "delete from insights.metric_anomalies where day >= %s and day < %s",
            [window.start, window.end],
        )
        found = [
            anomaly
            for metric, values in _series(conn, window).items()
            for anomaly in anomalies_of(metric, values, days)
        ]
        with conn.cursor() as cursor:
            cursor.executemany(
                "insert into insights.metric_anomalies (day, metric_name, value, expected, low, "
                "high, score, same_weekdays) values (%s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    (a.day, a.metric_name, a.value, a.expected, a.low, a.high, a.score,
                     a.same_weekdays)
                    for a in found
                ],
            )  # fmt: skip
    return AnomalyOutcome(len(days), len(found))


def _series(conn: psycopg.Connection[Any], window: Window) -> dict[str, dict[date, float]]:
    if not table_exists(conn, "marts.daily_metrics"):
        return {}
    series: dict[str, dict[date, float]] = {}
    for metric, day, value in conn.execute(
        "select metric_name, date, metric_value::float from marts.daily_metrics "
        "where date >= %s and date < %s and metric_value is not null order by 1, 2",
        [window.start - 2 * WEEKS * WEEK, window.end],
    ):
        series.setdefault(metric, {})[day] = value
    return series


def _same_weekdays(values: Mapping[date, float], day: date) -> list[float]:
    earlier = (day - WEEK * back for back in range(1, WEEKS + 1))
    return [values[one] for one in earlier if one in values]


def _surprise(values: Mapping[date, float], day: date) -> float | None:
    usual = _same_weekdays(values, day)
    if len(usual) < LEAST_WEEKDAYS:
        return None
    return math.log1p(values[day]) - median(map(math.log1p, usual))
