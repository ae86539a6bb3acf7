"""``analytics-assets api --workers 2``: processes that serve as one and end together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import httpx
from api_process import free_port
from door import EVENTS, Record, event

from analytics_assets.api.tokens import NewKey, create_key, signing_secret
from analytics_assets.settings import PREFIX, Settings, child_environment
from analytics_assets.store.database import Database

CLIENTS = 64


def test_two_workers_share_the_limit_and_lose_nothing(
    settings: Settings, database_url: str, database: Database
) -> None:
    secret = signing_secret(settings.home / "secrets")
    new = NewKey("crowd", ("collect:events", "query:metrics"), requests_per_minute=150)
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        _, key = create_key(connection, secret, new)
    port = free_port()
    environment = child_environment(
        {
            f"{PREFIX}HOME": str(settings.home),
            f"{PREFIX}DATABASE_URL": database_url,
            f"{PREFIX}START_DAY": settings.start_day.isoformat(),
            f"{PREFIX}AS_OF": settings.now().isoformat(),
        }
    )
    program = Path(sys.executable).with_name("analytics-assets")
    process = subprocess.Popen(
        [program, "api", "--workers", "2", "--port", str(port)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url)
        workers = _serving(process.pid)
        assert len(workers) == 2
        events = [event() for _ in range(200)]

        def send(number: int) -> list[int]:
            # A connection for each request, so that both processes are asked.
            return [_post(port, key, one) for one in events[number::CLIENTS]]

        with ThreadPoolExecutor(CLIENTS) as pool:
            statuses = Counter(
                status for found in pool.map(send, range(CLIENTS)) for status in found
            )
        # A process that is asked less often may hold up to a twentieth of the minute for a while.
        assert statuses[202] >= 150 - 150 // 20
        while statuses[202] < 150 and statuses.total() < 1000:
            statuses[_post(port, key, event())] += 1
        statuses.update(_post(port, key, event()) for _ in range(20))
        assert statuses == {202: 150, 429: statuses.total() - 150}
        with database.connect("analytics_pipeline") as connection:
            stored = connection.execute(
                "select count(*), count(distinct event_id) from inbox.entries"
            ).fetchone()
        assert stored == (150, 150)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    finally:
        if process.poll() is None:
            for pid in (*_serving(process.pid), process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait()


def _post(port: int, key: str, record: Record) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"x-api-key": key, "content-type": "application/json"}
    connection.request("POST", EVENTS, json.dumps(record), headers)
    status = connection.getresponse().status
    connection.close()
    return status


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                # The other process may still be starting: as many times as either is asked.
                time.sleep(0.5)
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError


def _serving(parent: int) -> list[int]:
    """Children that serve; Python's helper for their resources is another child."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    return [
        int(pid)
        for pid in children
        if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
