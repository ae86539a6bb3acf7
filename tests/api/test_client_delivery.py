"""How the Python client sends: batches, pauses, bounds, and what it never does to its host.

Belongs here: single misfortunes, against a server that has them on demand. Does not: crashes
(test_client_crashes.py) and what the real collector makes of the events (test_client_events.py).
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import uuid
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from servers.collector import Answer, Collector, Request, accept, told

from analytics_assets.client import Analytics, AnalyticsError, AsyncAnalytics, Problem
from analytics_assets.client.contract import new_event_id
from analytics_assets.client.transport import pause, seconds

KEY = "aa_test_key"
SOON: dict[str, Any] = {"flush_interval": 0.01, "backoff_base": 0.01, "backoff_cap": 0.05}


def test_importing_the_client_imports_nothing_beyond_the_standard_library() -> None:
    program = (
        "import sys; before = set(sys.modules); import analytics_assets.client;"
        "names = {m.partition('.')[0] for m in set(sys.modules) - before};"
        "print(sorted(names - sys.stdlib_module_names - {'analytics_assets'}));"
        "print(sorted(m for m in sys.modules if m.startswith('analytics_assets.')"
        " and not m.startswith('analytics_assets.client')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.split("\n")[:2] == ["[]", "[]"], done.stderr


def test_events_leave_in_batches_and_keep_their_ids_over_all_tries() -> None:
    with (
        Collector(told(503, {}), told(429, {}), told(408, {}), told(502, {})) as collector,
        Analytics(collector.url, KEY, **SOON, batch_events=50) as client,
    ):
        ids = [client.track_share(media_id=str(n)) for n in range(120)]
        assert client.flush()
        told_of = client.stats()
    first = collector.requests[:5]
    assert all(request.ids == ids[: len(request.ids)] for request in first)
    assert [request.headers["x-attempt"] for request in first] == ["1", "2", "3", "4", "5"]
    assert collector.ids[sum(len(r.ids) for r in first[:4]) :] == ids
    assert len(collector.requests) < 4 + 10
    assert (told_of.taken, told_of.accepted, told_of.waiting) == (120, 120, 0)
    assert told_of.failed_tries == 4
    assert first[0].headers["authorization"] == f"Bearer {KEY}"


def test_only_what_the_server_asks_for_again_is_sent_again() -> None:
    def every_other(request: Request) -> Answer:
        statuses = ["retry" if n % 2 else "accepted" for n in range(len(request.ids))]
        return told(202, {"results": [{"status": status} for status in statuses]})

    with (
        Collector(every_other) as collector,
        Analytics(collector.url, KEY, **SOON, batch_events=6, max_queue=6) as client,
    ):
        ids = [client.track_share() for _ in range(6)]
        assert client.flush()
    assert collector.requests[1].ids == ids[1::2]


def test_retry_after_is_the_least_pause() -> None:
    with (
        Collector(told(503, {}, Retry_After="1")) as collector,
        Analytics(collector.url, KEY, **SOON) as client,
    ):
        client.track_share()
        assert client.flush()
    before, after = collector.requests
    assert after.at - before.at >= 1.0


def test_pauses_are_drawn_from_a_doubling_range_on_top_of_what_the_server_asks_for() -> None:
    most = [pause(attempt, None, 0.5, 8.0, lambda: 1.0) for attempt in range(8)]
    assert most == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0]
    assert pause(3, None, 0.5, 8.0, lambda: 0.0) == 0.0
    assert pause(0, 7.0, 0.5, 8.0, lambda: 0.0) == 7.0
    assert pause(10_000, None, 0.5, 8.0, lambda: 1.0) == 8.0
    assert seconds("Wed, 21 Oct 2015 07:28:00 GMT") is None
    assert seconds("99999999") == 3600.0
    assert [seconds(each) for each in ("3", "-1", "nan", "soon", None)] == [3.0, *[None] * 4]


def test_a_full_queue_refuses_and_tells_instead_of_growing_or_waiting() -> None:
    go_on, problems = threading.Event(), list[Problem]()

    def held(request: Request) -> Answer:
        go_on.wait(30)
        return accept(request)

    with Collector(otherwise=held) as collector:
        options = {**SOON, "batch_events": 10, "max_queue": 20}
        with Analytics(collector.url, KEY, **options, on_problem=problems.append) as client:
            ids = [client.track_share() for _ in range(25)]
            assert client.stats().waiting == 20
            go_on.set()
            assert client.flush()
    assert collector.ids == ids[:20]
    assert ids[20:] == [None] * 5
    assert [(p.status, p.code, p.event_type) for p in problems] == [
        ("dropped", "queue_full", "share")
    ] * 5


def test_an_event_the_server_refuses_does_not_take_its_neighbours_along() -> None:
    def picky(request: Request) -> Answer:
        if any(event["event_data"].get("media_id") == "bad" for event in request.events):
            return told(422, {"code": "invalid_request", "detail": "no"})
        return accept(request)

    problems: list[Problem] = []
    with (
        Collector(otherwise=picky) as collector,
        Analytics(collector.url, KEY, **SOON, on_problem=problems.append) as client,
    ):
        ids = [client.track_share(media_id="bad" if n == 3 else "ok") for n in range(8)]
        assert client.flush()
        assert (client.stats().accepted, client.stats().refused) == (7, 1)
    assert [(p.event_id, p.status, p.code) for p in problems] == [
        (ids[3], "refused", "invalid_request")
    ]


def test_a_wrong_key_is_told_and_ends_the_tries() -> None:
    problems: list[Problem] = []
    with (
        Collector(otherwise=lambda _: told(401, {"code": "revoked_key"})) as collector,
        Analytics(collector.url, KEY, **SOON, on_problem=problems.append) as client,
    ):
        client.track_share()
        assert client.flush()
    assert [(p.status, p.code) for p in problems] == [("refused", "revoked_key")]
    assert len(collector.requests) == 1


def test_a_yes_that_is_not_the_collectors_acknowledges_nothing() -> None:
    portal = (200, {"Content-Type": "text/html"}, b"<html>Welcome to our wifi</html>")
    with (
        Collector(portal, told(202, {"results": []})) as collector,
        Analytics(collector.url, KEY, **SOON) as client,
    ):
        event_id = client.track_share()
        assert client.flush()
        assert client.stats().failed_tries == 2
    assert collector.ids == [event_id] * 3


def test_nothing_is_raised_into_the_host_and_nothing_personal_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(problem: Problem) -> None:
        raise RuntimeError(problem.event_id)

    circle: dict[str, Any] = {}
    circle["itself"] = circle
    caplog.set_level(logging.DEBUG)
    bad = {"status": "quarantined", "errors": [{"code": "wrong_type", "detail": "x"}]}
    with Collector(told(500, {}), told(202, {"results": [bad]})) as collector:
        client = Analytics(collector.url, KEY, **SOON, on_problem=broken)
        for value in (object(), circle, float("nan"), {1, 2}, b"secret-query"):
            assert client.track("search.performed", query=value, user_id="secret-user") is None
        assert client.track("x" * 3_000_000, user_id="secret-user") is None
        assert client.track_search_performed(query="secret-query", user_id="secret-user")
        assert client.flush()
        assert client.close()
        assert client.track_share(user_id="secret-user") is None
        assert (client.stats().quarantined, client.stats().dropped) == (1, 7)
    assert "quarantined (wrong_type)" in caplog.text
    assert "secret" not in caplog.text


def test_the_end_of_the_program_sends_what_is_queued() -> None:
    program = (
        "import sys; from analytics_assets.client import Analytics\n"
        "client = Analytics(sys.argv[1], 'k', flush_interval=3600)\n"
        "for n in range(20): print(client.track_share(media_id=str(n)))"
    )
    with Collector() as collector:
        done = subprocess.run(
            [sys.executable, "-c", program, collector.url],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert collector.ids == done.stdout.split()


def test_the_end_of_the_program_does_not_wait_longer_than_it_was_told_to() -> None:
    program = (
        "from analytics_assets.client import Analytics\n"
        "client = Analytics('http://127.0.0.1:9', 'k', flush_interval=0, exit_timeout=0.2)\n"
        "client.track_share()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert "1 events were not sent; they are lost" in done.stderr


def test_a_forked_worker_sends_its_own_events_and_not_its_parents(tmp_path: Path) -> None:
    program = (
        "import os, sys; from analytics_assets.client import Analytics\n"
        "client = Analytics(sys.argv[1], 'k', flush_interval=3600, spool=sys.argv[2])\n"
        "client.track_share(media_id='parent')\n"
        "child = os.fork()\n"
        "client.track_share(media_id='child' if child == 0 else 'parent again')\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
    )
    with Collector() as collector:
        done = subprocess.run(
            [sys.executable, "-c", program, collector.url, tmp_path],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sent = [event["event_data"]["media_id"] for r in collector.requests for event in r.events]
    assert sorted(sent) == ["child", "parent", "parent again"]


def test_the_key_is_not_sent_in_the_clear_unless_that_is_asked_for() -> None:
    with pytest.raises(ValueError, match="use https"):
        Analytics("http://analytics.example.org", KEY)
    with pytest.raises(ValueError, match="must be like"):
        Analytics("analytics.example.org", KEY)
    with pytest.raises(ValueError, match="key must be like"):
        Analytics("https://analytics.example.org", "two\nlines")
    Analytics("http://analytics.example.org", KEY, allow_plain_http=True).close()
    Analytics("https://analytics.example.org", KEY).close()


def test_event_ids_are_uuids_of_version_7_in_the_order_they_were_made() -> None:
    ids = [uuid.UUID(new_event_id()) for _ in range(1_000)]
    assert {each.version for each in ids} == {7}
    assert {each.variant for each in ids} == {uuid.RFC_4122}
    assert len(set(ids)) == 1_000
    moments = [each.int >> 80 for each in ids]
    assert moments == sorted(moments)


def test_queries_pass_their_parameters_and_return_what_was_answered() -> None:
    answer = told(200, {"total": 3})
    with (
        Collector(told(503, {}), otherwise=lambda _: answer) as collector,
        Analytics(collector.url, KEY) as client,
    ):
        assert client.query_events(
            event_types=["share", "download"], start_date=date(2026, 6, 1), limit=10
        ) == {"total": 3}
        client.query_aggregations(aggregation_type="daily", event_category="action")
        client.dashboard_metrics(names="total_searches", end_date="2026-06-02")
        client.realtime()
    asked = [(request.path, request.parameters) for request in collector.requests[1:]]
    base = "/api/analytics"
    assert asked == [
        (f"{base}/events",
         {"event_types": "share,download", "start_date": "2026-06-01", "limit": "10"}),
        (f"{base}/aggregations", {"aggregation_type": "daily", "event_category": "action"}),
        (f"{base}/metrics", {"names": "total_searches", "end_date": "2026-06-02"}),
        (f"{base}/realtime", {}),
    ]  # fmt: skip


def test_a_query_that_is_not_answered_raises_the_servers_reason() -> None:
    problem = told(403, {"code": "insufficient_scope", "detail": "the key lacks query:events"})
    with Collector(problem) as collector, Analytics(collector.url, KEY) as client:
        with pytest.raises(AnalyticsError, match="insufficient_scope: the key lacks") as raised:
            client.query_events()
        assert raised.value.status == 403


def test_the_async_client_sends_and_asks_without_blocking_its_loop() -> None:
    async def work(url: str) -> tuple[list[str | None], Any]:
        async with AsyncAnalytics(url, KEY, **SOON) as client:
            made = await asyncio.gather(*(client.track_share(media_id=str(n)) for n in range(30)))
            held = asyncio.create_task(client.query_events(limit=1))
            await asyncio.to_thread(asked.wait, 30)
            answering.set()
            assert await client.flush()
            assert client.stats().accepted == 30
            return list(made), await held

    asked, answering = threading.Event(), threading.Event()

    def answer(request: Request) -> Answer:
        asked.set()
        answering.wait(30)
        return accept(request) if request.events else told(200, {"events": []})

    with Collector(otherwise=answer) as collector:
        ids, page = asyncio.run(work(collector.url))
    assert sorted(collector.ids) == sorted(filter(None, ids))
    assert page == {"events": []}
