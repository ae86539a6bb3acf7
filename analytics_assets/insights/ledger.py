"""What is written down: every call, every answer, each in a small transaction of its own.

Belongs here: ``ops.llm_call`` and ``insights.analysis_cache``. Does not: deciding what to ask.
Invariant: a call is reserved before it is sent and settled together with its answer, consent being
read in both transactions; what a crash leaves reserved has no answer and is asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from analytics_assets.insights.asking import Reply
from analytics_assets.insights.pricing import cost_micros
from analytics_assets.insights.prompts import PROMPT_VERSION, STAGE
from analytics_assets.insights.selection import Selection, consents
from analytics_assets.store.database import lock_table

CACHE = "insights.analysis_cache"
WITHDRAWN = "consent_withdrawn"


@dataclass(frozen=True)
class Item:
    """One user's day: its scrubbed text and the key of its answer."""

    user_id: str
    day: date
    text: str
    key: str


@dataclass(frozen=True)
class Known:
    """What is known about the keys of a page before asking."""

    current: frozenset[str]
    stale: frozenset[str]
    elsewhere: frozenset[str]
    poisoned: frozenset[str]
    attempts: dict[str, int]


@dataclass(frozen=True)
class Ledger:
    """Writes on one connection, which no one else uses meanwhile."""

    conn: psycopg.Connection[Any]
    model: str
    now: datetime

    def hold(self) -> bool:
        """Let only one run at a time spend money, and mark what a crashed one left open.

        False while another run holds the lock. It is held until the connection closes.
        """
        row = self.conn.execute(
            "select pg_try_advisory_lock(hashtextextended(%s, 0))", [f"{CACHE}:calls"]
        ).fetchone()
        if not (row and row[0]):
            self.conn.commit()
            return False
        self.conn.execute(
            "update ops.llm_call set state = 'failed', error_class = 'interrupted', "
            "finished_at = now() where state = 'reserved' and stage = %s",
            [STAGE],
        )
        self.conn.commit()
        return True

    def known(self, items: Sequence[Item]) -> Known:
        """Look a page of one day up: rows that hold, answers to copy, questions never to repeat."""
        keys = {item.user_id: item.key for item in items}
        day = items[0].day
        rows = self.conn.execute(
            "select user_id, analysis_date, cache_key from insights.analysis_cache "
            "where user_id = any(%s) and (analysis_date = %s or cache_key = any(%s))",
            [list(keys), day, list(keys.values())],
        ).fetchall()
        current: set[str] = set()
        stale: set[str] = set()
        elsewhere: set[str] = set()
        for user_id, analysis_date, key in rows:
            same = keys[user_id] == key
            if analysis_date == day:
                (current if same else stale).add(user_id)
            elif same:
                elsewhere.add(user_id)
        poisoned: set[str] = set()
        attempts: dict[str, int] = {}
        for key, attempt, is_poison in self.conn.execute(
            "select cache_key, max(attempt), bool_or(state = 'poison') from ops.llm_call "
            "where cache_key = any(%s) group by cache_key",
            [list(keys.values())],
        ):
            attempts[key] = attempt
            if is_poison:
                poisoned.add(key)
        self.conn.commit()
        return Known(
            frozenset(current),
            frozenset(stale),
            frozenset(elsewhere),
            frozenset(poisoned),
            attempts,
        )

    def drop_unqualified(self, selection: Selection, day: date) -> int:
        """Delete the day's rows whose user no longer qualifies; returns how many."""
        clause, parameters = selection.qualifying(day)
        query = sql.SQL(
            "{} delete from insights.analysis_cache where analysis_date = %(day)s "
            "and user_id not in (select user_id from consenting)"
        ).format(clause)
        with self.conn.transaction():
            lock_table(self.conn, CACHE)
            return self.conn.execute(query, parameters).rowcount

    def copy(self, item: Item) -> bool:
        """Give the day the answer the same text of the same user had on another one."""
        with self.conn.transaction():
            lock_table(self.conn, CACHE)
            if not consents(self.conn, item.user_id, self.now):
                return False
            self.conn.execute(
                "insert into insights.analysis_cache "
                "(user_id, analysis_date, insights, cache_key, model, prompt_version) "
                "select user_id, %s, insights, cache_key, model, prompt_version "
                "from insights.analysis_cache where user_id = %s and cache_key = %s "
                "order by analysis_date limit 1 "
                "on conflict (user_id, analysis_date) do update set "
                "insights = excluded.insights, cache_key = excluded.cache_key, "
                "model = excluded.model, prompt_version = excluded.prompt_version, "
                "created_at = now()",
                [item.day, item.user_id, item.key],
            )
            return True

    def reserve(self, item: Item, attempt: int) -> int | None:
        """Write down that the call is about to be sent; None where consent is gone."""
        with self.conn.transaction():
            if not consents(self.conn, item.user_id, self.now):
                return None
            row = self.conn.execute(
                "insert into ops.llm_call (cache_key, stage, model, state, attempt) "
                "values (%s, %s, %s, 'reserved', %s) returning call_id",
                [item.key, STAGE, self.model, attempt],
            ).fetchone()
            return int(row[0]) if row else None

    def land(self, item: Item, call_id: int, reply: Reply) -> bool:
        """Settle the call and keep its answer, or drop it where consent was withdrawn meanwhile."""
        with self.conn.transaction():
            if reply.insight is None:
                self._settle(call_id, reply, reply.state, reply.error_class)
                return False
            lock_table(self.conn, CACHE)
            if not consents(self.conn, item.user_id, self.now):
                self._settle(call_id, reply, "failed", WITHDRAWN)
                return False
            # One key has one settled call: an earlier one whose answer was deleted makes room.
            self.conn.execute(
                "update ops.llm_call set state = 'failed', error_class = 'answer_deleted' "
                "where cache_key = %s and state = 'done'",
                [item.key],
            )
            self._settle(call_id, reply, "done", None)
            self.conn.execute(
                "insert into insights.analysis_cache "
                "(user_id, analysis_date, insights, cache_key, model, prompt_version) "
                "values (%s, %s, %s, %s, %s, %s) "
                "on conflict (user_id, analysis_date) do update set "
                "insights = excluded.insights, cache_key = excluded.cache_key, "
                "model = excluded.model, prompt_version = excluded.prompt_version, "
                "created_at = now()",
                [
                    item.user_id,
                    item.day,
                    Jsonb(reply.insight.model_dump(mode="json")),
                    item.key,
                    self.model,
                    PROMPT_VERSION,
                ],
            )
            return True

    def _settle(self, call_id: int, reply: Reply, state: str, error_class: str | None) -> None:
        self.conn.execute(
            "update ops.llm_call set state = %s, error_class = %s, input_tokens = %s, "
            "output_tokens = %s, cached_tokens = %s, cost_micros = %s, "
            "finished_at = clock_timestamp() where call_id = %s",
            [
                state,
                error_class,
                reply.usage.input,
                reply.usage.output,
                reply.usage.cached,
                cost_micros(self.model, reply.usage),
                call_id,
            ],
        )
