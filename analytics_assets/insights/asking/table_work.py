"""The table of a stage and its ledger, on one connection: each step in a transaction of its own.

Belongs here: what a run does with the database. Does not: the order of things (stage_run.py), SQL
(the tables, ledger.py). Invariant: whoever's row is written consents in that same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg

from analytics_assets.insights.asking.answer_table import AnswerTable, Item, Known
from analytics_assets.insights.asking.asker import Reply
from analytics_assets.insights.asking.ledger import Asked, Ledger
from analytics_assets.insights.consent import consenting_of, consents
from analytics_assets.insights.scrubbing.scrubber import Scrubber
from analytics_assets.store.database import lock_table

PAGE_USERS = 200


@dataclass(frozen=True)
class TableWork:
    """Steps of a run; all on the connection of the ledger, one at a time."""

    conn: psycopg.Connection[Any]
    table: AnswerTable
    ledger: Ledger
    now: datetime

    def days(self) -> list[date]:
        with self.conn.transaction():
            return self.table.days()

    def users(self, day: date) -> list[str]:
        with self.conn.transaction():
            return self.table.users(day)

    def planned_users(self, day: date) -> list[str]:
        """The day's users, once it is decided about whom a model may be asked."""
        with self.conn.transaction():
            users = self.table.users(day)
            self.table.plan(day, users)
            return users

    def prepare(
        self, day: date, page: Sequence[str], fingerprint: dict[str, str]
    ) -> tuple[list[Item], Scrubber]:
        with self.conn.transaction():
            return self.table.prepare(day, page, fingerprint)

    def without_answers(self, day: date, page: Sequence[str]) -> tuple[int, int]:
        """Rows without a model; returns how many were selected, and how many are stale."""
        # Whose words are read and what is made of them is decided in one transaction.
        with self.conn.transaction():
            lock_table(self.conn, self.table.name)
            items, _ = self.table.prepare(day, consenting_of(self.conn, page, self.now), {})
            return len(items), self.table.stand_in(items)

    def look_up(self, items: Sequence[Item]) -> tuple[Known, Asked]:
        with self.conn.transaction():
            known = self.table.known(items)
            return known, self.ledger.asked([item.key for item in items])

    def drop_unqualified(self, day: date) -> int:
        with self.conn.transaction():
            lock_table(self.conn, self.table.name)
            return self.table.drop_unqualified(day)

    def copy(self, item: Item) -> bool:
        with self.conn.transaction():
            lock_table(self.conn, self.table.name)
            if not consents(self.conn, item.user_id, self.now):
                return False
            self.table.copy(item)
            return True

    def land(self, item: Item, call_id: int, reply: Reply, batched: bool = False) -> bool:
        def keep() -> None:
            lock_table(self.conn, self.table.name)
            if reply.answer is not None:
                self.table.write(item, reply.answer, self.ledger.model)

        return self.ledger.land(item.user_id, item.key, call_id, reply, keep, batched=batched)

    def stand_in(self, item: Item) -> int:
        """Do what can be done without an answer; returns how many rows are behind their text."""
        with self.conn.transaction():
            lock_table(self.conn, self.table.name)
            if not consents(self.conn, item.user_id, self.now):
                return 0
            return self.table.stand_in([item])


def pages(users: Sequence[str]) -> Iterator[Sequence[str]]:
    """Users in the pages in which they are worked on."""
    for start in range(0, len(users), PAGE_USERS):
        yield users[start : start + PAGE_USERS]
