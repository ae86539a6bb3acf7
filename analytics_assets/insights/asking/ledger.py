"""What is written down of calls: each in a small transaction of its own.

Belongs here: ``ops.llm_call``. Does not: deciding what to ask (stage_run.py) or the tables of
answers (conversations/facets.py, users/analysis.py). Invariant: a call is reserved, money included,
before it is sent, and settled together with its answer, consent being read in both transactions;
what a crash leaves reserved has no answer, counts as spent, and is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

import psycopg

from analytics_assets.insights.asking.asker import Reply
from analytics_assets.insights.asking.budget import Budget
from analytics_assets.insights.consent import consents
from analytics_assets.insights.providers.pricing import Price, cost_micros

WITHDRAWN = "consent_withdrawn"
INTERRUPTED = "interrupted"
_LOCK = "insights:calls"


class Reservation(NamedTuple):
    """``call_id`` of a call that may be sent, or None and why it may not."""

    call_id: int | None
    refused: str | None = None


class BatchPlace(NamedTuple):
    """The batch a call goes in, what the vendor calls it there, and the day it is about."""

    name: str
    item_key: str
    day: date


@dataclass(frozen=True)
class Asked:
    """What happened to questions before: those never to repeat, and tries so far."""

    poisoned: frozenset[str]
    attempts: dict[str, int]


@dataclass(frozen=True)
class Ledger:
    """Writes on one connection, which no one else uses meanwhile. Without a ``budget`` nothing
    caps the costs, which are reckoned at ``price`` all the same.
    """

    conn: psycopg.Connection[Any]
    stage: str
    model: str
    now: datetime
    price: Price | None = None
    budget: Budget | None = None

    def hold(self) -> bool:
        """Let only one run at a time spend money, and mark what a crashed one left open.

        False while another run holds the lock. It is held until the connection closes.
        """
        row = self.conn.execute(
            "select pg_try_advisory_lock(hashtextextended(%s, 0))", [_LOCK]
        ).fetchone()
        if not (row and row[0]):
            self.conn.commit()
            return False
        # The vendor may have read and charged what nobody waited for: the reserve stays spent.
        self.conn.execute(
            "update ops.llm_call set state = 'failed', error_class = %s, "
            "cost_micros = reserved_micros, finished_at = clock_timestamp() "
            "where state = 'reserved' and batch_name is null",
            [INTERRUPTED],
        )
        self.conn.commit()
        return True

    def asked(self, keys: Sequence[str]) -> Asked:
        """Look questions up; part of the caller's transaction."""
        poisoned: set[str] = set()
        attempts: dict[str, int] = {}
        for key, attempt, is_poison in self.conn.execute(
            "select cache_key, max(attempt), bool_or(state = 'poison') from ops.llm_call "
            "where cache_key = any(%s) group by cache_key",
            [list(keys)],
        ):
            attempts[key] = attempt
            if is_poison:
                poisoned.add(key)
        return Asked(frozenset(poisoned), attempts)

    def reserve(
        self,
        user_id: str,
        key: str,
        attempt: int,
        worst_case: int,
        *,
        batch: BatchPlace | None = None,
    ) -> Reservation:
        """Write down that a call is about to be sent, with the most it can cost."""
        with self.conn.transaction():
            if not consents(self.conn, user_id, self.now):
                return Reservation(None, WITHDRAWN)
            if self.budget is not None:
                cap = self.budget.exceeded(self.conn, worst_case)
                if cap is not None:
                    return Reservation(None, cap)
            row = self.conn.execute(
                "insert into ops.llm_call "
                "(cache_key, stage, model, state, attempt, reserved_micros, price_version, "
                "batch_name) values (%s, %s, %s, 'reserved', %s, %s, %s, %s) returning call_id",
                [
                    key,
                    self.stage,
                    self.model,
                    attempt,
                    worst_case,
                    self.price_version,
                    None if batch is None else batch.name,
                ],
            ).fetchone()
            call_id = int(row[0]) if row else None
            if batch is not None:
                self.conn.execute(
                    "insert into vault.batch_items (call_id, batch_name, item_key, day) "
                    "values (%s, %s, %s, %s)",
                    [call_id, *batch],
                )
            return Reservation(call_id)

    def reserve_overhead(self, stage: str, worst_case: int) -> int | None:
        """Write down a cost that belongs to no question; None where a cap is in the way."""
        with self.conn.transaction():
            if self.budget is not None and self.budget.exceeded(self.conn, worst_case):
                return None
            row = self.conn.execute(
                "insert into ops.llm_call "
                "(cache_key, stage, model, state, reserved_micros, price_version) "
                "values (%s || gen_random_uuid(), %s, %s, 'reserved', %s, %s) returning call_id",
                [f"{stage}:", stage, self.model, worst_case, self.price_version],
            ).fetchone()
            return int(row[0]) if row else None

    def settle_overhead(self, call_id: int, tokens: int, micros: int) -> None:
        """What it came to; nothing where it was refused."""
        with self.conn.transaction():
            self.conn.execute(
                "update ops.llm_call set state = %s, error_class = %s, input_tokens = %s, "
                "output_tokens = 0, cached_tokens = 0, cost_micros = %s, "
                "finished_at = clock_timestamp() where call_id = %s",
                [
                    "done" if tokens else "failed",
                    None if tokens else "refused",
                    tokens,
                    micros,
                    call_id,
                ],
            )

    def land(
        self,
        user_id: str,
        key: str,
        call_id: int,
        reply: Reply,
        keep: Callable[[], None],
        *,
        batched: bool = False,
    ) -> bool:
        """Settle the call and ``keep`` its answer in one transaction, or drop the answer where
        consent was withdrawn meanwhile. ``keep`` is not called for a reply without an answer.
        """
        with self.conn.transaction():
            if reply.answer is None:
                self.settle(call_id, reply, reply.state, reply.error_class, batched=batched)
                return False
            if not consents(self.conn, user_id, self.now):
                self.settle(call_id, reply, "failed", WITHDRAWN, batched=batched)
                return False
            # One key has one settled call: an earlier one whose answer was deleted makes room.
            self.conn.execute(
                "update ops.llm_call set state = 'failed', error_class = 'answer_deleted' "
                "where cache_key = %s and state = 'done'",
                [key],
            )
            self.settle(call_id, reply, "done", None, batched=batched)
            keep()
            return True

    @property
    def price_version(self) -> str | None:
        return None if self.price is None else self.price.version

    def settle(
        self,
        call_id: int,
        reply: Reply,
        state: str,
        error_class: str | None,
        *,
        batched: bool = False,
    ) -> None:
        """Write down how a call ended and what it cost; part of the caller's transaction."""
        cost = cost_micros(self.price, reply.usage, batched=batched)
        # A failure that was not billed releases its reserve; one that may have been keeps it.
        self.conn.execute(
            "update ops.llm_call set state = %s, error_class = %s, input_tokens = %s, "
            "output_tokens = %s, cached_tokens = %s, "
            "cost_micros = case when %s then greatest(%s, reserved_micros) else %s end, "
            "finished_at = clock_timestamp() where call_id = %s",
            [
                state,
                error_class,
                reply.usage.input,
                reply.usage.output,
                reply.usage.cached,
                reply.maybe_billed,
                cost,
                cost,
                call_id,
            ],
        )
        if batched:
            self.conn.execute("delete from vault.batch_items where call_id = %s", [call_id])
