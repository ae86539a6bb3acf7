"""A stage over a window: every question asked once, every answer kept by content.

Belongs here: the order of things and the outcome. Does not: SQL (the tables, ledger.py), words
(stage.py), failures of a call (asker.py). Invariant: a second run asks nothing and changes
nothing; whatever the model does, rows that succeeded stay and nothing raises but the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, TypeVar

import psycopg

from analytics_assets.insights.asking.answer_table import AnswerTable, Item
from analytics_assets.insights.asking.asker import Asker, Reply
from analytics_assets.insights.asking.batch_ledger import BatchLedger
from analytics_assets.insights.asking.batch_round import BatchRound
from analytics_assets.insights.asking.batching import Batcher, BatchLimits, reply_of
from analytics_assets.insights.asking.budget import Budget, why_exceeded
from analytics_assets.insights.asking.ledger import WITHDRAWN, Ledger
from analytics_assets.insights.asking.outcome import StageOutcome
from analytics_assets.insights.asking.table_work import TableWork, pages
from analytics_assets.insights.asking.user_keys import forget_withdrawn
from analytics_assets.insights.asking.wording import worded
from analytics_assets.insights.providers.context_cache import STAGE as CACHE_STAGE
from analytics_assets.insights.providers.context_cache import (
    TTL_SECONDS,
    CachingProvider,
    keeping_micros,
    worth_keeping,
)
from analytics_assets.insights.providers.pacing import Pacer
from analytics_assets.insights.providers.pricing import Price, cost_micros
from analytics_assets.insights.providers.protocol import (
    NO_USAGE,
    BatchProvider,
    Provider,
    ProviderError,
)
from analytics_assets.insights.scrubbing.scrubber import Scrubber
from analytics_assets.windows import Window

Connect = Callable[[], psycopg.Connection[Any]]
T = TypeVar("T")

HOLD_POLL_SECONDS = 0.5
NO_MODEL = "no model"


@dataclass(frozen=True)
class Limits:
    """How the model may be used; ``backoff`` as in Asker."""

    requests_per_minute: int = 60
    concurrency: int = 8
    backoff: float = 1.0
    longest_pause: float = 120.0
    budget: Budget | None = None
    price: Price | None = None
    batch: BatchLimits | None = None
    context_cache: bool = True

    def asker(self, provider: Provider) -> Asker:
        """Asks ``provider`` at this pace."""
        return Asker(
            provider,
            Pacer(self.requests_per_minute, burst=self.concurrency),
            backoff=self.backoff,
            longest_pause=self.longest_pause,
        )


@dataclass
class StageRun:
    """One run of one stage; use ``run``. ``whole``: the table is about all rows of the window, so
    that an answer nobody takes is one nobody wants; else batches are left alone.
    """

    conn: psycopg.Connection[Any]
    table: AnswerTable
    window: Window
    now: datetime
    limits: Limits
    provider: Provider | None
    why_none: str = NO_MODEL
    whole: bool = True
    outcome: StageOutcome = field(init=False)

    def __post_init__(self) -> None:
        self.outcome = StageOutcome(self.window)
        self.ledger = Ledger(
            self.conn,
            self.table.stage.name,
            self.provider.model if self.provider else "none",
            self.now,
            self.limits.price,
            self.limits.budget,
        )
        self.work = TableWork(self.conn, self.table, self.ledger, self.now)
        self.over_budget = False
        self.batcher: Batcher | None = None
        self.from_batch: set[str] = set()
        self.batched_usage = NO_USAGE
        self.overhead_micros = 0
        self.keeping_tried = False
        # One thread owns the connection, so that a slow commit never holds up the event loop.
        self.database = ThreadPoolExecutor(max_workers=1)

    def run(self) -> StageOutcome:
        """Bring the table's window up to date. Raises psycopg.Error only."""
        with self.conn.transaction():
            forget_withdrawn(self.conn, self.now)
        if self.provider is None:
            return self._without_model()
        return asyncio.run(self._with_model(self.provider))

    def _without_model(self) -> StageOutcome:
        for day in self.work.days():
            self.outcome.deleted += self.work.drop_unqualified(day)
            users = self.work.users(day)
            for page in pages(users):
                selected, stale = self.work.without_answers(day, page)
                self.outcome.selected += selected
                self.outcome.stale += stale
        self.outcome.skipped = self.why_none
        self.outcome.tell(f"{self.table.stage.name}: {self.why_none}")
        return self.outcome

    async def _with_model(self, provider: Provider) -> StageOutcome:
        self.asker = self.limits.asker(provider)
        self.slots = asyncio.Semaphore(self.limits.concurrency)
        try:
            # Asked again and again rather than waited for, so that the run can be cancelled.
            while not await self._db(self.ledger.hold):  # noqa: ASYNC110
                await asyncio.sleep(HOLD_POLL_SECONDS)
            days = await self._db(self.work.days)
            fingerprint = dict(provider.fingerprint())
            await self._in_batches(provider, days, fingerprint)
            for day in days:
                await self._day(day, fingerprint)
            if self.batcher is not None and self.whole:
                await self.batcher.finish()
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            self.database.shutdown(wait=True)
            await provider.aclose()
        return self._finished()

    async def _in_batches(
        self, provider: Provider, days: Sequence[date], fingerprint: dict[str, str]
    ) -> None:
        """Send what can wait in batches and collect their answers, which ``_page`` then keeps."""
        if not isinstance(provider, BatchProvider):
            return
        limits = self.limits.batch
        # All days of the window: a batch may be about one whose messages are gone by now.
        days_of = frozenset(self.window.days())
        batcher = self.batcher = Batcher(
            provider, BatchLedger(self.ledger), limits or BatchLimits(), days_of, self._db
        )
        try:
            if self.whole:
                await BatchRound(self.work, batcher, limits, self._db).run(days, fingerprint)
            else:
                await batcher.recover()
        except ProviderError as error:
            # The online way is still open; what was submitted is found by a later run.
            self.outcome.errors[f"batch_{error.error_class}"] += 1

    def _in_batch(self, item: Item) -> bool:
        """Whether it was sent: what was paid for is kept, whoever would be chosen today."""
        return self.batcher is not None and (
            item.key in self.from_batch or self.batcher.has(item.key)
        )

    async def _from_batch(self, item: Item, scrubber: Scrubber) -> bool:
        """Whether a batch has settled the item, or still holds it."""
        if self.batcher is None:
            return False
        if item.key in self.from_batch:
            # The same words a second time on this page: the answer is there by now.
            self.outcome.copied += await self._db(self.work.copy, item)
            return True
        if self.batcher.holds(item.key):
            self.outcome.not_attempted += 1
            self.outcome.tell(
                f"{self.table.stage.name}: a batch is under way; a later run collects its answers"
            )
            self.outcome.stale += await self._db(self.work.stand_in, item)
            return True
        taken = self.batcher.take(item.key)
        if taken is None:
            return False
        call_id, found = taken
        reply = self._cleaned(
            item, reply_of(found, self.table.stage.request(item.text, item.key)), scrubber
        )
        landed = await self._db(self.work.land, item, call_id, reply, True)
        self.batched_usage += reply.usage
        if reply.state == "failed":
            # Not counted as failed: it is asked online next.
            self.outcome.usage += reply.usage
            return False
        self._count(reply, landed=landed)
        if landed:
            self.from_batch.add(item.key)
            self.outcome.batched += 1
        if reply.state == "poison":
            self.outcome.stale += await self._db(self.work.stand_in, item)
        return True

    def _cleaned(self, item: Item, reply: Reply, scrubber: Scrubber) -> Reply:
        if reply.answer is None:
            return reply
        return replace(reply, answer=worded(reply.answer, self.table.stage, item.text, scrubber))

    async def _day(self, day: date, fingerprint: dict[str, str]) -> None:
        self.outcome.deleted += await self._db(self.work.drop_unqualified, day)
        for page in pages(await self._db(self.work.planned_users, day)):
            items, scrubber = await self._db(self.work.prepare, day, page, fingerprint)
            self.outcome.selected += len(items)
            if items:
                await self._page(items, scrubber)

    async def _page(self, items: list[Item], scrubber: Scrubber) -> None:
        known, asked = await self._db(self.work.look_up, items)
        waiting: list[tuple[Item, int]] = []
        for item in items:
            if item.row in known.current:
                self.outcome.unchanged += 1
            elif item.row in known.elsewhere:
                copied = await self._db(self.work.copy, item)
                self.outcome.copied += copied
                self.outcome.withdrawn += not copied
            elif item.key in asked.poisoned:
                self.outcome.poisoned += 1
                self.outcome.stale += await self._db(self.work.stand_in, item)
            elif not self.table.may_ask(item) and not self._in_batch(item):
                self.outcome.not_drawn += 1
                self.outcome.stale += await self._db(self.work.stand_in, item)
            elif not await self._from_batch(item, scrubber):
                waiting.append((item, asked.attempts.get(item.key, 0) + 1))
        # Where the budget ends, who was never read goes before who is read again.
        waiting.sort(key=lambda one: one[0].row in known.stale)
        await self._keep_instructions(len(waiting))
        async with asyncio.TaskGroup() as group:
            for item, attempt in waiting:
                group.create_task(self._ask(item, attempt, scrubber))

    async def _keep_instructions(self, questions: int) -> None:
        """Have the vendor keep the instructions where that saves money on so many questions."""
        provider, price, system = self.provider, self.limits.price, self.table.stage.system
        if self.keeping_tried or price is None or not self.limits.context_cache:
            return
        if not isinstance(provider, CachingProvider):
            return
        most = worth_keeping(provider.model, price, system, questions)
        if most is None:
            return
        self.keeping_tried = True
        call_id = await self._db(self.ledger.reserve_overhead, CACHE_STAGE, most)
        if call_id is None:
            return
        tokens = await provider.cache_instructions(system, TTL_SECONDS) or 0
        cost = keeping_micros(provider.model, price, tokens)
        await self._db(self.ledger.settle_overhead, call_id, tokens, cost)
        self.overhead_micros += cost

    async def _ask(self, item: Item, attempt: int, scrubber: Scrubber) -> None:
        async with self.slots:
            if not self._stopped:
                await self.asker.pacer.acquire()
            if self._stopped:
                self.outcome.not_attempted += 1
                self.outcome.stale += await self._db(self.work.stand_in, item)
                return
            request = self.table.stage.request(item.text, item.key)
            worst = 0 if self.limits.budget is None else self.limits.budget.worst_case(request)
            call_id, refused = await self._db(
                self.ledger.reserve, item.user_id, item.key, attempt, worst
            )
            if call_id is None:
                await self._refused(item, refused or WITHDRAWN)
                return
            reply = self._cleaned(item, await self.asker.ask(request), scrubber)
            landed = await self._db(self.work.land, item, call_id, reply)
            self._count(reply, landed=landed)
            if reply.state != "done":
                self.outcome.stale += await self._db(self.work.stand_in, item)

    async def _refused(self, item: Item, refused: str) -> None:
        if refused == WITHDRAWN:
            self.outcome.withdrawn += 1
            return
        self.over_budget = True
        self.outcome.not_attempted += 1
        self.outcome.tell(f"{self.table.stage.name}: {why_exceeded(refused)}")
        self.outcome.stale += await self._db(self.work.stand_in, item)

    def _count(self, reply: Reply, *, landed: bool) -> None:
        outcome = self.outcome
        outcome.usage += reply.usage
        if landed:
            outcome.analysed += 1
        elif reply.state == "done":
            outcome.withdrawn += 1
            outcome.errors[WITHDRAWN] += 1
        else:
            outcome.poisoned += reply.state == "poison"
            outcome.failed += reply.state == "failed"
            outcome.errors[reply.error_class or "unknown"] += 1
        if reply.advice is not None:
            self.asker.breaker.trip()
            outcome.tell(reply.advice)

    def _finished(self) -> StageOutcome:
        outcome = self.outcome
        outcome.calls = self.asker.calls + (self.batcher.calls if self.batcher else 0)
        outcome.cost_micros = self._cost()
        if not outcome.complete and not outcome.missing:
            classes = ", ".join(sorted(outcome.errors)) or "unknown"
            outcome.tell(
                f"{self.table.stage.name} of some users: the model failed ({classes}); "
                "the next run asks again"
            )
        return outcome

    def _cost(self) -> int | None:
        price, batched = self.limits.price, self.batched_usage
        online = cost_micros(price, self.outcome.usage - batched)
        half = cost_micros(price, batched, batched=True)
        return None if online is None or half is None else online + half + self.overhead_micros

    @property
    def _stopped(self) -> bool:
        return self.asker.breaker.is_open or self.over_budget

    async def _db(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.database, work, *arguments)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
