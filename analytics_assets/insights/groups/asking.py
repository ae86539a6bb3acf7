"""Questions about groups: asked once, kept by content, within budget and with everybody's consent.

Belongs here: waves of questions and their answers' table. Does not: what is asked (naming.py,
personas.py) or what may be told (gate.py). Invariant: as for one user's questions, consent of all
whose lines are in a question is read in the transaction that reserves the call and in the one that
keeps the answer; nothing here raises but the database.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, TypeVar

import psycopg
from psycopg.types.json import Jsonb
from pydantic import BaseModel

from analytics_assets.insights.asking.asker import Reply
from analytics_assets.insights.asking.budget import why_exceeded
from analytics_assets.insights.asking.cache_key import cache_key
from analytics_assets.insights.asking.ledger import WITHDRAWN, Ledger
from analytics_assets.insights.asking.stage import Stage
from analytics_assets.insights.asking.stage_run import HOLD_POLL_SECONDS, Limits
from analytics_assets.insights.asking.wording import worded
from analytics_assets.insights.consent import consenting_of
from analytics_assets.insights.groups.prompts import AUDIT_TEXT, NAME_GROUP
from analytics_assets.insights.providers.protocol import Provider
from analytics_assets.insights.scrubbing.scrubber import Scrubber

T = TypeVar("T")

_KEEP = """
insert into insights.group_answers (answer_key, stage, answer, model, used_on)
values (%s, %s, %s, %s, %s)
on conflict (answer_key) do update set answer = excluded.answer, used_on = excluded.used_on
"""


@dataclass(frozen=True)
class Question:
    """``digests`` are HMACs of the lines under their users' keys; ``users``: whose lines."""

    stage: Stage
    text: str
    users: tuple[str, ...]
    digests: tuple[str, ...]

    def key(self, provider: Provider) -> str:
        whole = hashlib.sha256("\n".join((self.text_shape, *self.digests)).encode()).hexdigest()
        return cache_key(self.stage, whole, provider.fingerprint())

    @property
    def text_shape(self) -> str:
        """What of the text is not anybody's line: how many lines there are."""
        return f"{len(self.digests)} lines"


@dataclass
class Asked:
    """What became of a run's questions; counts of groups, not of people."""

    calls: int = 0
    answered: int = 0
    known: int = 0
    failed: int = 0
    withdrawn: int = 0
    not_asked: int = 0
    missing: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def tell(self, advice: str | None) -> None:
        if advice is not None and advice not in self.missing:
            self.missing.append(advice)


@dataclass
class GroupRun:
    """Asks about groups for one run; without a provider every answer is None."""

    conn: psycopg.Connection[Any]
    provider: Provider | None
    limits: Limits
    now: datetime
    day: date
    scrubber: Scrubber
    asked: Asked = field(default_factory=Asked)
    names_left: int | None = None

    def run(self, work: Callable[[GroupRun], Awaitable[T]]) -> T:
        """Do ``work`` with the provider open; waits for runs that spend money meanwhile."""
        return asyncio.run(self._whole(work))

    async def _whole(self, work: Callable[[GroupRun], Awaitable[T]]) -> T:
        provider = self.provider
        if provider is None:
            return await work(self)
        self._asker = self.limits.asker(provider)
        self._slots = asyncio.Semaphore(self.limits.concurrency)
        self._over_budget = False
        holder = self._ledger("groups")
        try:
            while not holder.hold():  # noqa: ASYNC110 - can be cancelled between two looks
                await asyncio.sleep(HOLD_POLL_SECONDS)
            return await work(self)
        finally:
            self.asked.calls = self._asker.calls
            await provider.aclose()

    async def ask(self, questions: Sequence[Question]) -> list[BaseModel | None]:
        """The answers in the questions' order; None where there is none."""
        if self.provider is None:
            return [None] * len(questions)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(question)) for question in questions]
        return [task.result() for task in tasks]

    async def _one(self, question: Question) -> BaseModel | None:
        provider = self.provider
        if provider is None:
            return None
        key = question.key(provider)
        async with self._slots:
            ledger = self._ledger(question.stage.name)
            with self.conn.transaction():
                found = self._known(key, question)
                before = ledger.asked([key])
            if found is not None:
                self.asked.known += 1
                return found
            if key in before.poisoned:
                return None
            if self._asker.breaker.is_open or self._over_budget:
                self.asked.not_asked += 1
                return None
            await self._asker.pacer.acquire()
            request = question.stage.request(question.text, key)
            worst = 0 if self.limits.budget is None else self.limits.budget.worst_case(request)
            with self.conn.transaction():
                call_id: int | None = None
                refused: str | None = WITHDRAWN
                if self._all_consent(question):
                    call_id, refused = ledger.reserve(
                        question.users[0], key, before.attempts.get(key, 0) + 1, worst
                    )
            if call_id is None:
                self._refused(question, refused or WITHDRAWN)
                return None
            reply = await self._asker.ask(request)
            if reply.answer is not None:
                masked = worded(reply.answer, question.stage, question.text, self.scrubber)
                reply = replace(reply, answer=masked)
            return self._land(ledger, question, key, call_id, reply)

    def _land(
        self, ledger: Ledger, question: Question, key: str, call_id: int, reply: Reply
    ) -> BaseModel | None:
        with self.conn.transaction():
            if reply.answer is not None and not self._all_consent(question):
                reply = replace(reply, answer=None, state="failed", error_class=WITHDRAWN)

            def keep() -> None:
                if reply.answer is not None:
                    self.conn.execute(
                        _KEEP,
                        [
                            key,
                            question.stage.name,
                            Jsonb(reply.answer.model_dump(mode="json")),
                            ledger.model,
                            self.day,
                        ],
                    )

            landed = ledger.land(question.users[0], key, call_id, reply, keep)
        if landed:
            self.asked.answered += 1
            return reply.answer
        self.asked.failed += 1
        self.asked.errors[reply.error_class or "unknown"] += 1
        if reply.advice is not None:
            self._asker.breaker.trip()
            self.asked.tell(reply.advice)
        return None

    def _refused(self, question: Question, refused: str) -> None:
        if refused == WITHDRAWN:
            self.asked.withdrawn += 1
            return
        self._over_budget = True
        self.asked.not_asked += 1
        self.asked.tell(f"{question.stage.name}: {why_exceeded(refused)}")

    def _all_consent(self, question: Question) -> bool:
        wanted = set(question.users)
        return set(consenting_of(self.conn, sorted(wanted), self.now)) == wanted

    def _known(self, key: str, question: Question) -> BaseModel | None:
        row = self.conn.execute(
            "update insights.group_answers set used_on = greatest(used_on, %s) "
            "where answer_key = %s returning answer",
            [self.day, key],
        ).fetchone()
        return None if row is None else question.stage.answer.model_validate(row[0])

    def _ledger(self, stage: str) -> Ledger:
        model = self.provider.model if self.provider else "none"
        return Ledger(self.conn, stage, model, self.now, self.limits.price, self.limits.budget)


def forget_names(conn: psycopg.Connection[Any]) -> int:
    """Delete what models made of people's lines; what they made of figures stays."""
    return conn.execute(
        "delete from insights.group_answers where stage in (%s, %s)",
        [NAME_GROUP.name, AUDIT_TEXT.name],
    ).rowcount


def forget_unused(conn: psycopg.Connection[Any], before: date) -> int:
    """Delete answers no groups have used since ``before``."""
    return conn.execute("delete from insights.group_answers where used_on < %s", [before]).rowcount


def told(asked: Asked) -> dict[str, int | str]:
    """Counts for metadata: of questions about groups, none of which is about one person."""
    found: dict[str, int | str] = {
        name: getattr(asked, name) for name in ("calls", "answered", "known", "failed", "not_asked")
    }
    if asked.errors:
        found["error_classes"] = ", ".join(sorted(asked.errors))
    if asked.missing:
        found["missing"] = "; ".join(asked.missing)
    return found
