"""What is written down of batches: which questions each holds, before it is created.

Belongs here: ``ops.llm_call`` and ``vault.batch_items`` of batched calls. Does not: sending
(batching.py). Invariant: the vendor sees a random key for each question; what stands behind it is
in ``vault`` alone and goes when the question is settled.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from analytics_assets.insights.asking.asker import Reply
from analytics_assets.insights.asking.ledger import BatchPlace, Ledger, Reservation
from analytics_assets.insights.providers.protocol import Request

BATCH_FAILURES = ("batch_failed", "batch_expired", "batch_cancelled")
NOT_CREATED = "batch_not_created"
UNCLAIMED = "batch_unclaimed"

_OPEN = """
select i.batch_name, i.job, c.started_at, c.call_id, c.cache_key, i.item_key, i.day
from ops.llm_call as c
join vault.batch_items as i using (call_id)
where c.state = 'reserved' and c.stage = %s
order by c.call_id
"""
_FAILURES = """
select cache_key, count(*)
from ops.llm_call
where cache_key = any(%s) and error_class = any(%s)
group by cache_key
"""
# A day that waits to be rebuilt already need not be told twice.
_READY = """
insert into ops.dirty_days (day, reason)
select day, 'batch'
from unnest(%s::date[]) as day
where not exists (
    select from ops.dirty_days as d where d.day = day.day and d.closed_at is null
)
order by day
"""


@dataclass(frozen=True)
class Question:
    """A question to submit: whose and of which day, its key in the ledger, what is asked."""

    user_id: str
    day: date
    key: str
    attempt: int
    request: Request


@dataclass(frozen=True)
class OpenCall:
    """A question under way; ``item_key`` is what the vendor calls it."""

    call_id: int
    key: str
    item_key: str
    day: date


@dataclass
class OpenBatch:
    """A batch with questions not settled yet, by their keys in the ledger.

    ``name`` is ours; ``job`` is the vendor's, None until it has said so.
    """

    name: str
    since: datetime
    job: str | None = None
    calls: dict[str, OpenCall] = field(default_factory=dict)

    @property
    def days(self) -> frozenset[date]:
        return frozenset(call.day for call in self.calls.values())


@dataclass(frozen=True)
class BatchLedger:
    """The part of a ledger that is about batches; works on the ledger's connection."""

    ledger: Ledger

    def open_batches(self) -> dict[str, OpenBatch]:
        """Batches of the stage that are not settled, in the order they were written down."""
        found: dict[str, OpenBatch] = {}
        conn = self.ledger.conn
        with conn.transaction():
            for name, job, since, call_id, key, item_key, day in conn.execute(
                _OPEN, [self.ledger.stage]
            ):
                batch = found.setdefault(name, OpenBatch(name, since, job))
                batch.calls[key] = OpenCall(call_id, key, item_key, day)
        return found

    def failures(self, keys: Sequence[str]) -> dict[str, int]:
        """How many batches that failed as a whole held each question."""
        with self.ledger.conn.transaction():
            rows = self.ledger.conn.execute(_FAILURES, [list(keys), list(BATCH_FAILURES)])
            return dict(rows.fetchall())

    def reserve(self, name: str, item_key: str, question: Question) -> Reservation:
        """Write down that a question is about to be sent in the batch ``name``."""
        budget = self.ledger.budget
        worst = 0 if budget is None else budget.worst_case(question.request, batched=True)
        place = BatchPlace(name, item_key, question.day)
        return self.ledger.reserve(
            question.user_id, question.key, question.attempt, worst, batch=place
        )

    def created(self, name: str, job: str) -> None:
        """Remember the vendor's name of a batch."""
        with self.ledger.conn.transaction():
            self.ledger.conn.execute(
                "update vault.batch_items set job = %s where batch_name = %s", [job, name]
            )

    def release(self, name: str, error_class: str, *, maybe_billed: bool = False) -> None:
        """Settle every open call of a batch that gives no answers."""
        conn = self.ledger.conn
        with conn.transaction():
            conn.execute(
                "update ops.llm_call set state = 'failed', error_class = %s, "
                "cost_micros = case when %s then reserved_micros else 0 end, "
                "finished_at = clock_timestamp() where batch_name = %s and state = 'reserved'",
                [error_class, maybe_billed, name],
            )
            conn.execute("delete from vault.batch_items where batch_name = %s", [name])

    def unclaimed(self, call: OpenCall, reply: Reply) -> None:
        """Settle a call whose answer nobody wants any more: it costs what it cost."""
        with self.ledger.conn.transaction():
            self.ledger.settle(call.call_id, reply, "failed", UNCLAIMED, batched=True)

    def ready(self, days: Collection[date]) -> None:
        """Have days rebuilt whose answers have come in."""
        with self.ledger.conn.transaction():
            self.ledger.conn.execute(_READY, [sorted(days)])


def is_cap(refused: str | None) -> bool:
    """Whether a reservation was refused for money, and not for want of consent."""
    return refused is not None and refused.endswith("budget_spent")
