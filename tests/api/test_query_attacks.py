"""Keys that are not good enough, and SQL in every parameter of every query."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from door import Door, event
from marts_world import MartsWorld

from analytics_assets.api.keys import FRESH_SECONDS
from analytics_assets.api.tokens import revoke_key

SCOPES = {
    "/api/analytics/events": "query:events",
    "/api/analytics/aggregations": "query:metrics",
    "/api/analytics/metrics": "query:metrics",
    "/api/analytics/realtime": "query:metrics",
}
HOSTILE = (
    "' or '1'='1",
    "'; drop table marts.daily_metrics; --",
    "x') union select subject, null from raw.platform_events --",
    "$$",
    "%s",
    "%(first)s",
    "{where}",
    "\\",
    '"',
    "e'\\x27'",
)


def code(door: Door, path: str, key: str | None) -> tuple[int, str]:
    headers = {} if key is None else {"x-api-key": key}
    response = door.client.get(path, headers=headers)
    return response.status_code, response.json().get("code", "")


def test_each_query_needs_a_good_key_of_its_own_scope(marts: MartsWorld) -> None:
    door = marts.door
    name = "to be revoked"
    doomed = door.key("query:events", "query:metrics", name=name)
    expired = door.key("query:events", "query:metrics", lifetime=timedelta(seconds=1))
    for path, scope in SCOPES.items():
        others = {"query:events", "query:metrics", "collect:events", "privacy:admin"} - {scope}
        assert code(door, path, None) == (401, "missing_key")
        assert code(door, path, doomed[:-2] + "xx") == (401, "invalid_key")
        assert code(door, path, door.key(*sorted(others))) == (403, "insufficient_scope")
        assert code(door, path, doomed)[0] == code(door, path, door.key(scope))[0] == 200
    with door.database.connect("analytics_pipeline", autocommit=True) as connection:
        revoke_key(connection, name)
    time.sleep(FRESH_SECONDS + 0.1)
    for path in SCOPES:
        assert code(door, path, doomed) == (401, "revoked_key")
        assert code(door, path, expired) == (401, "expired_key")


def test_sql_in_a_parameter_is_a_value_or_refused(marts: MartsWorld) -> None:
    paths: dict[str, Any] = marts.door.client.get("/openapi.json").json()["paths"]
    read = [
        (path, parameter["name"])
        for path, operations in paths.items()
        if "get" in operations and path.startswith(("/api/analytics/", "/api/v1/"))
        for parameter in operations["get"].get("parameters", [])
        if parameter["in"] == "query" and "quarantine" not in path and "schemas" not in path
    ]
    assert len(read) > 40
    # Values that are free: they find nothing. All others are refused, by their name.
    free = {"user_id", "event_types", "event_category"}
    for path, name in read:
        for hostile in HOSTILE:
            response = marts.ask(path, **{name: hostile})
            if name in free:
                assert response.status_code == 200, (path, name, hostile, response.text)
                (rows,) = (v for v in response.json().values() if isinstance(v, list))
                assert rows == []
            else:
                assert response.json()["code"] == "invalid_parameter", (path, name, hostile)
            assert "marts" not in response.text.replace(hostile, "")
    assert marts.get("/api/analytics/metrics")["metrics"]


def test_a_user_named_like_sql_is_found(own_marts: MartsWorld) -> None:
    own_marts.door.send(*(event(user_id=hostile) for hostile in HOSTILE))
    own_marts.door.load()
    for hostile in HOSTILE:
        found = own_marts.get(
            "/api/analytics/events", user_id=hostile, start_date="2026-06-01", end_date="2026-06-01"
        )
        assert [e["user_id"] for e in found["events"]] == [hostile]


def test_sixty_four_readers_at_once_get_the_same(marts: MartsWorld) -> None:
    asked = {"start_date": "2026-05-25", "end_date": "2026-06-07", "limit": 500}

    def read(n: int) -> Any:
        path = ("/api/analytics/events", "/api/analytics/aggregations")[n % 2]
        answer = marts.get(path, **asked)
        return n % 2, answer.get("events") or answer.get("aggregations")

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(read, range(64)))
    for n in range(2):
        same = [rows for kind, rows in answers if kind == n]
        assert len(same) == 32
        assert all(rows == same[0] for rows in same)
