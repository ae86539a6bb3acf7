"""Questions sent in batches: submitted once, found again after a crash, collected when done.

Belongs here: batches of one run and those an earlier run left. Does not: the wire
(providers/gemini_batch.py), the ledger's SQL (batch_ledger.py), what becomes of an answer
(stage_run.py). Invariant: a batch is written down under a name of our own before it is created, and
looked for by that name before any of its questions is sent again, so that no crash makes one be
paid twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from time import monotonic
from typing import Any

from analytics_assets.insights.asking.asker import Reply, validated
from analytics_assets.insights.asking.batch_ledger import (
    NOT_CREATED,
    BatchLedger,
    OpenBatch,
    OpenCall,
    Question,
    is_cap,
)
from analytics_assets.insights.providers.protocol import (
    NO_USAGE,
    Answer,
    BatchProvider,
    ProviderError,
    RefusedError,
    Request,
    TransientError,
    UnusableError,
)

MAX_ITEMS = 300
# The vendor takes 20 MB in one request.
MAX_BYTES = 15_000_000
# Answered so, a batch was not taken; any other failure leaves that open.
_NOT_TAKEN = frozenset({"rate_limited", "unreachable"})


@dataclass(frozen=True)
class BatchLimits:
    """From how many questions on a batch is used, and how long it is waited for (seconds).

    ``open_day``: also questions about a day that is not over. A batch the vendor has not listed
    ``grace`` seconds after it was written down was never created.
    """

    least: int = 100
    wait: float = 600.0
    poll: float = 15.0
    open_day: bool = False
    grace: float = 900.0


@dataclass
class Batcher:
    """The batches of one stage in one run about ``days``; ``db`` runs work on the connection."""

    provider: BatchProvider
    ledger: BatchLedger
    limits: BatchLimits
    days: frozenset[date]
    db: Callable[..., Awaitable[Any]]
    run: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    open: dict[str, OpenBatch] = field(default_factory=dict, init=False)
    replies: dict[str, tuple[OpenCall, Answer | ProviderError]] = field(
        default_factory=dict, init=False
    )
    ended: dict[str, OpenBatch] = field(default_factory=dict, init=False)
    shards: int = field(default=0, init=False)
    calls: int = field(default=0, init=False)

    async def recover(self) -> None:
        """Take up what an earlier run submitted; give back what it never got to submit."""
        self.open = await self.db(self.ledger.open_batches)
        unheard = {name for name, batch in self.open.items() if batch.job is None}
        if not unheard:
            return
        found = await self.provider.find_batches(unheard)
        for name in sorted(unheard):
            if name in found:
                await self._created(name, found[name])
            elif datetime.now(UTC) - self.open[name].since > timedelta(seconds=self.limits.grace):
                await self._release(name, NOT_CREATED)

    def holds(self, key: str) -> bool:
        """Whether a batch holds the question and has not answered it."""
        return any(key in batch.calls for batch in self.open.values())

    def has(self, key: str) -> bool:
        """Whether the question is under way or answered."""
        return key in self.replies or self.holds(key)

    def take(self, key: str) -> tuple[int, Answer | ProviderError] | None:
        """The call and answer of a question, once."""
        found = self.replies.pop(key, None)
        return None if found is None else (found[0].call_id, found[1])

    async def send(self, questions: Sequence[Question]) -> str | None:
        """Reserve and send one batch; returns the cap that was reached, if any."""
        name = hashlib.sha256(f"{self.run}:{self.shards}".encode()).hexdigest()
        self.shards += 1
        batch, sent, refused = await self.db(self._reserve, name, questions)
        if sent:
            self.open[name] = batch
            await self._create(batch, sent)
        return None if refused is None else str(refused)

    async def wait(self) -> bool:
        """Collect until all batches about our days have ended or the time is over.

        Returns whether one failed as a whole. What takes longer stays for a later run.
        """
        deadline = monotonic() + self.limits.wait
        failed = False
        while True:
            ours = [batch for batch in self.open.values() if batch.days & self.days]
            for batch in ours:
                try:
                    failed |= await self._look(batch)
                except TransientError:
                    continue  # The job goes on without us; it is looked for again.
            left = any(batch.name in self.open for batch in ours)
            if not left or monotonic() + self.limits.poll > deadline:
                return failed
            await asyncio.sleep(self.limits.poll)

    async def finish(self) -> None:
        """Settle answers nobody took, have other days' answers fetched, delete jobs that are done.

        An answer stays when its question is about a day of another run.
        """
        for key, (call, found) in list(self.replies.items()):
            if call.day in self.days:
                del self.replies[key]
                await self.db(self.ledger.unclaimed, call, reply_of(found, None))
        kept = {call.call_id for call, _ in self.replies.values()}
        ready: set[date] = set()
        done: list[str] = []
        for batch in self.ended.values():
            waiting = {call.day for call in batch.calls.values() if call.call_id in kept}
            ready |= waiting
            if not waiting and batch.job is not None:
                done.append(batch.job)
        for batch in self.open.values():
            if batch.job is not None and not batch.days & self.days:
                ready |= batch.days if await self._has_ended(batch.job) else frozenset()
        if ready:
            await self.db(self.ledger.ready, ready)
        for job in done:
            # The vendor keeps no texts longer than it must; where that fails, its own term holds.
            with suppress(ProviderError):
                await self.provider.delete_batch(job)

    async def _has_ended(self, job: str) -> bool:
        try:
            return (await self.provider.read_batch(job)).ended
        except ProviderError:
            return False

    def _reserve(
        self, name: str, questions: Sequence[Question]
    ) -> tuple[OpenBatch, list[tuple[str, Request]], str | None]:
        batch = OpenBatch(name, datetime.now(UTC))
        sent: list[tuple[str, Request]] = []
        for question in questions:
            item_key = secrets.token_hex(16)
            call_id, refused = self.ledger.reserve(name, item_key, question)
            if call_id is not None:
                sent.append((item_key, question.request))
                batch.calls[question.key] = OpenCall(call_id, question.key, item_key, question.day)
            elif is_cap(refused):
                return batch, sent, refused
        return batch, sent, None

    async def _create(self, batch: OpenBatch, sent: Sequence[tuple[str, Request]]) -> None:
        self.calls += 1
        try:
            job = await self.provider.create_batch(batch.name, sent)
        except TransientError as error:
            if error.error_class in _NOT_TAKEN:
                await self._release(batch.name, NOT_CREATED)
                raise
            # It may have been taken all the same: what counts is whether it is there.
            found = await self.provider.find_batches({batch.name})
            if batch.name not in found:
                raise
            job = found[batch.name]
        except ProviderError:
            await self._release(batch.name, NOT_CREATED)
            raise
        await self._created(batch.name, job)

    async def _created(self, name: str, job: str) -> None:
        await self.db(self.ledger.created, name, job)
        self.open[name].job = job

    async def _look(self, batch: OpenBatch) -> bool:
        """Read a batch; returns whether it failed as a whole."""
        if batch.job is None:
            return False
        result = await self.provider.read_batch(batch.job)
        if not result.ended:
            return False
        if result.failed is not None:
            await self._release(batch.name, result.failed, maybe_billed=result.lost)
            return True
        self.ended[batch.name] = self.open.pop(batch.name)
        missing = TransientError("batch_item_missing")
        for key, call in batch.calls.items():
            self.replies[key] = (call, result.answers.get(call.item_key, missing))
        return False

    async def _release(self, name: str, error_class: str, *, maybe_billed: bool = False) -> None:
        del self.open[name]
        await self.db(lambda: self.ledger.release(name, error_class, maybe_billed=maybe_billed))


def size_of(question: Question) -> int:
    """About how many bytes a question is on the wire."""
    return len(question.request.text.encode()) + len(question.request.system.encode()) + 2_000


def reply_of(found: Answer | ProviderError, request: Request | None) -> Reply:
    """How a batched question ended; without its request an answer is only weighed.

    ``failed`` where it is worth asking online.
    """
    try:
        if isinstance(found, ProviderError):
            raise found
        answer = None if request is None else validated(found, request.schema)
        return Reply("done" if request else "failed", found.usage, answer=answer)
    except UnusableError as error:
        return Reply("failed", error.usage, error_class=error.error_class)
    except RefusedError as error:
        return Reply("poison", error.usage, error_class=error.error_class)
    except ProviderError as error:
        return Reply("failed", NO_USAGE, error_class=error.error_class)
