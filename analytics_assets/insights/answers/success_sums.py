"""The queries behind the answers: what people did and said in four weeks, summed over people.

Belongs here: SQL that reads facets, activity, signals and predictions. Does not: what is made of
the sums (success_metrics.py). Invariant: nothing about a single person comes out, but for the
owner's own sums; facets are read of users who consent at the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.insights.consent import CONSENTING
from analytics_assets.insights.intervals import Sums

# Each conversation brings hits and what they are hits among; a labelled metric is among all.
_TALKED: Final = sql.SQL("""
with facts as (
    select * from insights.conversation_facets where day >= %(start)s and day < %(end)s
),
candidates as (select distinct user_id from facts),
{consenting},
measured as (
    select
        f.user_id, m.metric, m.label, sum(m.hit)::float as a, sum(m.among)::float as n
    from facts as f
    join consenting using (user_id)
    cross join lateral (
        values
        ('all', '', 1, 1),
        ('by_rules', '', (f.source = 'rules')::int, 1),
        ('achieved', '', (f.outcome = 'achieved')::int, (f.outcome <> 'unclear')::int),
        ('not_achieved', '', (f.outcome = 'not_achieved')::int, (f.outcome <> 'unclear')::int),
        ('judged', '', (f.outcome <> 'unclear')::int, 1),
        ('stuck', '', (f.friction <> 'none')::int, 1),
        ('wishes', '', (f.feature_request <> 'none')::int, 1),
        ('mood', '', f.sentiment, 1),
        ('messages', '', f.user_messages, 1),
        ('task', f.task, 1, 1),
        ('topic', f.topic, 1, 1),
        ('friction', f.friction, 1, 1),
        ('feature_request', f.feature_request, 1, 1)
    ) as m (metric, label, hit, among)
    group by f.user_id, m.metric, m.label
),
totals as (
    select user_id, n as conversations from measured where metric = 'all'
)
select
    metric,
    label,
    user_id = %(owner)s as is_owner,
    count(*) filter (where n > 0),
    count(*) filter (where a > 0),
    sum(n),
    sum(n * n),
    sum(a),
    sum(a * a),
    sum(a * case when label = '' then n else conversations end),
    max(a)
from measured
join totals using (user_id)
group by 1, 2, 3
""")

_STAYED: Final = """
with people as (
    select
        a.user_id,
        bool_or(a.day < %(week)s) as was_there,
        bool_or(a.day >= %(week)s) as is_there
    from insights.user_activity as a
    where a.day >= %(week)s - 28 and a.day < %(week)s + 7
        and not exists (
            select from raw.users as u where u.user_id = a.user_id and u.is_internal
        )
    group by a.user_id
)
select
    count(*) filter (where was_there),
    count(*) filter (where was_there and is_there),
    count(*) filter (where is_there)
from people
"""

# A week with an exhausted credit against a week without: who is there in the week after?
_PAID: Final = """
with person_weeks as (
    select
        a.user_id,
        (a.day - %(start)s) / 7 as week,
        bool_or(a.credit_limits > 0) as ran_out
    from insights.user_activity as a
    where a.day >= %(start)s and a.day < %(end)s
        and not exists (
            select from raw.users as u where u.user_id = a.user_id and u.is_internal
        )
    group by 1, 2
),
followed as (
    select this.user_id, this.ran_out, following.user_id is not null as came_back
    from person_weeks as this
    left join person_weeks as following
        on following.user_id = this.user_id and following.week = this.week + 1
    where exists (select from person_weeks as any_one where any_one.week = this.week + 1)
),
people as (
    select user_id, ran_out, count(*)::float as n, count(*) filter (where came_back)::float as a
    from followed
    group by 1, 2
)
select
    ran_out, count(*), count(*) filter (where a > 0), sum(n), sum(n * n), sum(a), sum(a * a),
    sum(a * n), max(a)
from people
group by 1
"""

_SIGNALS: Final = """
with active as (
    select distinct a.user_id
    from insights.user_activity as a
    where a.day >= %(start)s and a.day < %(end)s
        and not exists (
            select from raw.users as u where u.user_id = a.user_id and u.is_internal
        )
),
people as (
    select
        user_id,
        count(*)::float as signals,
        (sum(downloads_after + shares_after) > 0)::int as took_results,
        count(*) filter (where returned) as returns,
        count(*) filter (where returned is not null) as over
    from insights.payment_signals
    where day >= %(start)s and day < %(end)s
    group by user_id
)
select
    (select count(*) from active),
    count(*),
    count(*) filter (where took_results > 0),
    count(*) filter (where over > 0),
    count(*) filter (where returns > 0)
from people
"""

_PREDICTED: Final = """
select
    as_of_day,
    count(*),
    count(*) filter (where probability >= 0.7),
    count(*) filter (where probability < 0.3),
    sum(probability)::float,
    sum(probability * (1 - probability))::float,
    bool_and(calibrated)
from insights.return_predictions
where as_of_day = any(%(mondays)s)
group by as_of_day
order by as_of_day desc
limit 1
"""
_MODEL: Final = """
select model_version, tested_rows, auc::float, baseline_auc::float, ece::float, why_none
from insights.return_models
where as_of_day = any(%(mondays)s)
order by as_of_day desc
limit 1
"""


@dataclass(frozen=True)
class Talked:
    """Sums by (metric, label), of the owner and of all others."""

    owner: dict[tuple[str, str], Sums]
    others: dict[tuple[str, str], Sums]

    def everyone(self) -> dict[tuple[str, str], Sums]:
        keys = [*self.others, *(key for key in self.owner if key not in self.others)]
        return {key: self.others.get(key, Sums()) + self.owner.get(key, Sums()) for key in keys}


@dataclass(frozen=True)
class Stayed:
    """Active in the 28 days before a week; of them in the week; anybody in the week."""

    before: int
    returned: int
    now: int


@dataclass(frozen=True)
class Signals:
    """People: active; out of credits; of these with results after; judged; returned."""

    active: int
    ran_out: int
    took_results: int
    judged: int
    returned: int


@dataclass(frozen=True)
class Predicted:
    """People predicted for the week from ``monday`` on, by how likely they return."""

    monday: date
    people: int
    likely: int
    unlikely: int
    expected: float
    variance: float
    calibrated: bool


@dataclass(frozen=True)
class Model:
    version: str
    tested_rows: int
    auc: float | None
    baseline_auc: float | None
    ece: float | None
    why_none: str


def talked(
    conn: psycopg.Connection[Any], start: date, end: date, now: datetime, owner: str | None
) -> Talked:
    """What consenting users' conversations of the days were about."""
    found: dict[bool, dict[tuple[str, str], Sums]] = {True: {}, False: {}}
    for metric, label, is_owner, *sums in conn.execute(
        _TALKED.format(consenting=CONSENTING),
        {"start": start, "end": end, "now": now, "owner": owner or ""},
    ):
        found[is_owner][metric, label] = Sums(*sums)
    return Talked(found[True], found[False])


def stayed(conn: psycopg.Connection[Any], week: date) -> Stayed:
    row = conn.execute(_STAYED, {"week": week}).fetchone()
    return Stayed(*row) if row else Stayed(0, 0, 0)


def paid(conn: psycopg.Connection[Any], start: date, end: date) -> dict[bool, Sums]:
    """Who came back the week after a week in which credits ran out (True) or did not (False)."""
    return {
        ran_out: Sums(*sums) for ran_out, *sums in conn.execute(_PAID, {"start": start, "end": end})
    }


def signals(conn: psycopg.Connection[Any], start: date, end: date) -> Signals:
    row = conn.execute(_SIGNALS, {"start": start, "end": end}).fetchone()
    return Signals(*row) if row else Signals(0, 0, 0, 0, 0)


def predicted(conn: psycopg.Connection[Any], mondays: list[date]) -> Predicted | None:
    row = conn.execute(_PREDICTED, {"mondays": mondays}).fetchone()
    return Predicted(*row) if row else None


def model(conn: psycopg.Connection[Any], mondays: list[date]) -> Model | None:
    row = conn.execute(_MODEL, {"mondays": mondays}).fetchone()
    return Model(*row) if row else None
