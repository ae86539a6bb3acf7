"""``/analytics.js`` in a real browser, on pages of another origin than the API's."""

from __future__ import annotations

import gzip
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
from api_process import ApiProcess
from door import Door
from playwright.sync_api import Browser, Page

from analytics_assets.api.tokens import NewKey, create_key, signing_secret
from analytics_assets.store.database import Database

MOST_BYTES = 3 * 1024
PAGE = """<!doctype html><title>Shop</title>
<script>window.analytics = [["project.viewed", {{project_id: "before"}}]]</script>
<script src="{url}/analytics.js" data-key="{key}" data-user="{user}"></script>"""


class Shop:
    """A web site that shows whatever page was put there."""

    def __init__(self) -> None:
        self.html = ""
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = shop.html.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    made = Shop()
    Thread(target=made.server.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@contextmanager
def visit(
    browser: Browser, shop: Shop, url: str, key: str, *, init_script: str = ""
) -> Iterator[tuple[Page, str, list[str]]]:
    """A page of the shop with the script, its visitor's id, and the addresses it asks."""
    user, asked = f"visitor-{uuid.uuid4()}", list[str]()
    shop.html = PAGE.format(url=url, key=key, user=user)
    context = browser.new_context()
    if init_script:
        context.add_init_script(init_script)
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{shop.origin}/wares?name=secret")
    try:
        yield page, user, asked
    finally:
        context.close()


def key_for(database: Database, *origins: str) -> str:
    """A key like one of a web page."""
    key = NewKey(
        name="web", scopes=("collect:events",), requests_per_minute=10_000, allowed_origins=origins
    )
    with database.connect("analytics_pipeline", autocommit=True) as connection:
        return create_key(connection, signing_secret(database.secrets_dir), key)[1]


def received(database: Database, user: str) -> dict[str, list[dict[str, Any]]]:
    """What the inbox has of a visitor, by event type."""
    with database.connect("analytics_pipeline") as connection:
        found = connection.execute(
            "select payload from inbox.entries where payload->>'user_id' = %s order by seq", [user]
        ).fetchall()
    by_type: dict[str, list[dict[str, Any]]] = {}
    for (payload,) in found:
        by_type.setdefault(payload["event_type"], []).append(payload)
    return by_type


def until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_the_script_is_small_and_asked_for_again_only_when_it_changed(door: Door) -> None:
    first = door.client.get("/analytics.js", headers={"origin": "https://shop.example"})
    assert first.status_code == 200
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert first.headers["cache-control"] == "public, max-age=3600"
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["access-control-allow-origin"] == "*"
    assert int(first.headers["content-length"]) < MOST_BYTES
    assert len(gzip.compress(first.content)) < MOST_BYTES
    plain = door.client.get("/analytics.js", headers={"accept-encoding": "identity"})
    assert plain.content == first.content
    known = {"if-none-match": first.headers["etag"]}
    again = door.client.get("/analytics.js", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    changed = door.client.get("/analytics.js", headers={"if-none-match": '"other"'})
    assert changed.status_code == 200
    assert httpx.head(f"{door.url}/analytics.js").headers["etag"] == first.headers["etag"]


def test_a_page_sends_its_session_and_events_and_keeps_nothing(
    chromium: Browser, door: Door, shop: Shop
) -> None:
    key = key_for(door.database, shop.origin)
    with visit(chromium, shop, door.url, key) as (page, user, asked):
        event_id = page.evaluate("analytics.track('project.viewed', {project_id: 'p9'})")
        page.evaluate("analytics.push(['share', {}, {entity_id: 'e1'}])")
        found = until(lambda: "share" in (rows := received(door.database, user)) and rows)
        stored = "[document.cookie, localStorage.length, sessionStorage.length]"
        assert page.evaluate(stored) == ["", 0, 0]
        assert page.context.cookies() == []
    [started] = found["session.started"]
    # A batch is stored in any order.
    early, viewed = sorted(found["project.viewed"], key=lambda e: e["event_id"] == event_id)
    assert started["event_data"] == {"entry_page": "/wares"}
    assert (early["event_data"], viewed["event_data"]) == (
        {"project_id": "before"},
        {"project_id": "p9"},
    )
    assert viewed["event_id"] == event_id
    assert uuid.UUID(event_id).version == 4
    assert found["share"][0]["entity_id"] == "e1"
    assert viewed["session_id"] == started["session_id"]
    assert viewed["device_info"].keys() == {"device_type", "browser", "os"}
    assert "secret" not in str(found)
    assert {address.partition("?")[0] for address in asked} <= {
        f"{shop.origin}/wares", f"{door.url}/analytics.js", f"{door.url}/api/analytics/events",
        f"{shop.origin}/favicon.ico",
    }  # fmt: skip


@pytest.mark.parametrize("leave", ["page.goto('about:blank')", "page.close()"])
def test_what_was_tracked_in_the_last_moment_and_the_end_of_the_session_arrive(
    chromium: Browser, door: Door, shop: Shop, leave: str
) -> None:
    key = key_for(door.database, shop.origin)
    with visit(chromium, shop, door.url, key) as (page, user, _):
        page.evaluate("analytics.track('share', {media_id: 'last'})")
        page.close() if "close" in leave else page.goto("about:blank")
        found = until(lambda: "session.ended" in (rows := received(door.database, user)) and rows)
    assert {name: len(rows) for name, rows in found.items()} == {
        "session.started": 1, "project.viewed": 1, "share": 1, "session.ended": 1,
    }  # fmt: skip
    assert found["session.ended"][0]["event_data"]["duration_seconds"] >= 0


@pytest.mark.parametrize("signal", ["doNotTrack", "globalPrivacyControl"])
def test_a_visitor_who_does_not_want_to_be_tracked_is_not(
    chromium: Browser, door: Door, shop: Shop, signal: str
) -> None:
    value = "'1'" if signal == "doNotTrack" else "true"
    script = f"Object.defineProperty(Navigator.prototype, '{signal}', {{get: () => {value}}})"
    key = key_for(door.database, shop.origin)
    with visit(chromium, shop, door.url, key, init_script=script) as (page, user, asked):
        assert page.evaluate("analytics.track('share', {})") is None
        page.evaluate("analytics.identify('someone'); analytics.flush()")
        page.goto("about:blank")
        # What a page would send has been sent when another one's has arrived.
        with visit(chromium, shop, door.url, key) as (_, other, _):
            until(lambda: received(door.database, other))
    assert received(door.database, user) == {}
    assert not [address for address in asked if "/api/" in address]


def test_a_page_of_an_origin_that_is_not_on_the_keys_list_sends_nothing_and_works(
    chromium: Browser, door: Door, shop: Shop
) -> None:
    key = key_for(door.database, "https://elsewhere.example")
    with visit(chromium, shop, door.url, key) as (page, user, asked):
        tried = f"{door.url}/api/analytics/events"
        until(lambda: page.evaluate("1") and tried in asked)
        page.evaluate("analytics.flush()")
        assert page.evaluate("typeof analytics.track('share', {})") == "string"
        assert page.title() == "Shop"
    assert received(door.database, user) == {}


def test_a_quarantined_event_is_told_to_the_developer_and_not_sent_again(
    chromium: Browser, door: Door, shop: Shop
) -> None:
    key = key_for(door.database, shop.origin)
    with visit(chromium, shop, door.url, key) as (page, user, asked):
        warnings: list[str] = []
        page.on("console", lambda message: warnings.append(message.text))
        page.evaluate("analytics.track('download', {})")
        until(lambda: page.evaluate("1") and any("download" in text for text in warnings))
        page.evaluate("analytics.track('share', {})")
        found = until(lambda: "share" in (rows := received(door.database, user)) and rows)
    assert len(found["download"]) == 1
    assert len([address for address in asked if "/api/" in address]) <= 4


def test_events_wait_while_the_server_is_down_and_arrive_once_when_it_is_back(
    chromium: Browser, killable: ApiProcess, shop: Shop
) -> None:
    database = killable.database
    key = key_for(database, shop.origin)
    with visit(chromium, shop, killable.url, key) as (page, user, _):
        until(lambda: received(database, user))
        failed: list[str] = []
        page.on("requestfailed", lambda request: failed.append(request.url))
        killable.end()
        page.evaluate("for (let n = 0; n < 5; n++) analytics.track('share', {media_id: `${n}`})")
        until(lambda: page.evaluate("1") and failed)
        killable.start()
        found = until(lambda: len(received(database, user).get("share", [])) == 5)
        assert found
    media = [row["event_data"]["media_id"] for row in received(database, user)["share"]]
    assert sorted(media) == ["0", "1", "2", "3", "4"]
