"""Limits over several processes, overload, a store that is away, health, metrics and logs."""

from __future__ import annotations

import io
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from api_process import ApiProcess
from door import EVENTS, Door, bad, event, serving

from analytics_assets.api.client_facts import client_address, device_info
from analytics_assets.api.logs import LOGGER, JsonLines
from analytics_assets.settings import Settings, load_settings


def test_a_key_has_its_requests_a_minute_and_is_told_how_many_are_left(door: Door) -> None:
    key = door.key(requests_per_minute=5)
    left = []
    for _ in range(5):
        response = door.post(event(), key)
        assert response.status_code == 202
        assert response.headers["ratelimit-policy"] == '"default";q=5;w=60'
        match = re.fullmatch(r'"default";r=(\d+);t=(\d+)', response.headers["ratelimit"])
        assert match
        assert 0 < int(match[2]) <= 60
        left.append(int(match[1]))
    assert left == [4, 3, 2, 1, 0]
    refused = door.post(event(), key)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    # Another key is not held back.
    assert door.post(event()).status_code == 202


def test_a_minute_that_is_over_begins_anew(own_door: Door) -> None:
    key = own_door.key(requests_per_minute=2)
    assert [own_door.post(event(), key).status_code for _ in range(3)] == [202, 202, 429]
    with own_door.database.connect("analytics_pipeline", autocommit=True) as connection:
        connection.execute(
            "update ops.rate_leases set window_started_at = window_started_at - interval '61 s'"
        )
    own_door.services.limiter._leases.clear()
    assert [own_door.post(event(), key).status_code for _ in range(3)] == [202, 202, 429]


def test_the_default_is_a_hundred_requests_a_minute_over_two_processes(own_door: Door) -> None:
    key = own_door.key(requests_per_minute=100)
    with ApiProcess(own_door.settings, own_door.database) as other:
        urls = [own_door.url, other.url] * 90

        def send(url: str) -> int:
            headers = {"authorization": f"Bearer {key}"}
            return client.post(url + EVENTS, json=event(), headers=headers).status_code

        with httpx.Client(timeout=30) as client, ThreadPoolExecutor(8) as pool:
            statuses = Counter(pool.map(send, urls))
    assert statuses == {202: 100, 429: 80}
    assert own_door.waiting() == 100


def test_who_has_no_key_is_limited_by_address(own_door: Door, door_settings: Settings) -> None:
    strict = door_settings.model_copy(
        update={"api_public_requests_per_minute": 3, "api_trusted_proxies": "127.0.0.1"}
    )
    with serving(strict, own_door.database) as limited:

        def guess(address: str) -> int:
            headers = {"authorization": "Bearer aa_live_x", "x-forwarded-for": address,
                       "x-forwarded-proto": "https"}  # fmt: skip
            return limited.client.post(EVENTS, json={}, headers=headers).status_code

        assert [guess("192.0.2.1") for _ in range(5)] == [401, 401, 401, 429, 429]
        assert guess("192.0.2.2") == 401
        held = vars(limited.services.addresses)["_counts"]
        assert len(held) == 2
        assert all(isinstance(k, bytes) and b"192" not in k for k in held)


# --- HTTPS ----------------------------------------------------------------------------------------


def test_plain_http_is_refused_off_loopback(own_door: Door, door_settings: Settings) -> None:
    behind = door_settings.model_copy(update={"api_trusted_proxies": "127.0.0.0/8"})
    with serving(behind, own_door.database) as proxied:
        key = proxied.key()

        def send(**headers: str) -> str:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            response = proxied.post(event(), key, headers=given)
            return "stored" if response.status_code == 202 else response.json()["code"]

        assert send() == "stored"
        assert send(x_forwarded_for="192.0.2.1", x_forwarded_proto="https") == "stored"
        assert send(x_forwarded_for="192.0.2.1", x_forwarded_proto="http") == "https_required"
        # What a client puts in front of the proxy's own entry is not believed.
        forged = send(x_forwarded_for="127.0.0.1, 192.0.2.1", x_forwarded_proto="http")
        assert forged == "https_required"
        probe = proxied.client.get("/healthz", headers={"x-forwarded-for": "192.0.2.1"})
        assert probe.status_code == 200
    # A peer that is no trusted proxy cannot say where it comes from.
    assert own_door.post(event(), headers={"x-forwarded-for": "192.0.2.1"}).status_code == 202


def test_addresses_behind_proxies_and_browsers_are_read() -> None:
    trusted = load_settings(api_trusted_proxies="10.0.0.0/8, ::1").trusted_proxies
    assert client_address("192.0.2.9", "1.1.1.1", trusted) == "192.0.2.9"
    assert client_address("10.0.0.1", "6.6.6.6, 192.0.2.9, 10.0.0.2", trusted) == "192.0.2.9"
    assert client_address("::1", "", trusted) == "::1"
    assert device_info("curl/8.0") is None
    edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120.0 Safari/537.36 Edg/120.0"
    assert device_info(edge) == {"device_type": "desktop", "browser": "Edge", "os": "Windows"}


# --- overload and a store that is away ------------------------------------------------------------


def test_a_full_queue_is_told_and_nothing_of_it_is_stored(
    own_door: Door, door_settings: Settings
) -> None:
    small = door_settings.model_copy(update={"api_queue_events": 1_000})
    with serving(small, own_door.database) as narrow:
        key = narrow.key()
        with narrow.database.connect("analytics_pipeline") as blocker:
            blocker.execute("lock table inbox.entries in access exclusive mode")
            with ThreadPoolExecutor(6) as pool:
                waiting = [
                    pool.submit(narrow.post, {"batch": [event() for _ in range(400)]}, key)
                    for _ in range(6)
                ]
                refused = [f for f in waiting if _is_refused(f)]
                blocker.rollback()
                answers = [f.result() for f in waiting]
    statuses = Counter(a.status_code for a in answers)
    assert statuses == {202: 2, 503: 4}
    assert len(refused) == 4
    for answer in answers:
        if answer.status_code == 503:
            assert answer.json()["code"] == "overloaded"
            assert answer.headers["retry-after"]
    assert own_door.waiting() == 800


def _is_refused(future: Any) -> bool:
    """Whether it ends while the table is locked; those that wait for it do not."""
    try:
        return bool(future.result(timeout=3).status_code == 503)
    except TimeoutError:
        return False


def test_what_is_not_committed_in_time_is_not_acknowledged(
    own_door: Door, door_settings: Settings
) -> None:
    hasty = door_settings.model_copy(update={"api_commit_timeout_seconds": 0.5})
    with (
        serving(hasty, own_door.database) as impatient,
        impatient.database.connect("analytics_pipeline") as blocker,
    ):
        key = impatient.key()
        blocker.execute("lock table inbox.entries in access exclusive mode")
        response = impatient.post(event(), key)
        assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
        blocker.rollback()
        assert impatient.post(event(), key).status_code == 202


def test_an_api_without_its_database_is_alive_and_not_ready(own_door: Door) -> None:
    assert own_door.client.get("/healthz").json() == {"status": "ok"}
    assert own_door.client.get("/readyz").json() == {"status": "ready"}
    away = own_door.database.named("no_such_database")
    with serving(own_door.settings, away) as lost:
        assert lost.client.get("/healthz").status_code == 200
        unready = lost.client.get("/readyz")
        assert (unready.status_code, unready.json()["code"]) == (503, "store_unavailable")
        sent = lost.post(event(), own_door.key())
        assert (sent.status_code, sent.json()["code"]) == (503, "store_unavailable")
        assert lost.client.get("/metrics").status_code == 200


# --- metrics and logs -----------------------------------------------------------------------------


def test_metrics_tell_what_was_dropped_by_key_and_reason(own_door: Door) -> None:
    key = own_door.key(name="watched")
    own_door.send(event(), event(), bad(), bad(), event(event_type="x"), key=key)
    own_door.post(b"{", key)
    (key_id,) = own_door.rows("select key_id from ops.api_keys where name = 'watched'")
    text = own_door.client.get("/metrics").text
    for line in (
        f'collector_records_total{{kind="event",key="{key_id}",status="accepted"}} 2',
        f'collector_problems_total{{kind="event",key="{key_id}",code="missing_field"}} 2',
        f'collector_problems_total{{kind="event",key="{key_id}",code="unknown_event_type"}} 1',
        f'collector_refused_total{{key="{key_id}",code="invalid_json"}} 1',
        f'http_requests_total{{route="{EVENTS}",method="POST",status="202"}} 1',
        "inbox_entries 5",
        "collector_queue_records 0",
    ):
        assert line in text.splitlines(), line
    assert re.search(r"^inbox_oldest_seconds [0-9.]+$", text, re.MULTILINE)
    names = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(names) == len(set(names))


@contextmanager
def logged() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    level = LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        yield stream
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)


def test_logs_are_json_lines_with_the_request_id_and_nothing_personal(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    with logged() as stream:
        sent = door.client.post(
            EVENTS + "?token=secret-query",
            json={"batch": [event(user_id="secret-user"), bad(user_id="secret-user")]},
            headers={"x-request-id": "abc-123", "user-agent": "secret-agent",
                     "authorization": f"Bearer {door.key()}"},
        )  # fmt: skip

        async def explode(*_: Any) -> None:
            raise RuntimeError("secret message of a row")

        monkeypatch.setattr(door.services.arbiter, "judge", explode)
        broken = door.post(event(), headers={"x-request-id": "bad id with blanks"})
    assert sent.headers["x-request-id"] == "abc-123"
    assert (broken.status_code, broken.json()["code"]) == (500, "internal_error")
    assert broken.headers["x-request-id"] != "bad id with blanks"
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["request", "failed", "request"]
    assert lines[0]["request_id"] == "abc-123"
    assert (lines[0]["status"], lines[0]["route"]) == (202, EVENTS)
    assert (lines[0]["accepted"], lines[0]["quarantined"]) == (1, 1)
    assert (lines[1]["error"], lines[1]["request_id"]) == (
        "RuntimeError", broken.headers["x-request-id"],
    )  # fmt: skip
    assert "secret" not in stream.getvalue()
    assert "127.0.0.1" not in stream.getvalue()
