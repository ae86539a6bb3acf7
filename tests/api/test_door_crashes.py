"""Whatever is killed while clients send and try again: what was acknowledged is there, once."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from api_process import ApiProcess
from door import EVENTS, WINDOW, bad, event, shipped_catalogue

from analytics_assets.api.tokens import NewKey, create_key, signing_secret
from analytics_assets.settings import Settings
from analytics_assets.sources.config import Sources
from analytics_assets.sources.errors import LoadInterrupted
from analytics_assets.sources.load import load_raw
from analytics_assets.store.database import Database, DatabaseUnavailable
from analytics_assets.store.embedded import EmbeddedPostgres
from analytics_assets.store.migrate import migrate

KILLS = 50
CLIENTS = 4
BATCH = 20


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[tuple[EmbeddedPostgres, Database]]:
    """A server of the test's own, with fsync as in production."""
    home = tmp_path / "durable"
    server = EmbeddedPostgres(home)
    try:
        database = Database.embedded(home)
        migrate(database)
        with database.connect("analytics_api") as connection:
            assert connection.execute("show fsync").fetchone() == ("on",)
        yield server, database
    finally:
        server.destroy()


@dataclass
class Sender(threading.Thread):
    """Sends batches, each until it is acknowledged, with the same ids at every try."""

    url: str
    key: str
    number: int
    stop: threading.Event
    acknowledged: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    tries: int = 0
    batches: int = 0
    broken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=15) as client:
            while not self.stop.is_set():
                self._send(client)

    def _send(self, client: httpx.Client) -> None:
        batch = [event() for _ in range(BATCH - 1)] + [bad()]
        headers = {"authorization": f"Bearer {self.key}"}
        if self.number % 2:
            headers["idempotency-key"] = str(uuid.uuid4())
        while True:
            self.tries += 1
            try:
                response = client.post(EVENTS, json={"batch": batch}, headers=headers)
            except httpx.TransportError:
                time.sleep(0.02)
                continue
            if response.status_code == 202:
                for sent, result in zip(batch, response.json()["results"], strict=True):
                    self.acknowledged[sent["event_id"]] = result["status"]
                self.batches += 1
                return
            if response.status_code not in {409, 429, 500, 503} or "code" not in response.json():
                self.broken.append(response.text)
                return
            if response.status_code == 500:
                self.broken.append(response.text)
            time.sleep(0.02)


def kill_postgres(server: EmbeddedPostgres) -> None:
    """As when the machine takes a process group away: the server and its backends, at once."""
    pid = server.status().pid
    assert pid is not None
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for victim in (pid, *map(int, children)):
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)


def load(database: Database, settings: Settings) -> None:
    load_raw(database, settings, WINDOW, Sources(), shipped_catalogue())


@dataclass
class Loader(threading.Thread):
    """Loads the inbox every second, as far as Postgres lets it."""

    database: Database
    settings: Settings
    stop: threading.Event
    done: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not self.stop.wait(1.0):
            with suppress(LoadInterrupted, DatabaseUnavailable, psycopg.Error):
                load(self.database, self.settings)
                self.done += 1


def kill_again_and_again(api: ApiProcess, server: EmbeddedPostgres, senders: list[Sender]) -> None:
    """The API, every fifth time Postgres, every tenth time both."""
    rng = random.Random(3)  # noqa: S311 (repeatable)
    for kill in range(KILLS):
        _wait_for_progress(senders)
        time.sleep(rng.uniform(0, 0.03))
        if kill % 5 != 4:
            api.end()
            api.start()
            continue
        kill_postgres(server)
        if kill % 10 == 9:
            api.end()
        server.ensure_running()
        if kill % 10 == 9:
            api.start()
    _wait_for_progress(senders)


@pytest.mark.timeout(280)
def test_what_was_acknowledged_is_in_raw_exactly_once_whatever_is_killed(
    durable: tuple[EmbeddedPostgres, Database], door_settings: Settings
) -> None:
    server, database = durable
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        new = NewKey("crashing", ("collect:events",), requests_per_minute=10**6)
        key = create_key(connection, signing_secret(database.secrets_dir), new)[1]
    stop = threading.Event()
    loader = Loader(database, door_settings, stop)
    refused = event()
    with ApiProcess(door_settings, database) as api:
        wrong = {"authorization": "Bearer aa_live_x"}
        assert httpx.post(api.url + EVENTS, json=refused, headers=wrong).status_code == 401
        senders = [Sender(api.url, key, number, stop) for number in range(CLIENTS)]
        for thread in (*senders, loader):
            thread.start()
        try:
            kill_again_and_again(api, server, senders)
        finally:
            stop.set()
            for thread in (*senders, loader):
                thread.join()
    load(database, door_settings)

    assert [text for sender in senders for text in sender.broken] == []
    acknowledged = {k: v for sender in senders for k, v in sender.acknowledged.items()}
    valid = {k for k, status in acknowledged.items() if status in {"accepted", "duplicate"}}
    quarantined = {k for k, status in acknowledged.items() if status == "quarantined"}
    assert len(valid) == (BATCH - 1) * len(quarantined)
    stored = ids(database, "select event_id::text from raw.platform_events")
    kept = ids(database, "select payload ->> 'event_id' from raw.rejected_events")
    assert len(stored) == len(set(stored))
    assert set(stored) == valid
    assert set(kept) == quarantined
    assert refused["event_id"] not in {*stored, *kept}
    assert ids(database, "select 'left' from inbox.entries") == []
    tries, batches = sum(s.tries for s in senders), sum(s.batches for s in senders)
    assert tries > batches, "no try was cut off: nothing was tested"
    assert loader.done > 1


def ids(database: Database, query: str) -> list[str]:
    with database.connect("analytics_pipeline") as connection:
        return [identity for (identity,) in connection.execute(query.encode())]


def _wait_for_progress(senders: list[Sender]) -> None:
    """Until some requests have been acknowledged since the last kill."""
    before: Any = sum(sender.batches for sender in senders)
    deadline = time.monotonic() + 60
    while sum(sender.batches for sender in senders) < before + CLIENTS:
        assert time.monotonic() < deadline, "nothing is acknowledged any more"
        time.sleep(0.002)
