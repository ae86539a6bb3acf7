"""Which of a day's conversations a model may read: all of them, or at scale a sample with weights.

Belongs here: counting who there is, the day's strata, ``insights.reading_plans``. Does not: the
arithmetic (tiers.py) or reading (running.py). Invariant: only consenting users' conversations are
counted; the same day and people give the same sample, and what is not drawn is read by rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from analytics_assets.insights.selection import CONSENTING, Selection
from analytics_assets.insights.tiers import BOUNDS, READ_A_DAY, draw, tier_of

ACTIVE_DAYS = 28
# Below this nothing is sampled whatever happened before, so nothing need be counted.
LEAST_USERS = round(0.9 * BOUNDS[1])

_USERS = "select count(*) from (select from raw.users limit %s) as accounts"
_ACTIVE = sql.SQL("""
with candidates as (
    select distinct user_id from raw.messages
    where day > %(day)s - %(active)s and day <= %(day)s and role = 'user' and user_id is not null
),
{consenting}
select count(*) from consenting
""").format(consenting=CONSENTING)
_CONVERSATIONS = sql.SQL("""
{qualifying},
talks as (
    select
        said.user_id,
        said.conversation_id,
        sum(octet_length(said.content)) > 1.2 * sum(length(said.content)) as other_script
    from said
    join consenting on consenting.user_id = said.user_id
    where said.role = 'user' and said.content ~ '[^[:space:]]'
    group by said.user_id, said.conversation_id
),
habits as (
    select distinct on (user_id) user_id, segment
    from insights.segments
    where month <= %(day)s
    order by user_id, month desc
)
select
    talks.user_id,
    talks.conversation_id,
    coalesce(habits.segment, 'unknown')
        || case when count(*) over (partition by talks.user_id) > 2 then ' busy' else ' calm' end
        || case when talks.other_script then ' other' else ' latin' end
from talks
left join habits on habits.user_id = talks.user_id
""")
_KEEP = """
insert into insights.reading_plans as old (day, tier, users, conversations, drawn, strata)
values (%s, %s, %s, %s, %s, %s)
on conflict (day) do update set (tier, users, conversations, drawn, strata) =
    row(excluded.tier, excluded.users, excluded.conversations, excluded.drawn, excluded.strata)
where (old.tier, old.users, old.conversations, old.drawn, old.strata) is distinct from
    (excluded.tier, excluded.users, excluded.conversations, excluded.drawn, excluded.strata)
"""
Place = tuple[str, str]


@dataclass(frozen=True)
class ReadingPlan:
    """``drawn``: (user, conversation) a model may read that day; None: all."""

    tier: int
    users: int
    drawn: frozenset[Place] | None = None

    def has(self, place: Place) -> bool:
        return self.drawn is None or place in self.drawn


def plan_day(
    conn: psycopg.Connection[Any], selection: Selection, day: date, now: datetime
) -> ReadingPlan:
    """The plan of a day, kept in ``insights.reading_plans`` where it samples; part of the caller's
    transaction.
    """
    known = conn.execute(_USERS, [LEAST_USERS]).fetchone()
    if known is None or known[0] < LEAST_USERS:
        return ReadingPlan(1, 0)
    users = _count(conn, day, now)
    before = conn.execute(
        "select tier from insights.reading_plans where day < %s and day >= %s "
        "order by day desc limit 1",
        [day, day - timedelta(days=ACTIVE_DAYS)],
    ).fetchone()
    tier = tier_of(users, before[0] if before else None)
    most = READ_A_DAY[tier]
    if most is None:
        return ReadingPlan(tier, users)
    clause, parameters = selection.qualifying(day)
    found = conn.execute(_CONVERSATIONS.format(qualifying=clause), parameters).fetchall()
    sample = draw((((user, talk), stratum) for user, talk, stratum in found), most, str(day))
    strata: dict[str, list[int]] = {}
    for *_, stratum in found:
        strata.setdefault(stratum, [0, 0])[0] += 1
    for one in sample:
        strata[str(one.stratum)][1] += 1
    conn.execute(_KEEP, [day, tier, users, len(found), len(sample), Jsonb(strata)])
    return ReadingPlan(tier, users, frozenset(one.unit for one in sample))  # type: ignore[misc]


def _count(conn: psycopg.Connection[Any], day: date, now: datetime) -> int:
    row = conn.execute(_ACTIVE, {"day": day, "active": ACTIVE_DAYS, "now": now}).fetchone()
    return int(row[0]) if row else 0
