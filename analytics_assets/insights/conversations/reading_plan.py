"""Which of a day's conversations a model may read: all, or at scale a sample and the outliers.

Belongs here: counting who there is, the day's strata, ``insights.reading_plans``. Does not: the
arithmetic (tiers.py, vectors/outlying.py) or reading (asking/stage_run.py). Invariant: only
consenting users' conversations are counted; the same day and people give the same sample; rules
read the rest.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, timedelta
from operator import itemgetter
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from analytics_assets.insights.consent import CONSENTING
from analytics_assets.insights.conversations.selection import Selection
from analytics_assets.insights.conversations.tiers import (
    BOUNDS,
    OUTLIERS_A_DAY,
    READ_A_DAY,
    draw,
    tier_of,
)
from analytics_assets.insights.vectors.outlying import Place, outlying

ACTIVE_DAYS = 28
# Below this the tier is 1 whatever it was before, so nothing need be kept.
LEAST_USERS = round(0.9 * BOUNDS[0])

# From a user's message until a day with the next one, or as long as it counts, is one stretch;
# stretches of a user do not overlap, so a day's users are the stretches that began less those over.
_ACTIVE = sql.SQL("""
with spoken as (
    select distinct user_id, day from raw.messages
    where day > %(start)s - %(active)s and day < %(end)s and role = 'user' and user_id is not null
),
candidates as (
    select distinct user_id from spoken
),
{consenting},
stretches as (
    select
        day as first,
        least(
            lead(day) over (partition by user_id order by day), day + %(active)s
        ) as until
    from spoken
    join consenting using (user_id)
),
changes as (
    select greatest(first, %(start)s) as day, 1 as change from stretches where until > %(start)s
    union all
    select until, -1 from stretches where until > %(start)s
)
select day, sum(sum(change)) over (order by day) from changes group by day order by day
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
_MARK = """
with drawn as (
    select *
    from unnest(%(users)s::text[], %(talks)s::text[], %(strata)s::text[])
        as d (user_id, conversation_id, stratum)
),
changed as (
    select f.user_id, f.conversation_id, drawn.stratum
    from insights.conversation_facets as f
    left join drawn using (user_id, conversation_id)
    where f.day = %(day)s and f.stratum is distinct from drawn.stratum
)
update insights.conversation_facets as f set stratum = changed.stratum
from changed
where f.day = %(day)s
    and (f.user_id, f.conversation_id) = (changed.user_id, changed.conversation_id)
"""
_READ = (
    "select user_id, conversation_id from insights.conversation_facets "
    "where day = %s and source = 'model'"
)


@dataclass(frozen=True)
class ReadingPlan:
    """``drawn``: (user, conversation) a model may read that day, None: all; ``outliers``: those it
    may read beside them, which stand for themselves alone; ``strata``: what each was drawn from.
    """

    tier: int
    users: int
    drawn: frozenset[Place] | None = None
    outliers: frozenset[Place] = frozenset()
    strata: Mapping[Place, str] = field(default_factory=dict)

    def has(self, place: Place) -> bool:
        return self.drawn is None or place in self.drawn or place in self.outliers


@dataclass
class ActiveUsers:
    """Consenting users of the ACTIVE_DAYS up to each day of a window, counted in one pass."""

    conn: psycopg.Connection[Any]
    selection: Selection
    _changes: list[tuple[date, int]] | None = field(default=None, init=False)

    def on(self, day: date) -> int:
        """How many on a day of the window; part of the caller's transaction when first asked."""
        if self._changes is None:
            window = self.selection.window
            parameters = {
                "start": window.start,
                "end": window.end,
                "active": ACTIVE_DAYS,
                "now": self.selection.now,
            }
            found = self.conn.execute(_ACTIVE, parameters)
            self._changes = [(changed, int(users)) for changed, users in found]
        position = bisect_right(self._changes, day, key=itemgetter(0))
        return self._changes[position - 1][1] if position else 0


def plan_day(
    conn: psycopg.Connection[Any], selection: Selection, day: date, active: ActiveUsers
) -> ReadingPlan:
    """The plan of a day, kept in ``insights.reading_plans``; part of the caller's transaction."""
    users = active.on(day)
    if users < LEAST_USERS:
        return ReadingPlan(1, users)
    before = conn.execute(
        "select tier from insights.reading_plans where day < %s and day >= %s "
        "order by day desc limit 1",
        [day, day - timedelta(days=ACTIVE_DAYS)],
    ).fetchone()
    tier = tier_of(users, before[0] if before else None)
    clause, parameters = selection.qualifying(day)
    found = conn.execute(_CONVERSATIONS.format(qualifying=clause), parameters).fetchall()
    most = READ_A_DAY[tier]
    units = (((user, talk), stratum) for user, talk, stratum in found)
    sample = draw(units, len(found) if most is None else most, str(day))
    strata: dict[str, list[int]] = {}
    for *_, stratum in found:
        strata.setdefault(stratum, [0, 0])[0] += 1
    for one in sample:
        strata[str(one.stratum)][1] += 1
    conn.execute(_KEEP, [day, tier, users, len(found), len(sample), Jsonb(strata)])
    if most is None:
        return ReadingPlan(tier, users)
    drawn: dict[Place, str] = {one.unit: str(one.stratum) for one in sample}  # type: ignore[misc]
    of_day = sorted({user for user, *_ in found})
    far = _outliers(conn, day, tier, of_day, drawn.keys())
    return ReadingPlan(tier, users, frozenset(drawn), far, drawn)


def mark_drawn(conn: psycopg.Connection[Any], day: date, plan: ReadingPlan) -> None:
    """Say of the day's facets that are there already what each was drawn from."""
    places = sorted(plan.strata)
    conn.execute(
        _MARK,
        {
            "day": day,
            "users": [user for user, _ in places],
            "talks": [talk for _, talk in places],
            "strata": [plan.strata[place] for place in places],
        },
    )


def _outliers(
    conn: psycopg.Connection[Any], day: date, tier: int, users: list[str], drawn: AbstractSet[Place]
) -> frozenset[Place]:
    """Those not read yet; what a model has read beside the sample counts towards the day's."""
    read: set[Place] = {(user_id, talk) for user_id, talk in conn.execute(_READ, [day])}
    left = OUTLIERS_A_DAY[tier] - len(read - drawn)
    return frozenset(outlying(conn, day, users, left, drawn | read))
