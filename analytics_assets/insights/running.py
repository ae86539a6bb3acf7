"""A stage over a window: every question asked once, every answer kept by content.

Belongs here: the order of things and the outcome. Does not: SQL (the tables, ledger.py), words
(stage.py), failures of a call (asking.py). Invariant: a second run asks nothing and changes
nothing; whatever the model does, rows that succeeded stay and nothing raises but the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Protocol, TypeVar

import psycopg
from pydantic import BaseModel

from analytics_assets.insights.asking import Asker, Reply
from analytics_assets.insights.budget import Budget, why_exceeded
from analytics_assets.insights.ledger import WITHDRAWN, Ledger
from analytics_assets.insights.outcome import StageOutcome
from analytics_assets.insights.pacing import Pacer
from analytics_assets.insights.pricing import Price, cost_micros
from analytics_assets.insights.provider import Provider
from analytics_assets.insights.scrub import Scrubber
from analytics_assets.insights.scrubbing import without_names
from analytics_assets.insights.selection import consenting_of, consents
from analytics_assets.insights.stage import Stage
from analytics_assets.insights.user_keys import forget_withdrawn
from analytics_assets.store.database import lock_table
from analytics_assets.windows import Window

Connect = Callable[[], psycopg.Connection[Any]]
T = TypeVar("T")

PAGE_USERS = 200
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


@dataclass(frozen=True)
class Item:
    """One row to be: its scrubbed text, the text's digest and the key of its answer.

    ``place`` tells a user's rows of a day apart; ``facts`` are columns that need no model.
    """

    user_id: str
    day: date
    place: str
    text: str
    digest: str
    key: str
    facts: tuple[Any, ...] = ()

    @property
    def row(self) -> tuple[str, str]:
        return (self.user_id, self.place)


@dataclass(frozen=True)
class Known:
    """Rows of a page: those that hold, those whose text has changed, answers to copy."""

    current: frozenset[tuple[str, str]]
    stale: frozenset[tuple[str, str]]
    elsewhere: frozenset[tuple[str, str]]


class AnswerTable(Protocol):
    """A table of answers. Its methods are parts of the caller's transaction."""

    name: str
    stage: Stage

    def days(self) -> list[date]: ...

    def drop_unqualified(self, day: date) -> int:
        """Delete the day's rows whose user no longer qualifies; returns how many."""
        ...

    def users(self, day: date) -> list[str]: ...

    def prepare(
        self, day: date, users: Sequence[str], fingerprint: dict[str, str]
    ) -> tuple[list[Item], Scrubber]:
        """The questions of a page of users, and the scrubber that masked them."""
        ...

    def may_ask(self, item: Item) -> bool:
        """Whether a model may read it; at scale a sample is (reading_plan.py)."""
        ...

    def known(self, items: Sequence[Item]) -> Known: ...

    def copy(self, item: Item) -> None:
        """Give the row the answer the same text of the same user has elsewhere."""
        ...

    def write(self, item: Item, answer: BaseModel, model: str) -> None: ...

    def stand_in(self, items: Sequence[Item]) -> int:
        """Do what can be done without answers, for rows of one day; returns how many rows are now
        behind their text.
        """
        ...


@dataclass
class StageRun:
    """One run of one stage; use ``run``."""

    conn: psycopg.Connection[Any]
    table: AnswerTable
    window: Window
    now: datetime
    limits: Limits
    provider: Provider | None
    why_none: str = NO_MODEL
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
        self.over_budget = False
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
        for day in self._days():
            self.outcome.deleted += self._drop_unqualified(day)
            users = self._users(day)
            for page in _pages(users):
                self._without_answers(day, page)
        self.outcome.skipped = self.why_none
        self.outcome.tell(f"{self.table.stage.name}: {self.why_none}")
        return self.outcome

    def _without_answers(self, day: date, page: Sequence[str]) -> None:
        # Whose words are read and what is made of them is decided in one transaction.
        with self.conn.transaction():
            lock_table(self.conn, self.table.name)
            items, _ = self.table.prepare(day, self._consenting(page), {})
            self.outcome.selected += len(items)
            self.outcome.stale += self.table.stand_in(items)

    async def _with_model(self, provider: Provider) -> StageOutcome:
        limits = self.limits
        self.asker = Asker(
            provider,
            Pacer(limits.requests_per_minute, burst=limits.concurrency),
            backoff=limits.backoff,
            longest_pause=limits.longest_pause,
        )
        self.slots = asyncio.Semaphore(limits.concurrency)
        try:
            # Asked again and again rather than waited for, so that the run can be cancelled.
            while not await self._db(self.ledger.hold):  # noqa: ASYNC110
                await asyncio.sleep(HOLD_POLL_SECONDS)
            for day in await self._db(self._days):
                await self._day(day, dict(provider.fingerprint()))
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            self.database.shutdown(wait=True)
            await provider.aclose()
        return self._finished()

    async def _day(self, day: date, fingerprint: dict[str, str]) -> None:
        self.outcome.deleted += await self._db(self._drop_unqualified, day)
        for page in _pages(await self._db(self._users, day)):
            items, scrubber = await self._db(self._prepare, day, page, fingerprint)
            self.outcome.selected += len(items)
            if items:
                await self._page(items, scrubber)

    async def _page(self, items: list[Item], scrubber: Scrubber) -> None:
        known, asked = await self._db(self._look_up, items)
        waiting: list[tuple[Item, int]] = []
        for item in items:
            if item.row in known.current:
                self.outcome.unchanged += 1
            elif item.row in known.elsewhere:
                copied = await self._db(self._copy, item)
                self.outcome.copied += copied
                self.outcome.withdrawn += not copied
            elif item.key in asked.poisoned:
                self.outcome.poisoned += 1
                await self._db(self._stand_in, item)
            elif not self.table.may_ask(item):
                self.outcome.not_drawn += 1
                await self._db(self._stand_in, item)
            else:
                waiting.append((item, asked.attempts.get(item.key, 0) + 1))
        # Where the budget ends, who was never read goes before who is read again.
        waiting.sort(key=lambda one: one[0].row in known.stale)
        async with asyncio.TaskGroup() as group:
            for item, attempt in waiting:
                group.create_task(self._ask(item, attempt, scrubber))

    async def _ask(self, item: Item, attempt: int, scrubber: Scrubber) -> None:
        async with self.slots:
            if not self._stopped:
                await self.asker.pacer.acquire()
            if self._stopped:
                self.outcome.not_attempted += 1
                await self._db(self._stand_in, item)
                return
            request = self.table.stage.request(item.text, item.key)
            worst = 0 if self.limits.budget is None else self.limits.budget.worst_case(request)
            call_id, refused = await self._db(
                self.ledger.reserve, item.user_id, item.key, attempt, worst
            )
            if call_id is None:
                await self._refused(item, refused or WITHDRAWN)
                return
            reply = await self.asker.ask(request)
            if reply.answer is not None:
                reply = replace(
                    reply, answer=without_names(reply.answer, self.table.stage, scrubber)
                )
            landed = await self._db(self._land, item, call_id, reply)
            self._count(reply, landed=landed)
            if reply.state != "done":
                await self._db(self._stand_in, item)

    async def _refused(self, item: Item, refused: str) -> None:
        if refused == WITHDRAWN:
            self.outcome.withdrawn += 1
            return
        self.over_budget = True
        self.outcome.not_attempted += 1
        self.outcome.tell(f"{self.table.stage.name}: {why_exceeded(refused)}")
        await self._db(self._stand_in, item)

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
        outcome.calls = self.asker.calls
        outcome.cost_micros = cost_micros(self.limits.price, outcome.usage)
        if not outcome.complete and not outcome.missing:
            classes = ", ".join(sorted(outcome.errors)) or "unknown"
            outcome.tell(
                f"{self.table.stage.name} of some users: the model failed ({classes}); "
                "the next run asks again"
            )
        return outcome

    @property
    def _stopped(self) -> bool:
        return self.asker.breaker.is_open or self.over_budget

    def _days(self) -> list[date]:
        with self.conn.transaction():
            return self.table.days()

    def _users(self, day: date) -> list[str]:
        with self.conn.transaction():
            return self.table.users(day)

    def _prepare(
        self, day: date, page: Sequence[str], fingerprint: dict[str, str]
    ) -> tuple[list[Item], Scrubber]:
        with self.conn.transaction():
            return self.table.prepare(day, page, fingerprint)

    def _consenting(self, page: Sequence[str]) -> list[str]:
        return consenting_of(self.conn, page, self.now)

    def _look_up(self, items: Sequence[Item]) -> tuple[Known, Any]:
        with self.conn.transaction():
            known = self.table.known(items)
            return known, self.ledger.asked([item.key for item in items])

    def _drop_unqualified(self, day: date) -> int:
        with self.conn.transaction():
            lock_table(self.conn, self.table.name)
            return self.table.drop_unqualified(day)

    def _copy(self, item: Item) -> bool:
        with self.conn.transaction():
            lock_table(self.conn, self.table.name)
            if not consents(self.conn, item.user_id, self.now):
                return False
            self.table.copy(item)
            return True

    def _land(self, item: Item, call_id: int, reply: Reply) -> bool:
        def keep() -> None:
            lock_table(self.conn, self.table.name)
            if reply.answer is not None:
                self.table.write(item, reply.answer, self.ledger.model)

        return self.ledger.land(item.user_id, item.key, call_id, reply, keep)

    def _stand_in(self, item: Item) -> None:
        with self.conn.transaction():
            lock_table(self.conn, self.table.name)
            if consents(self.conn, item.user_id, self.now):
                self.outcome.stale += self.table.stand_in([item])

    async def _db(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.database, work, *arguments)


def _pages(users: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(users), PAGE_USERS):
        yield users[start : start + PAGE_USERS]


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
