"""One round of batches over some days: what is sent, sent again, and left to the online way.

Belongs here: choosing and grouping questions. Does not: jobs (batching.py), what becomes of answers
(stage_run.py). Invariant: a question is in one batch at a time, and after two batches that failed
as a whole it is not put into a third.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from analytics_assets.insights.asking.answer_table import Item
from analytics_assets.insights.asking.batch_ledger import Question
from analytics_assets.insights.asking.batching import (
    MAX_BYTES,
    MAX_ITEMS,
    Batcher,
    BatchLimits,
    size_of,
)
from analytics_assets.insights.asking.table_work import TableWork, pages

TRIES = 2


@dataclass(frozen=True)
class BatchRound:
    """Without ``limits`` only what earlier runs sent is collected; ``db`` as in Batcher."""

    work: TableWork
    batcher: Batcher
    limits: BatchLimits | None
    db: Callable[..., Awaitable[Any]]

    async def run(self, days: Sequence[date], fingerprint: dict[str, str]) -> None:
        """Send, wait, and send once more what a failed batch held. Raises ProviderError."""
        await self.batcher.recover()
        for _ in range(TRIES):
            if self.limits is not None:
                await self._send(self.limits, days, fingerprint)
            if not await self.batcher.wait():
                return

    async def _send(
        self, limits: BatchLimits, days: Sequence[date], fingerprint: dict[str, str]
    ) -> None:
        waiting: dict[str, Question] = {}
        size = 0
        for day in days:
            if day >= self.work.now.date() and not limits.open_day:
                continue
            for page in pages(await self.db(self.work.planned_users, day)):
                items, _ = await self.db(self.work.prepare, day, page, fingerprint)
                for question in await self.db(self._new, items):
                    if question.key in waiting:
                        continue
                    if len(waiting) == MAX_ITEMS or size + size_of(question) > MAX_BYTES:
                        if await self.batcher.send(list(waiting.values())) is not None:
                            return
                        waiting, size = {}, 0
                    waiting[question.key] = question
                    size += size_of(question)
        if waiting and (self.batcher.shards or len(waiting) >= limits.least):
            await self.batcher.send(list(waiting.values()))

    def _new(self, items: Sequence[Item]) -> list[Question]:
        """Questions that no row, no poison and no batch answers."""
        if not items:
            return []
        known, asked = self.work.look_up(items)
        failures = self.batcher.ledger.failures([item.key for item in items])
        return [
            Question(
                item.user_id,
                item.day,
                item.key,
                asked.attempts.get(item.key, 0) + 1,
                self.work.table.stage.request(item.text, item.key),
            )
            for item in items
            if self.work.table.may_ask(item)
            and item.row not in known.current
            and item.row not in known.elsewhere
            and item.key not in asked.poisoned
            and failures.get(item.key, 0) < TRIES
            and not self.batcher.has(item.key)
        ]
