"""Records into the inbox: many requests share one COPY, and each is answered after its commit.

Belongs here: queue, transactions, duplicates. Does not: what records are. Invariant: a request is
told "stored" only after the commit of the transaction that holds all of its records; what is not
committed is told as an error; the queue never grows beyond its limit.

A record whose id is in the inbox already makes the COPY fail as a whole; the same records are then
inserted in a way that leaves duplicates out and says which they are.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg

from analytics_assets.api.envelope import Record, as_text
from analytics_assets.api.metrics import Metrics
from analytics_assets.api.problems import Problem
from analytics_assets.settings import Settings
from analytics_assets.sources.problems import REFUSALS, REFUSED
from analytics_assets.store.database import Database

# While one group is being committed another can be sent; more only share the same disk.
WRITERS: Final = 2
# COPY takes a round trip more than an insert, which costs more than it saves for so few.
SMALL_GROUP: Final = 16
_RETRY_SECONDS: Final = 0.25
_QUEUE_BYTES: Final = 64 << 20
_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_JSONB_VERSION: Final = b"\x01"
_COPY: Final = (
    "copy inbox.entries (kind, source, api_key_id, event_id, problem, payload)"
    " from stdin (format binary)"
)
_INSERT: Final = """
insert into inbox.entries (kind, source, api_key_id, event_id, problem, payload)
select kind, source, api_key_id, event_id, problem, payload::jsonb
from unnest(%s::text[], %s::text[], %s::text[], %s::uuid[], %s::text[], %s::text[])
as given (kind, source, api_key_id, event_id, problem, payload)
on conflict (event_id) do nothing
returning event_id
"""


@dataclass(slots=True, eq=False)
class Submission:
    """The records of one request."""

    kind: str
    source: str
    key_id: str
    records: Sequence[Record]
    size: int = 0
    done: asyncio.Future[None] | None = None

    def __post_init__(self) -> None:
        self.size = sum(len(record.payload) for record in self.records)

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.done is not None and self.done.done()


class InboxWriter:
    """A queue of submissions and the connections that empty it."""

    def __init__(self, database: Database, settings: Settings, metrics: Metrics) -> None:
        self._parameters = database.parameters("analytics_api")
        self._settings = settings
        self._metrics = metrics
        self._queue: deque[Submission] = deque()
        self._ready = asyncio.Event()
        self._events = 0
        self._bytes = 0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """Records that are queued or in a transaction that has not ended."""
        return self._events

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._write()) for _ in range(WRITERS)]

    async def stop(self) -> None:
        """Commit what is queued, then end; whoever still waits after the time-out gets an error."""
        deadline = time.monotonic() + self._settings.api_commit_timeout_seconds
        while self._events and time.monotonic() < deadline:  # noqa: ASYNC110 (a few rounds, once)
            await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._queue:
            self._settle([self._queue.popleft()], unavailable())

    async def submit(self, kind: str, source: str, key_id: str, records: Sequence[Record]) -> None:
        """Return once all records are committed; duplicates have got that status.

        Raises Problem: ``overloaded`` where the queue is full, ``store_unavailable`` where it is
        not known whether they were committed.
        """
        submission = Submission(kind, source, key_id, records)
        if (
            self._events + len(records) > self._settings.api_queue_events
            or self._bytes + submission.size > _QUEUE_BYTES
        ):
            raise Problem(
                "overloaded",
                "too many records wait to be stored; send this request again",
                headers={"Retry-After": "1"},
            )
        done = submission.done = asyncio.get_running_loop().create_future()
        self._events += len(records)
        self._bytes += submission.size
        self._queue.append(submission)
        self._ready.set()
        try:
            await asyncio.wait_for(asyncio.shield(done), self._settings.api_commit_timeout_seconds)
        except TimeoutError:
            raise unavailable() from None

    async def _write(self) -> None:
        connection: Any = None
        try:
            while True:
                while not self._queue:
                    self._ready.clear()
                    await self._ready.wait()
                connection = await self._usable(connection)
                if connection is None:
                    self._fail_all()
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                await self._write_group(connection, self._take())
        finally:
            if connection is not None:
                with suppress(Exception):
                    await connection.close()

    async def _usable(self, connection: Any) -> Any:
        if connection is not None and not connection.closed and not connection.broken:
            return connection
        timeout = round(self._settings.api_commit_timeout_seconds * 1000)
        try:
            return await psycopg.AsyncConnection.connect(
                **self._parameters,
                autocommit=True,
                application_name="analytics-assets api writer",
                connect_timeout=5,
                options=f"-c timezone=UTC -c synchronous_commit=on -c statement_timeout={timeout}",
            )
        except psycopg.Error:
            return None

    def _take(self) -> list[Submission]:
        group: list[Submission] = []
        records = 0
        while self._queue and records < self._settings.api_group_events:
            submission = self._queue.popleft()
            if submission.is_over:
                self._release(submission)
                continue
            group.append(submission)
            records += len(submission.records)
        return group

    async def _write_group(self, connection: Any, group: list[Submission]) -> None:
        if not group:
            return
        began = time.perf_counter()
        problem: Problem | None = None
        path = "copy"
        try:
            try:
                if sum(len(submission.records) for submission in group) <= SMALL_GROUP:
                    path = "small"
                    await _insert_new(connection, group)
                else:
                    await _copy(connection, group)
            except (psycopg.DataError, psycopg.IntegrityError, psycopg.OperationalError) as error:
                if connection.broken or not _is_of_the_rows(error):
                    raise
                path = "insert"
                for submission in group:
                    await insert(connection, submission)
        except psycopg.Error:
            problem = unavailable()
            path = "failed"
            with suppress(psycopg.Error):
                await connection.close()
        except asyncio.CancelledError:
            self._settle(group, unavailable())
            raise
        self._metrics.count("collector_commits_total", path=path)
        self._metrics.observe("collector_commit_seconds", time.perf_counter() - began)
        self._settle(group, problem)

    def _fail_all(self) -> None:
        group = list(self._queue)
        self._queue.clear()
        self._settle(group, unavailable())

    def _settle(self, group: Iterable[Submission], problem: Problem | None) -> None:
        for submission in group:
            self._release(submission)
            if submission.done is None or submission.is_over:
                continue
            if problem is None:
                submission.done.set_result(None)
            else:
                submission.done.set_exception(problem)
                # Whoever waited may have given up; nobody is to be told of an unseen exception.
                submission.done.exception()

    def _release(self, submission: Submission) -> None:
        self._events -= len(submission.records)
        self._bytes -= submission.size


def unavailable() -> Problem:
    """The database did not say that it committed."""
    return Problem(
        "store_unavailable",
        "the database did not confirm the write; send this request again, with the same ids",
        headers={"Retry-After": "1"},
    )


async def insert(connection: Any, submission: Submission) -> None:
    """Insert what is not in the inbox yet, in a transaction; the rest becomes ``duplicate``.

    Records that Postgres cannot store go to quarantine with the reason.
    """
    records = submission.records
    async with connection.transaction():
        try:
            async with connection.transaction():
                await _insert_new(connection, [submission])
        except (psycopg.DataError, psycopg.OperationalError) as error:
            if connection.broken or not _is_of_the_rows(error):
                raise
            for record in records:
                await _insert_one(connection, submission, record)


async def _insert_one(connection: Any, submission: Submission, record: Record) -> None:
    try:
        async with connection.transaction():
            await _insert_new(connection, [replace(submission, records=[record])])
    except (psycopg.DataError, psycopg.OperationalError) as error:
        if connection.broken or not _is_of_the_rows(error):
            raise
        record.problem = "|".join(REFUSALS.get(error.sqlstate or "", REFUSED))
        record.payload = as_text(record.payload)
        record.status, record.event_id = "quarantined", None
        await _insert_new(connection, [replace(submission, records=[record])])


async def _insert_new(connection: Any, group: Sequence[Submission]) -> None:
    """Insert what is not in the inbox yet, in one statement; the rest becomes ``duplicate``."""
    # In the order of ids: two inserts of the same ids then wait for each other, not crosswise.
    ordered = sorted(
        ((record, submission) for submission in group for record in submission.records),
        key=lambda pair: pair[0].event_id or b"",
    )
    cursor = await connection.execute(
        _INSERT,
        [
            [submission.kind for _, submission in ordered],
            [submission.source for _, submission in ordered],
            [submission.key_id for _, submission in ordered],
            [None if r.event_id is None else r.event_id.hex() for r, _ in ordered],
            [r.problem if r.broken else None for r, _ in ordered],
            [r.payload.decode() for r, _ in ordered],
        ],
        prepare=True,
    )
    new = {event_id.bytes for (event_id,) in await cursor.fetchall() if event_id is not None}
    for record, _ in ordered:
        if record.event_id is not None:
            if record.event_id in new:
                # Of several requests with the same event the first has stored it.
                new.discard(record.event_id)
            else:
                record.status = "duplicate"


async def _copy(connection: Any, group: Sequence[Submission]) -> None:
    data = copy_data(group)
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        await copy.write(data)


def copy_data(group: Sequence[Submission]) -> bytes:
    """All records of the group in COPY's binary format."""
    parts = [_HEADER]
    add = parts.append
    for submission in group:
        start = b"".join(
            [
                b"\x00\x06",
                *(
                    len(text.encode()).to_bytes(4, "big") + text.encode()
                    for text in (submission.kind, submission.source, submission.key_id)
                ),
            ]
        )
        with_id = start + b"\x00\x00\x00\x10"
        without_id = start + _NULL
        for record in submission.records:
            if record.event_id is None:
                add(without_id)
            else:
                add(with_id)
                add(record.event_id)
            if record.broken and record.problem is not None:
                problem = record.problem.encode()
                add(len(problem).to_bytes(4, "big"))
                add(problem)
            else:
                add(_NULL)
            add((len(record.payload) + 1).to_bytes(4, "big"))
            add(_JSONB_VERSION)
            add(record.payload)
    add(_TRAILER)
    return b"".join(parts)


def _is_of_the_rows(error: psycopg.Error) -> bool:
    """Whether other rows, or the same in another order, might be taken."""
    of_rows = psycopg.DataError, psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected
    return isinstance(error, of_rows) or error.sqlstate in REFUSALS
