"""What the real collector makes of the Python client's events."""

from __future__ import annotations

import asyncio
import inspect
import signal
import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from api_process import ApiProcess
from door import Door, shipped_catalogue
from servers.collector import Collector

from analytics_assets.api.tokens import NewKey, create_key, signing_secret
from analytics_assets.client import (
    Analytics,
    AsyncAnalytics,
    Problem,
    RecordSearches,
    generate,
    record_searches,
)
from analytics_assets.client.events import EventMethods
from analytics_assets.events.catalogue import Field
from analytics_assets.settings import Settings
from analytics_assets.sources.config import Sources
from analytics_assets.sources.load import load_raw
from analytics_assets.windows import Window

SOON: dict[str, Any] = {"flush_interval": 0.01, "backoff_base": 0.01, "backoff_cap": 0.2}
NAMED = [
    "track_project_created", "track_proposal_submitted", "track_milestone_approved",
    "track_review_posted", "track_profile_viewed", "track_search_performed",
    "track_registry_search", "track_server_installed", "track_user_login", "track_download",
    "track_share", "track_credit_limit",
]  # fmt: skip

KILLED_WHILE_IT_SENDS = """
import os, signal, sys
from analytics_assets.client import Analytics
client = Analytics(sys.argv[1], sys.argv[2], spool=sys.argv[3], flush_interval=0, batch_events=20)
for n in range(300):
    print(client.track_project_viewed(project_id="p1"), flush=True)
    if n == 200:
        while not client.stats().accepted: pass
os.kill(os.getpid(), signal.SIGKILL)
"""


def value_of(field: Field) -> Any:
    """A value that fits."""
    if field.enum:
        return field.enum[0]
    plain = {"string": "x", "integer": 3, "number": 1.5, "boolean": True, "object": {"a": 1}}
    return [plain[field.items or "string"]] if field.type == "array" else plain[field.type]


def payloads(door: Door, ids: list[str]) -> list[dict[str, Any]]:
    found = door.rows("select payload from inbox.entries where payload->>'event_id' = any(%s)", ids)
    return sorted(found, key=lambda payload: ids.index(payload["event_id"]))


def test_the_typed_methods_are_those_of_the_catalogue() -> None:
    written = generate.FILE.read_text(encoding="utf-8")
    assert written == generate.source(shipped_catalogue()), (
        "the catalogue changed: run `python -m analytics_assets.client.generate`"
    )
    assert all(callable(getattr(EventMethods, name)) for name in NAMED)


def test_the_collector_accepts_an_event_of_every_method(door: Door) -> None:
    problems: list[Problem] = []
    sent: dict[str, dict[str, Any]] = {}
    with Analytics(door.url, door.key(), **SOON, on_problem=problems.append) as client:
        for schema in shipped_catalogue().schemas.values():
            name = generate.NAMES.get(schema.event_type)
            method = getattr(client, name or f"track_{schema.event_type.replace('.', '_')}")
            data = {field: value_of(spec) for field, spec in schema.fields.items()}
            assert set(inspect.signature(method).parameters) - {"envelope"} == set(data)
            event_id = method(**data, user_id="u7", entity_type="thing", entity_id="t1")
            sent[event_id] = {"event_type": schema.event_type, "event_data": data}
        assert client.flush()
        assert client.stats().accepted == len(sent)
    assert problems == []
    for payload in payloads(door, list(sent)):
        expected = sent[payload["event_id"]]
        assert {key: payload[key] for key in expected} == expected
        assert (payload["user_id"], payload["entity_id"]) == ("u7", "t1")


def test_a_quarantined_event_is_told_with_the_collectors_reasons(door: Door) -> None:
    problems: list[Problem] = []
    with Analytics(door.url, door.key(), **SOON, on_problem=problems.append) as client:
        event_id = client.track("download", note="no media_id")
        assert client.track("download", media_id="m1")
        assert client.flush()
        assert (client.stats().quarantined, client.stats().accepted) == (1, 1)
    [problem] = problems
    assert (problem.event_id, problem.event_type) == (event_id, "download")
    assert (problem.status, problem.errors[0]["pointer"]) == ("quarantined", "/event_data/media_id")


def test_events_of_a_session_carry_it_and_its_user_and_other_threads_do_not(door: Door) -> None:
    with Analytics(door.url, door.key(), **SOON) as client:
        session = client.init_session(user_id="u3", entry_page="/start")
        ids = [client.track_share(), client.track_share(user_id="other")]
        elsewhere = threading.Thread(target=lambda: ids.append(client.track_share()))
        elsewhere.start()
        elsewhere.join()
        client.end_session()
        ids.append(client.track_share())
        assert client.flush()
    first, second, third, fourth = payloads(door, [str(each) for each in ids])
    assert (first["session_id"], first["user_id"]) == (session, "u3")
    assert (second["session_id"], second["user_id"]) == (session, "other")
    for payload in (third, fourth):
        assert not {"session_id", "user_id"} & payload.keys()
    whole = door.rows(
        "select payload from inbox.entries where payload->>'session_id' = %s", session
    )
    by_type = {payload["event_type"]: payload["event_data"] for payload in whole}
    assert by_type["session.started"] == {"entry_page": "/start"}
    assert by_type["session.ended"]["duration_seconds"] >= 0


def searches(door: Door, user: str) -> list[dict[str, Any]]:
    return door.rows(
        "select payload from inbox.entries where payload->>'user_id' = %s order by seq", user
    )


def test_the_decorator_records_searches_of_plain_and_async_functions(door: Door) -> None:
    async def work() -> None:
        async with AsyncAnalytics(door.url, door.key(), **SOON) as client:

            @record_searches(client, query="text", user_id="who")
            async def find(text: str, who: str) -> list[int]:
                return [1, 2, 3]

            @record_searches(client, event_type="search_performed", user_id="who")
            def registry(query: str, who: str) -> list[int]:
                if query == "broken":
                    raise LookupError(query)
                return [1]

            assert await find("tables", who="decorated") == [1, 2, 3]
            assert registry("weather", who="decorated") == [1]
            with pytest.raises(LookupError):
                registry("broken", who="decorated")
            assert await client.flush()

    asyncio.run(work())
    # A batch is stored in any order.
    market, registry = sorted(
        searches(door, "decorated"), key=lambda payload: str(payload["event_type"])
    )
    assert market["event_type"] == "search.performed"
    assert market["event_data"]["query"] == "tables"
    assert market["event_data"]["results_count"] == 3
    assert market["event_data"]["search_time_ms"] >= 0
    assert (registry["event_type"], registry["event_data"]) == (
        "search_performed",
        {"query": "weather", "results": 1},
    )


def test_the_middleware_records_answered_searches_and_leaves_the_app_alone(door: Door) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        status = 404 if b"nothing" in scope["query_string"] else 200
        scope["analytics.results_count"] = 4
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"found"})

    async def work() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async with AsyncAnalytics(door.url, door.key(), **SOON) as client:
            wrapped = RecordSearches(app, client, user_of=lambda _: "wrapped")
            for path, query in (
                ("/search", b"q=blue+tables"), ("/search", b"q=nothing"), ("/search", b""),
                ("/other", b"q=blue+tables"),
            ):  # fmt: skip
                scope = {"type": "http", "method": "GET", "path": path, "query_string": query}
                await wrapped(scope, None, send)  # type: ignore[arg-type]
            assert await client.flush()
        return sent

    assert [m["body"] for m in asyncio.run(work()) if "body" in m] == [b"found"] * 4
    [recorded] = searches(door, "wrapped")
    assert recorded["event_data"]["query"] == "blue tables"
    assert recorded["event_data"]["results_count"] == 4


def test_a_module_of_your_own_catalogue_has_its_types(tmp_path: Any) -> None:
    (tmp_path / "own.yaml").write_text(
        "category: ship\nretention: 1 year\ndescription: Ships.\nevents:\n"
        '  ship.docked:\n    description: \'A """ ship \\ docked.\'\n    fields:\n'
        "      class: {type: string, required: true}\n"
        "      user_id: {type: string}\n"
        "      crew: {type: array, items: object}\n"
    )
    target = tmp_path / "own_events.py"
    generate.main(["--catalogue", str(tmp_path), "--output", str(target)])
    made: dict[str, Any] = {}
    exec(compile(target.read_text(), target, "exec"), made)  # noqa: S102 (what was just written)

    class Client(Analytics, made["EventMethods"]):  # type: ignore[misc]
        """As docs/application-developer.md has it."""

    with Collector() as collector, Client(collector.url, "k", **SOON) as client:
        assert client.track_ship_docked(class_="A", user_id_="u9", session_id="s1")
        assert client.track_share()
        assert client.flush()
    sent = [event for request in collector.requests for event in request.events]
    assert [event["event_type"] for event in sent] == ["ship.docked", "share"]
    assert sent[0]["event_data"] == {"class": "A", "user_id": "u9"}
    assert sent[0]["session_id"] == "s1"


def test_nothing_acknowledged_is_lost_or_doubled_over_kills_of_the_server(
    killable: ApiProcess, tmp_path: Path, door_settings: Settings
) -> None:
    process, database = killable, killable.database
    key = NewKey(name="kills", scopes=("collect:events",), requests_per_minute=1_000_000)
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        token = create_key(connection, signing_secret(database.secrets_dir), key)[1]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_IT_SENDS, process.url, token, tmp_path],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    ids: list[str | None] = [*killed.stdout.split()]
    assert len(ids) == 300
    options = {**SOON, "spool": tmp_path, "batch_events": 20}
    with Analytics(process.url, token, **options) as client:
        for _ in range(8):
            ids += [client.track_project_viewed(project_id="p1") for _ in range(100)]
            accepted_of(client, len(ids) - 400)
            process.end()
            ids += [client.track_project_viewed(project_id="p1") for _ in range(50)]
            process.start()
        assert client.flush()
        told = client.stats()
    assert (told.taken, told.waiting, told.dropped) == (1_200, 0, 0)
    assert told.failed_tries > 0
    # Times are moved to the platform's clock, which the collector is told of by `sent_at`.
    window = Window(date(2026, 6, 7), date(2026, 6, 9))
    load_raw(database, door_settings, window, Sources(), shipped_catalogue())
    with database.connect("analytics_pipeline") as connection:
        rows = connection.execute("select event_id::text from raw.platform_events").fetchall()
    loaded = [row[0] for row in rows if row[0] in set(ids)]
    assert sorted(loaded) == sorted(filter(None, ids))
    assert len(loaded) == 1_500


def accepted_of(client: Analytics, number: int) -> None:
    deadline = time.monotonic() + 60
    while client.stats().accepted < number:
        assert time.monotonic() < deadline
        time.sleep(0.002)
