"""The collector over HTTP against a bare COPY of the same records, in one run.

Belongs here: what is sent and what is compared. Invariant: the API runs as it does in production
(checks, quarantine, limits, fsync), in a process of its own; only what was committed counts.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from analytics_assets.api.envelope import Record
from analytics_assets.api.inbox_writer import Submission, copy_data
from analytics_assets.api.tokens import NewKey, create_key, signing_secret
from analytics_assets.benchmarks.api_server import cpu_of_tree, running_api
from analytics_assets.benchmarks.load_generator import Answers, request, send_all
from analytics_assets.benchmarks.measure import BenchmarkError, Figure
from analytics_assets.process_memory import peak_mib
from analytics_assets.store.database import Database
from analytics_assets.store.embedded import EmbeddedPostgres
from analytics_assets.store.migrate import migrate

EVENTS_PATH: Final = "/api/analytics/events"
BATCH: Final = 500
BATCH_CONNECTIONS: Final = 4
SINGLE_CONNECTIONS: Final = 8
SINGLES: Final = 12_000
HALF_RATE: Final = 12_500
COPY: Final = (
    "copy bench.entries (kind, source, api_key_id, event_id, problem, payload)"
    " from stdin (format binary)"
)


@dataclass(frozen=True)
class _Target:
    database: Database
    port: int
    key: str
    api_pid: int
    postmaster: int

    def cpu(self) -> float:
        """Seconds of CPU that the API and Postgres have used so far."""
        return cpu_of_tree(self.api_pid) + cpu_of_tree(self.postmaster)

    def stored(self) -> int:
        with self.database.connect("analytics_pipeline") as connection:
            row = connection.execute("select count(*) from inbox.entries").fetchone()
        return int(row[0]) if row else 0

    def empty(self) -> None:
        with self.database.connect("analytics_pipeline", autocommit=True) as connection:
            connection.execute("truncate inbox.entries")


def collector(events: int, folder: Path | None = None) -> list[Figure]:
    """Batches of 500, single events, and latency at half the rate asked for."""
    with _running(folder) as target:
        batches = _batches(events // BATCH)
        bodies = [_body(batch) for batch in batches]
        send_all(target.port, _requests(target, [_body(b) for b in _batches(20)]), connections=4)
        target.empty()
        before = target.cpu()
        fast = send_all(target.port, _requests(target, bodies), connections=BATCH_CONNECTIONS)
        cpu = (target.cpu() - before) / (len(batches) * BATCH)
        _expect(target, fast, len(batches) * BATCH)
        copied, copy_rate = _bare_copy(target, batches)
        steady = _steady(target)
        single, single_cpu = _singles(target)
        memory = peak_mib(target.api_pid) or 0.0
        rate = len(batches) * BATCH / fast.seconds
    return [
        Figure("batches of 500", rate, "events/s", at_least=25_000),
        Figure("CPU of API and Postgres", cpu * 1e3, "ms/event"),
        Figure("bare COPY, commits of 500", copy_rate, "events/s"),
        Figure("CPU of bare COPY", copied * 1e3, "ms/event"),
        Figure("CPU, times bare COPY", cpu / copied, "x", at_most=3.3),
        Figure("p50 of batches at half of 25,000/s", steady.percentile(0.5) * 1e3, "ms"),
        Figure("p99 of batches at half of 25,000/s", steady.percentile(0.99) * 1e3, "ms",
               at_most=250),
        Figure("single events, 8 connections", SINGLES / single.seconds, "requests/s",
               at_least=1_500),
        Figure("p50 of single events", single.percentile(0.5) * 1e3, "ms"),
        Figure("p99 of single events", single.percentile(0.99) * 1e3, "ms", at_most=50),
        Figure("CPU of a single event", single_cpu * 1e3, "ms"),
        Figure("peak memory of the API", memory, "MiB", at_most=250),
    ]  # fmt: skip


def _steady(target: _Target) -> Answers:
    target.empty()
    bodies = [_body(batch) for batch in _batches(HALF_RATE * 6 // BATCH)]
    answers = send_all(
        target.port, _requests(target, bodies), connections=8, per_second=HALF_RATE / BATCH
    )
    _expect(target, answers, len(bodies) * BATCH)
    return answers


def _singles(target: _Target) -> tuple[Answers, float]:
    target.empty()
    bodies = [json.dumps(event).encode() for batch in _batches(SINGLES // BATCH) for event in batch]
    before = target.cpu()
    answers = send_all(target.port, _requests(target, bodies), connections=SINGLE_CONNECTIONS)
    cpu = (target.cpu() - before) / SINGLES
    _expect(target, answers, SINGLES)
    return answers, cpu


def _bare_copy(target: _Target, batches: list[list[dict[str, Any]]]) -> tuple[float, float]:
    """CPU seconds an event of client and Postgres, and events a second.

    The rows are ready in COPY's own form; the table is the inbox's twin.
    """
    with target.database.connect_as_admin(target.database.name) as admin:
        admin.execute("create schema bench")
        admin.execute("create table bench.entries (like inbox.entries including all)")
    data = [
        copy_data(
            [
                Submission(
                    "event", "bench", "key",
                    [
                        Record(json.dumps(e).encode(), None, uuid.UUID(e["event_id"]).bytes)
                        for e in batch
                    ],
                )
            ]
        )
        for batch in batches
    ]  # fmt: skip
    with target.database.connect_as_admin(target.database.name) as admin:
        before, own, began = cpu_of_tree(target.postmaster), time.process_time(), time.monotonic()
        for block in data:
            with admin.cursor().copy(COPY) as copy:
                copy.write(block)
        seconds = time.monotonic() - began
        cpu = time.process_time() - own + cpu_of_tree(target.postmaster) - before
    rows = len(batches) * BATCH
    return cpu / rows, rows / seconds


def _batches(count: int) -> list[list[dict[str, Any]]]:
    rng = random.Random(count)  # noqa: S311 (test data)
    moment = datetime.now(UTC) - timedelta(minutes=1)
    return [
        [
            {
                "event_id": str(uuid.uuid4()),
                "event_type": "project.viewed",
                "timestamp": (moment + timedelta(milliseconds=n)).isoformat(),
                "user_id": f"user_{rng.randrange(10_000)}",
                "session_id": f"session_{rng.randrange(100_000)}",
                "event_data": {
                    "project_id": f"project_{rng.randrange(1_000)}",
                    "referrer": "https://example.com/search",
                    "duration_seconds": rng.randrange(600) / 4,
                    "position": rng.randrange(50),
                },
                "metadata": {"library": "bench"},
            }
            for n in range(BATCH)
        ]
        for _ in range(count)
    ]


def _body(batch: list[dict[str, Any]]) -> bytes:
    return json.dumps({"sent_at": datetime.now(UTC).isoformat(), "batch": batch}).encode()


def _requests(target: _Target, bodies: list[bytes]) -> list[bytes]:
    return [request(EVENTS_PATH, target.key, body) for body in bodies]


def _expect(target: _Target, answers: Answers, events: int) -> None:
    if set(answers.statuses) != {202} or target.stored() != events:
        raise BenchmarkError(
            f"answers {dict(answers.statuses)}, {target.stored()} of {events} events stored"
        )


@contextmanager
def _running(folder: Path | None) -> Iterator[_Target]:
    """The API as its command starts it, over a server of its own with fsync."""
    home = Path(tempfile.mkdtemp(prefix="analytics-bench-", dir=folder))
    server = EmbeddedPostgres(home)
    try:
        database = Database.embedded(home)
        migrate(database)
        new = NewKey("bench", ("collect:events",), requests_per_minute=1_000_000_000)
        with database.connect("analytics_pipeline", autocommit=True) as connection:
            _, key = create_key(connection, signing_secret(database.secrets_dir), new)
        pid = server.status().pid
        if pid is None:
            raise BenchmarkError("the server has no process")
        with running_api(home) as api:
            yield _Target(database, api.port, key, api.pid, pid)
    finally:
        server.destroy()
        shutil.rmtree(home, ignore_errors=True)
