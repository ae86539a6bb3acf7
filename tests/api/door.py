"""A running API, keys for it, and what became of what was sent to it."""

from __future__ import annotations

import itertools
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any

import httpx
import uvicorn

from analytics_assets.api.app import create_app
from analytics_assets.api.services import Services
from analytics_assets.api.tokens import NewKey, create_key, signing_secret
from analytics_assets.cli.api import server_options
from analytics_assets.events.catalogue import Catalogue, load_catalogue
from analytics_assets.settings import Settings
from analytics_assets.sources.config import Sources
from analytics_assets.sources.load import LoadReport, load_raw
from analytics_assets.store.database import Database
from analytics_assets.windows import Window

WINDOW = Window(date(2026, 5, 25), date(2026, 6, 8))
NOON = "2026-06-01T12:00:00Z"
EVENTS = "/api/analytics/events"
_names = itertools.count(1)
Record = dict[str, Any]


@lru_cache(maxsize=1)
def shipped_catalogue() -> Catalogue:
    return load_catalogue()


def event(**changes: Any) -> Record:
    """A valid event with an id of its own; a change to ``...`` leaves the key out."""
    record = {
        "event_id": str(uuid.uuid4()),
        "event_type": "project.viewed",
        "timestamp": NOON,
        "user_id": "u1",
        "event_data": {"project_id": "p1"},
        **changes,
    }
    return {key: value for key, value in record.items() if value is not ...}


def bad(**changes: Any) -> Record:
    """An event without a field its type needs."""
    return event(event_data={}, **changes)


def counts(answer: Record) -> tuple[int, int, int, int]:
    """(accepted, duplicate, quarantined, retry) of a batch."""
    found = tuple(answer[s] for s in ("accepted", "duplicate", "quarantined", "retry"))
    assert sum(found) == len(answer["results"])
    return found  # type: ignore[return-value]


@dataclass
class Door:
    """One API and the database behind it."""

    url: str
    database: Database
    settings: Settings
    services: Services
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=30)

    def key(self, *scopes: str, **options: Any) -> str:
        """A new key; for events where no scope is named."""
        options.setdefault("requests_per_minute", 1_000_000)
        options.setdefault("name", f"sender {next(_names)}")
        key = NewKey(scopes=scopes or ("collect:events",), **options)
        with self.database.connect("analytics_pipeline", autocommit=True) as connection:
            return create_key(connection, signing_secret(self.database.secrets_dir), key)[1]

    def post(
        self, what: Any, key: str | None = None, path: str = EVENTS, **options: Any
    ) -> httpx.Response:
        """Send a value as JSON, or bytes as they are, with a new key where none is given."""
        scope = "collect:events" if path == EVENTS else "collect:records"
        headers = {
            "authorization": f"Bearer {key or self.key(scope)}",
            "content-type": "application/json",
            **options.pop("headers", {}),
        }
        content = what if isinstance(what, bytes) else json.dumps(what).encode()
        return self.client.post(path, content=content, headers=headers, **options)

    def send(self, *events: Any, key: str | None = None, **options: Any) -> Record:
        """Send a batch that is to be taken; the answer."""
        response = self.post({"batch": list(events)}, key, **options)
        assert response.status_code == 202, response.text
        return response.json()

    def load(self, catalogue: Catalogue | None = None) -> LoadReport:
        """The load of the main job."""
        return load_raw(
            self.database, self.settings, WINDOW, Sources(), catalogue or shipped_catalogue()
        )

    def rows(self, statement: str, *parameters: Any) -> list[Any]:
        """Rows as the pipeline sees them; values alone where there is one column."""
        with self.database.connect("analytics_pipeline") as connection:
            found = connection.execute(statement.encode(), parameters or None).fetchall()
        return [row[0] if len(row) == 1 else row for row in found]

    def waiting(self) -> int:
        return int(self.rows("select count(*) from inbox.entries")[0])


@contextmanager
def serving(settings: Settings, database: Database) -> Iterator[Door]:
    """The app on a free port, in a thread with a loop of its own."""
    app = create_app(settings, database)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="on", **server_options())
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        door = Door(f"http://127.0.0.1:{port}", database, settings, app.state.services)
        yield door
        door.client.close()
    finally:
        server.should_exit = True
        thread.join()
