"""Whose insight of a day a model may write: everybody's, one a week, or at scale who stands out.

Belongs here: the day's choice of users. Does not: how many at which scale (conversations/tiers.py),
the scale itself (``insights.reading_plans``, which reading has written before) or asking.
Invariant: an answer that is there stays; nobody is chosen who was not given as a user of the day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics_assets.events.quality import MAD_TO_SIGMA
from analytics_assets.insights.conversations.tiers import OUTLIERS_A_DAY, USERS_A_DAY, chosen
from analytics_assets.insights.vectors.outlying import outlying
from analytics_assets.windows import monday_of

# Of user_activity, what one day alone decides: names of tools could name people, and whether the
# user was there before changes when other days do.
COUNTS: Final = ("total_conversations", "jobs", "downloads", "shares", "credit_limits")
HISTORY_DAYS: Final = 56
LEAST_DAYS: Final = 7
THRESHOLD: Final = 3.5
# However regular somebody was, a few events more are not strange.
LEAST_SCALE: Final = 1.0

_ANSWERED = """
select user_id, count(*) filter (where analysis_date = %(day)s)
from insights.analysis_cache
where analysis_date >= %(monday)s and analysis_date < %(monday)s + 7 and user_id = any(%(users)s)
group by user_id
"""
_STANDING_OUT = sql.SQL("""
with acts as (
    select user_id, day, {activity} as activity
    from insights.user_activity
    where day >= %(day)s - %(history)s and day <= %(day)s and user_id = any(%(users)s)
),
usual as (
    select user_id, percentile_cont(0.5) within group (order by activity) as middle
    from acts
    where day < %(day)s
    group by user_id
    having count(*) >= %(least)s
),
spread as (
    select
        acts.user_id,
        usual.middle,
        percentile_cont(0.5) within group (order by abs(acts.activity - usual.middle)) as mad
    from acts
    join usual on usual.user_id = acts.user_id
    where acts.day < %(day)s
    group by acts.user_id, usual.middle
),
scored as (
    select
        acts.user_id,
        abs(acts.activity - spread.middle)
            / greatest(%(to_deviation)s * spread.mad, %(least_scale)s) as score
    from acts
    join spread on spread.user_id = acts.user_id
    where acts.day = %(day)s
)
select user_id from scored where score > %(threshold)s order by score desc, user_id
""").format(
    activity=sql.SQL(" + ").join(
        sql.SQL("coalesce({}, 0)").format(sql.Identifier(name)) for name in COUNTS
    )
)


@dataclass(frozen=True)
class UserPlan:
    """``answered``: users with an insight of the day's ISO week; ``chosen``: None for everybody."""

    day: date
    tier: int = 1
    answered: frozenset[str] = frozenset()
    chosen: frozenset[str] | None = None

    def has(self, user_id: str) -> bool:
        if self.tier == 1:
            return True
        return user_id not in self.answered and (self.chosen is None or user_id in self.chosen)


def plan_users(
    conn: psycopg.Connection[Any], day: date, users: Sequence[str], *, has_activity: bool = True
) -> UserPlan:
    """The plan for ``users`` of a day, who consent; part of the caller's transaction."""
    row = conn.execute("select tier from insights.reading_plans where day = %s", [day]).fetchone()
    tier = row[0] if row else 1
    if tier == 1:
        return UserPlan(day)
    of_week = dict(
        conn.execute(
            _ANSWERED, {"day": day, "monday": monday_of(day), "users": list(users)}
        ).fetchall()
    )
    answered = frozenset(of_week)
    most = USERS_A_DAY[tier]
    if most is None:
        return UserPlan(day, tier, answered)
    left = most - sum(of_week.values())
    if left <= 0:
        return UserPlan(day, tier, answered, frozenset())
    ranked = _standing_out(conn, day, users) if has_activity else []
    ranked += [user_id for user_id, _ in outlying(conn, day, users, OUTLIERS_A_DAY[tier])]
    return UserPlan(day, tier, answered, chosen(ranked, answered, left))


def _standing_out(conn: psycopg.Connection[Any], day: date, users: Sequence[str]) -> list[str]:
    """Users whose day is unlike their own days before; the strangest first."""
    parameters = {
        "day": day,
        "users": list(users),
        "history": HISTORY_DAYS,
        "least": LEAST_DAYS,
        "to_deviation": MAD_TO_SIGMA,
        "least_scale": LEAST_SCALE,
        "threshold": THRESHOLD,
    }
    return [row[0] for row in conn.execute(_STANDING_OUT, parameters)]
