"""What is grouped: facets of consenting people, and the sentence each of them is placed by.

Belongs here: reading facets of a span of days, and which sentence stands for a row. Does not:
vectors (groups/facet_vectors.py) or groups. Invariant: only who consents now is read, and only
accounts that count towards a floor; a person is the subject, however many accounts they have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from analytics_assets.insights.consent import CONSENTING
from analytics_assets.insights.taxonomy import FeatureRequest, Friction
from analytics_assets.windows import Window

SPAN_DAYS = 28
COUNTS_AFTER_DAYS = 7

_FACETS = sql.SQL("""
with candidates as (
    select distinct user_id from insights.conversation_facets
    where day >= %(start)s and day < %(end)s
),
{consenting},
accounts as (
    select distinct on (u.user_id)
        u.user_id,
        coalesce(u.subject, u.user_id) as person,
        (u.signup_at at time zone 'UTC')::date + %(counts_after)s as counts_from
    from raw.users as u
    join consenting using (user_id)
    order by u.user_id, u.valid_from > %(now)s, abs(extract(epoch from u.valid_from - %(now)s))
)
select
    f.user_id, coalesce(a.person, f.user_id) as person, f.day, f.conversation_id,
    f.task, f.topic, f.outcome, f.friction, f.sentiment, f.feature_request,
    f.summary, f.wish, f.source, f.text_digest, f.user_messages,
    f.stratum
from insights.conversation_facets as f
join consenting using (user_id)
-- Of many applications nothing is known of accounts but their ids.
left join accounts as a using (user_id)
where f.day >= %(start)s and f.day < %(end)s
    and (a.counts_from is null or f.day >= a.counts_from)
order by f.day, f.user_id, f.conversation_id
""").format(consenting=CONSENTING)


class Kind(StrEnum):
    """What is grouped by; the values are those of ``insights.clusters.kind``."""

    USE_CASE = "use_case"
    FEATURE_REQUEST = "feature_request"
    FRICTION_POINT = "friction_point"


@dataclass(frozen=True)
class Facet:
    """A row of ``insights.conversation_facets``, and whose it is."""

    user_id: str
    person: str
    day: date
    conversation_id: str
    task: str
    topic: str
    outcome: str
    friction: str
    sentiment: int
    feature_request: str
    summary: str
    wish: str
    source: str
    text_digest: str
    user_messages: int
    stratum: str | None = None

    @property
    def by_model(self) -> bool:
        return self.source == "model"

    def belongs_to(self, kind: Kind) -> bool:
        if kind is Kind.FEATURE_REQUEST:
            return self.feature_request != FeatureRequest.NONE
        return kind is Kind.USE_CASE or self.friction != Friction.NONE

    def value(self, kind: Kind) -> str:
        """The value of the closed list that the kind is about."""
        match kind:
            case Kind.USE_CASE:
                return self.topic
            case Kind.FEATURE_REQUEST:
                return self.feature_request
            case Kind.FRICTION_POINT:
                return self.friction

    def line(self, kind: Kind) -> str:
        """The sentence that stands for the row: what a model may be shown of it."""
        match kind:
            case Kind.USE_CASE:
                return self.summary
            case Kind.FEATURE_REQUEST:
                return self.wish or f"U asked for {in_words(self.feature_request)}."
            case Kind.FRICTION_POINT:
                met = f"{in_words(self.friction)} in {in_words(self.topic)}"
                return f"{met}: {self.summary}" if self.by_model else met

    def placed_by(self, kind: Kind, opening: str = "") -> str:
        """What is embedded: what the row was found to be about, and the sentence."""
        text = opening or self.line(kind)
        return f"{in_words(self.topic)}: {text}" if kind is Kind.USE_CASE else text

    def opens(self, kind: Kind) -> bool:
        """Whether the user's own first words place it better: rules word all alike."""
        return kind is Kind.USE_CASE and not self.by_model


def span_of(last_day: date) -> Window:
    """The 28 days that end with ``last_day``."""
    end = last_day + timedelta(days=1)
    return Window(end - timedelta(days=SPAN_DAYS), end)


def facets_of(conn: psycopg.Connection[Any], window: Window, now: datetime) -> list[Facet]:
    """Facets of the window, oldest first; part of the caller's transaction."""
    with conn.cursor(row_factory=class_row(Facet)) as cursor:
        cursor.execute(
            _FACETS,
            {
                "start": window.start,
                "end": window.end,
                "now": now,
                "counts_after": COUNTS_AFTER_DAYS,
            },
        )
        return cursor.fetchall()


def in_words(value: str) -> str:
    return value.replace("_", " ")


def people_of(facets: Sequence[Facet]) -> int:
    return len({facet.person for facet in facets})
