"""Insights of a window: every consenting user's day read once, kept by content.

Belongs here: the order of things and the outcome. Does not: SQL (selection.py, ledger.py), words
(prompts.py), failures of a call (asking.py). Invariant: a second run asks nothing and changes
nothing; whatever the model does, rows that succeeded stay and nothing raises but the database.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from analytics_assets.insights.asking import Asker, Reply
from analytics_assets.insights.cache_key import cache_key
from analytics_assets.insights.ledger import WITHDRAWN, Item, Ledger
from analytics_assets.insights.lexicon import Lexicon, vocabulary_of
from analytics_assets.insights.pacing import Pacer
from analytics_assets.insights.pricing import cost_micros
from analytics_assets.insights.prompts import UserInsight, request_for, transcript
from analytics_assets.insights.provider import NO_USAGE, Provider, Usage
from analytics_assets.insights.scrub import Placeholders, Scrubber
from analytics_assets.insights.selection import Message, Selection
from analytics_assets.windows import Window

if TYPE_CHECKING:
    from analytics_assets.settings import Settings
    from analytics_assets.store.database import Database

Connect = Callable[[], psycopg.Connection[Any]]
T = TypeVar("T")

PAGE_USERS = 500
# Above this the dictionary is read again for each page, and only the entries the page can hold.
RESIDENT_IDENTIFIERS = 200_000
HOLD_POLL_SECONDS = 0.5
NO_KEY = "ANALYTICS_GEMINI_API_KEY is not set"


@dataclass(frozen=True)
class Limits:
    """How the model may be used; ``backoff`` as in Asker."""

    requests_per_minute: int = 60
    concurrency: int = 8
    backoff: float = 1.0
    longest_pause: float = 120.0


@dataclass
class AnalysisOutcome:
    """What happened, in user-days; no personal data. Small counts: see ``metadata``.

    ``missing`` says in words what a person should do; ``errors`` counts failures by class.
    """

    window: Window
    skipped: str | None = None
    selected: int = 0
    unchanged: int = 0
    copied: int = 0
    analysed: int = 0
    poisoned: int = 0
    failed: int = 0
    not_attempted: int = 0
    withdrawn: int = 0
    stale: int = 0
    deleted: int = 0
    calls: int = 0
    usage: Usage = NO_USAGE
    cost_micros: int | None = 0
    errors: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every selected user-day has the answer to its present text, or never will."""
        return self.skipped is None and self.failed == 0 and self.not_attempted == 0

    def metadata(self, floor: int = 11) -> dict[str, int | str]:
        """The outcome for metadata and logs: counts below ``floor`` people are not told apart."""
        told: dict[str, int | str] = {
            name: value if (value := int(getattr(self, name))) >= floor else f"fewer than {floor}"
            for name in _COUNTS
        }
        if self.calls >= floor:
            told["input_tokens"] = self.usage.input
            told["output_tokens"] = self.usage.output
            if self.cost_micros is not None:
                told["cost_micros"] = self.cost_micros
        if self.errors:
            told["error_classes"] = ", ".join(sorted(self.errors))
        if self.skipped:
            told["skipped"] = self.skipped
        if self.missing:
            told["missing"] = "; ".join(self.missing)
        return told


_COUNTS = (
    "selected",
    "unchanged",
    "copied",
    "analysed",
    "poisoned",
    "failed",
    "not_attempted",
    "withdrawn",
    "stale",
    "deleted",
    "calls",
)


def analyse_window(database: Database, window: Window, settings: Settings) -> AnalysisOutcome:
    """Bring ``insights.analysis_cache`` of the window up to date with the configured model."""
    from analytics_assets.insights.gemini import GeminiProvider

    return analyse(
        lambda: database.connect("analytics_pipeline"),
        window,
        GeminiProvider.from_settings(settings),
        settings.now(),
        Limits(settings.llm_requests_per_minute, settings.llm_concurrency),
    )


def analyse(
    connect: Connect,
    window: Window,
    provider: Provider | None,
    now: datetime,
    limits: Limits | None = None,
) -> AnalysisOutcome:
    """Bring ``insights.analysis_cache`` of the window up to date.

    ``connect`` opens a connection as the pipeline's role; ``provider`` is closed at the end.
    Without a provider only rows whose user no longer qualifies are deleted. Raises psycopg.Error
    only.
    """
    with connect() as conn:
        run = _Run(conn, window, provider, now, limits or Limits())
        if provider is None:
            return run.without_model()
        return asyncio.run(run.with_model(provider))


class _Run:
    def __init__(
        self,
        conn: psycopg.Connection[Any],
        window: Window,
        provider: Provider | None,
        now: datetime,
        limits: Limits,
    ) -> None:
        self.conn = conn
        self.limits = limits
        self.outcome = AnalysisOutcome(window)
        self.ledger = Ledger(conn, provider.model if provider else "none", now)
        self.selection = Selection.of(conn, window, now)
        conn.commit()
        self.lexicon: Lexicon | None = None
        # One thread owns the connection, so that a slow commit never holds up the event loop.
        self.database = ThreadPoolExecutor(max_workers=1)

    def without_model(self) -> AnalysisOutcome:
        for day in self._days():
            self.outcome.deleted += self.ledger.drop_unqualified(self.selection, day)
        self.outcome.skipped = NO_KEY
        self.outcome.missing.append(f"insights of users: {NO_KEY}")
        return self.outcome

    async def with_model(self, provider: Provider) -> AnalysisOutcome:
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
                await self._day(day)
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            self.database.shutdown(wait=True)
            await provider.aclose()
        return self._finished()

    async def _day(self, day: date) -> None:
        self.outcome.deleted += await self._db(self.ledger.drop_unqualified, self.selection, day)
        users = await self._db(self._users, day)
        self.outcome.selected += len(users)
        for page in _pages(users):
            items, scrubber = await self._db(self._prepare, day, page)
            if items:
                await self._page(items, scrubber)

    async def _page(self, items: list[Item], scrubber: Scrubber) -> None:
        known = await self._db(self.ledger.known, items)
        async with asyncio.TaskGroup() as group:
            for item in items:
                if item.user_id in known.current:
                    self.outcome.unchanged += 1
                    continue
                if item.user_id in known.elsewhere:
                    copied = await self._db(self.ledger.copy, item)
                    self.outcome.copied += copied
                    self.outcome.withdrawn += not copied
                    continue
                if item.key in known.poisoned:
                    self.outcome.poisoned += 1
                    self.outcome.stale += item.user_id in known.stale
                    continue
                attempt = known.attempts.get(item.key, 0) + 1
                is_stale = item.user_id in known.stale
                group.create_task(self._ask(item, attempt, scrubber, is_stale=is_stale))

    async def _ask(self, item: Item, attempt: int, scrubber: Scrubber, *, is_stale: bool) -> None:
        async with self.slots:
            if not self._stopped:
                await self.asker.pacer.acquire()
            if self._stopped:
                self.outcome.not_attempted += 1
                self.outcome.stale += is_stale
                return
            call_id = await self._db(self.ledger.reserve, item, attempt)
            if call_id is None:
                self.outcome.withdrawn += 1
                return
            reply = await self.asker.ask(request_for(item.text, item.key))
            if reply.insight is not None:
                reply = replace(reply, insight=_without_names(reply.insight, scrubber))
            landed = await self._db(self.ledger.land, item, call_id, reply)
            self._count(reply, landed=landed, is_stale=is_stale)

    def _count(self, reply: Reply, *, landed: bool, is_stale: bool) -> None:
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
            outcome.stale += is_stale
            outcome.errors[reply.error_class or "unknown"] += 1
        if reply.advice is not None:
            self.asker.breaker.trip()
            if reply.advice not in outcome.missing:
                outcome.missing.append(reply.advice)

    def _finished(self) -> AnalysisOutcome:
        outcome = self.outcome
        outcome.calls = self.asker.calls
        outcome.cost_micros = cost_micros(self.ledger.model, outcome.usage)
        if not outcome.complete and not outcome.missing:
            classes = ", ".join(sorted(outcome.errors)) or "unknown"
            outcome.missing.append(
                f"insights of some users: the model failed ({classes}); the next run asks again"
            )
        return outcome

    @property
    def _stopped(self) -> bool:
        return self.asker.breaker.is_open

    def _days(self) -> list[date]:
        days = self.selection.days(self.conn)
        self.conn.commit()
        return days

    def _users(self, day: date) -> list[str]:
        users = self.selection.users(self.conn, day)
        self.conn.commit()
        return users

    def _prepare(self, day: date, page: Sequence[str]) -> tuple[list[Item], Scrubber]:
        """The scrubbed texts of a page and the scrubber that made them."""
        texts = self.selection.texts(self.conn, day, page)
        scrubber = Scrubber(self._lexicon_for(texts))
        self.conn.commit()
        fingerprint = self.asker.provider.fingerprint()
        items: list[Item] = []
        for user_id in page:
            book = Placeholders()
            text = transcript(
                (message.conversation, message.role, scrubber.scrub(message.text, book))
                for message in texts.get(user_id, [])
            )
            if text:
                items.append(Item(user_id, day, text, cache_key(text, user_id, fingerprint)))
        return items, scrubber

    def _lexicon_for(self, texts: dict[str, list[Message]]) -> Lexicon:
        if self.lexicon is not None:
            return self.lexicon
        row = self.conn.execute("select count(*) from vault.known_identifiers").fetchone()
        resident = row is not None and row[0] <= RESIDENT_IDENTIFIERS
        words = None if resident else vocabulary_of(m.text for page in texts.values() for m in page)
        with self.conn.cursor(name="identifiers") as cursor:
            cursor.itersize = 10_000
            # Ordered, so that of two owners of one name the same one decides its placeholder.
            cursor.execute(
                "select kind, value from vault.known_identifiers order by user_id, kind, value"
            )
            lexicon = Lexicon.of(cursor, words)
        if resident:
            self.lexicon = lexicon
        return lexicon

    async def _db(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.database, work, *arguments)


def _without_names(insight: UserInsight, scrubber: Scrubber) -> UserInsight:
    """The answer's sentences masked like a question: a model may repeat or guess a name."""
    return insight.model_copy(
        update={
            "summary": scrubber.scrub(insight.summary),
            "will_return_reason": scrubber.scrub(insight.will_return_reason),
        }
    )


def _pages(users: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(users), PAGE_USERS):
        yield users[start : start + PAGE_USERS]


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
