"""``insights.analysis_cache``: how each consenting user fared on a day, from facets and counts.

Belongs here: the table's SQL and the domain call. Does not: asking (asking/stage_run.py) or words
(prompt.py). Invariant: nothing of a conversation reaches the model here but its facets, which are
scrubbed and short, and no count but of what the user did; the second run asks nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb
from pydantic import BaseModel

from analytics_assets.insights.asking.answer_table import Item, Known
from analytics_assets.insights.asking.cache_key import cache_key, text_digest
from analytics_assets.insights.asking.configured import NO_KEY, configured
from analytics_assets.insights.asking.outcome import StageOutcome
from analytics_assets.insights.asking.stage import Stage
from analytics_assets.insights.asking.stage_run import Connect, Limits, StageRun
from analytics_assets.insights.asking.user_keys import user_keys
from analytics_assets.insights.conversations.facets import facets_of_users
from analytics_assets.insights.conversations.selection import Selection
from analytics_assets.insights.providers.protocol import Provider
from analytics_assets.insights.scrubbing.dictionary import Scrubbers
from analytics_assets.insights.scrubbing.scrubber import Placeholders, Scrubber
from analytics_assets.insights.users.plan import COUNTS, UserPlan, plan_users
from analytics_assets.insights.users.prompt import USER_INSIGHT, day_of_facets
from analytics_assets.store.database import table_exists
from analytics_assets.windows import Window, monday_of

if TYPE_CHECKING:
    from analytics_assets.settings import Settings
    from analytics_assets.store.database import Database

TABLE = "insights.analysis_cache"

_UPSERT = (
    "on conflict (user_id, analysis_date) do update set "
    "insights = excluded.insights, cache_key = excluded.cache_key, "
    "model = excluded.model, prompt_version = excluded.prompt_version, "
    "created_at = clock_timestamp()"
)


@dataclass
class UserInsightTable:
    """Reads facets and counts, writes insights; see AnswerTable."""

    conn: psycopg.Connection[Any]
    selection: Selection
    name: str = field(default=TABLE, init=False)
    stage: Stage = field(default=USER_INSIGHT, init=False)

    def __post_init__(self) -> None:
        self.scrubbers = Scrubbers(self.conn)
        self.has_activity = table_exists(self.conn, "insights.user_activity")
        self.day_plan: UserPlan | None = None
        self.asked_on: dict[tuple[str, date], date] = {}

    def may_ask(self, item: Item) -> bool:
        plan = self.day_plan
        if plan is None or plan.day != item.day or plan.tier == 1:
            return True
        if not plan.has(item.user_id):
            return False
        # Batches take questions of several days before any has an answer.
        week = (item.user_id, monday_of(item.day))
        return self.asked_on.setdefault(week, item.day) == item.day

    def days(self) -> list[date]:
        return self.selection.days(self.conn)

    def drop_unqualified(self, day: date) -> int:
        clause, parameters = self.selection.qualifying(day)
        query = sql.SQL(
            "{} delete from insights.analysis_cache where analysis_date = %(day)s "
            "and not (user_id in (select user_id from consenting) and user_id in "
            "(select user_id from insights.conversation_facets where day = %(day)s))"
        ).format(clause)
        return self.conn.execute(query, parameters).rowcount

    def users(self, day: date) -> list[str]:
        return self.selection.users(self.conn, day)

    def plan(self, day: date, users: Sequence[str]) -> None:
        self.day_plan = plan_users(self.conn, day, users, has_activity=self.has_activity)

    def prepare(
        self, day: date, users: Sequence[str], fingerprint: dict[str, str]
    ) -> tuple[list[Item], Scrubber]:
        facets = facets_of_users(self.conn, day, users)
        counts = self._counts(day, users)
        # Facets are scrubbed already; by now more identifiers may be known.
        scrubber = self.scrubbers.of(
            str(facet[name])
            for of_user in facets.values()
            for facet in of_user
            for name in ("summary", "wish")
        )
        keys = user_keys(self.conn, list(facets))
        items = []
        for user_id, of_user in facets.items():
            told = day_of_facets(of_user, counts.get(user_id, {}))
            text = scrubber.scrub(told, Placeholders())
            digest = text_digest(text, keys[user_id])
            key = cache_key(USER_INSIGHT, digest, fingerprint, scrubber.version)
            items.append(Item(user_id, day, "", text, digest, key))
        return items, scrubber

    def known(self, items: Sequence[Item]) -> Known:
        keys = {item.user_id: item.key for item in items}
        day = items[0].day
        current: set[tuple[str, str]] = set()
        stale: set[tuple[str, str]] = set()
        elsewhere: set[tuple[str, str]] = set()
        for user_id, analysis_date, key in self.conn.execute(
            "select user_id, analysis_date, cache_key from insights.analysis_cache "
            "where user_id = any(%s) and (analysis_date = %s or cache_key = any(%s))",
            [list(keys), day, list(keys.values())],
        ):
            same = keys[user_id] == key
            if analysis_date == day:
                (current if same else stale).add((user_id, ""))
            elif same:
                elsewhere.add((user_id, ""))
        return Known(frozenset(current), frozenset(stale), frozenset(elsewhere))

    def copy(self, item: Item) -> None:
        self.conn.execute(
            "insert into insights.analysis_cache "
            "(user_id, analysis_date, insights, cache_key, model, prompt_version) "
            "select user_id, %s, insights, cache_key, model, prompt_version "
            "from insights.analysis_cache where user_id = %s and cache_key = %s "
            "order by analysis_date limit 1 " + _UPSERT,
            [item.day, item.user_id, item.key],
        )

    def write(self, item: Item, answer: BaseModel, model: str) -> None:
        self.conn.execute(
            "insert into insights.analysis_cache "
            "(user_id, analysis_date, insights, cache_key, model, prompt_version) "
            "values (%s, %s, %s, %s, %s, %s) " + _UPSERT,
            [
                item.user_id,
                item.day,
                Jsonb(answer.model_dump(mode="json")),
                item.key,
                model,
                USER_INSIGHT.version,
            ],
        )

    def stand_in(self, items: Sequence[Item]) -> int:
        """Nothing stands in: the day's facets say what is known."""
        return len(self.known(items).stale) if items else 0

    def _counts(self, day: date, users: Sequence[str]) -> dict[str, dict[str, int]]:
        if not self.has_activity:
            return {}
        query = sql.SQL(
            "select user_id, {} from insights.user_activity where day = %s and user_id = any(%s)"
        ).format(sql.SQL(", ").join(map(sql.Identifier, COUNTS)))
        return {
            user_id: dict(zip(COUNTS, counts, strict=True))
            for user_id, *counts in self.conn.execute(query, [day, list(users)])
        }


def analyse_window(database: Database, window: Window, settings: Settings) -> StageOutcome:
    """Bring ``insights.analysis_cache`` of the window up to date as the settings say."""
    model = configured(settings)
    return analyse(
        lambda: database.connect("analytics_pipeline"),
        window,
        model.provider,
        settings.now(),
        model.limits,
        why_none=model.why_none or NO_KEY,
    )


def analyse(
    connect: Connect,
    window: Window,
    provider: Provider | None,
    now: datetime,
    limits: Limits | None = None,
    *,
    why_none: str = NO_KEY,
) -> StageOutcome:
    """Bring ``insights.analysis_cache`` of the window up to date from its facets.

    ``connect`` opens a connection as the pipeline's role; ``provider`` is closed at the end.
    Without one only rows whose user no longer qualifies are deleted. Raises psycopg.Error only.
    """
    with connect() as conn:
        selection = Selection.of(conn, window, now)
        table = UserInsightTable(conn, selection)
        conn.commit()
        return StageRun(conn, table, window, now, limits or Limits(), provider, why_none).run()
