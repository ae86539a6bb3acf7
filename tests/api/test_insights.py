"""The public trends: what is published and nothing else, for everybody, within limits."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from door import Door, serving
from marts_world import MartsWorld

INSIGHTS = "/api/v1/insights"
TRENDS = ("ai-trends", "archetypes", "events", "installs", "searches")


def ask(marts: MartsWorld, name: str, **parameters: Any) -> Any:
    """Without any key."""
    return marts.door.client.get(f"{INSIGHTS}/{name}", params=parameters)


def trends(marts: MartsWorld, name: str, **parameters: Any) -> list[Any]:
    response = ask(marts, name, **parameters)
    assert response.status_code == 200, response.text
    return response.json()["trends"]


def test_what_is_published_is_shown_to_everybody(marts: MartsWorld) -> None:
    assert trends(marts, "ai-trends") == [
        {"week": "2026-05-04", "avg_ai_percentage": 41.25, "analyses_count": 52},
        {"week": "2026-05-11", "avg_ai_percentage": 40.5, "analyses_count": 12},
    ]
    assert [t["archetype"] for t in trends(marts, "archetypes")] == ["any", "explorer"]
    assert [t["n_people"] for t in trends(marts, "events")] == [40, 60, 31, 33]
    assert trends(marts, "installs")[1]["server_id"] == "weather"
    assert trends(marts, "searches")[0]["query"] == 'a, "b"'


def test_trends_can_be_asked_for_by_date_and_length_of_period(marts: MartsWorld) -> None:
    weeks = trends(marts, "events", period_kind="week")
    assert [t["n_people"] for t in weeks] == [60, 31, 33]
    later = trends(marts, "events", start_date="2026-05-05")
    assert [t["n_people"] for t in later] == [33]
    assert [t["n_people"] for t in trends(marts, "events", end_date="2026-05-04")] == [40, 60, 31]
    pages: list[Any] = []
    answer = ask(marts, "events", limit=1).json()
    while True:
        pages += answer["trends"]
        if answer["next"] is None:
            break
        answer = ask(marts, "events", limit=1, cursor=answer["next"]).json()
    assert pages == trends(marts, "events")


@pytest.mark.parametrize("name", TRENDS)
def test_an_unchanged_trend_is_not_sent_again(marts: MartsWorld, name: str) -> None:
    for form in ("json", "csv", "parquet"):
        first = ask(marts, name, format=form)
        assert first.headers["cache-control"] == "public, max-age=300"
        # Pages of any origin may read what is public.
        assert first.headers["access-control-allow-origin"] == "*"
        again = marts.door.client.get(
            f"{INSIGHTS}/{name}", params={"format": form},
            headers={"if-none-match": f'"other", W/{first.headers["etag"]}'},
        )  # fmt: skip
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    rows = list(csv.DictReader(io.StringIO(ask(marts, name, format="csv").text)))
    assert [list(r) for r in rows] == [list(t) for t in trends(marts, name)]


def test_who_asks_without_a_key_is_limited_by_address(marts: MartsWorld) -> None:
    strict = marts.door.settings.model_copy(update={"api_public_requests_per_minute": 3})
    with serving(strict, marts.door.database) as limited:
        codes = [limited.client.get(f"{INSIGHTS}/{name}").status_code for name in TRENDS]
        assert codes == [200, 200, 200, 429, 429]
        assert limited.client.get(f"{INSIGHTS}/events").headers["retry-after"]
        # Those who have a key are counted by it.
        key = {"x-api-key": marts.key}
        assert limited.client.get("/api/analytics/metrics", headers=key).status_code == 200


def test_nothing_else_than_the_published_tables_is_read(door: Door) -> None:
    # Before any run there are no marts, and the trends are there, empty.
    for name in TRENDS:
        answer = door.client.get(f"{INSIGHTS}/{name}")
        assert answer.json() == {"limit": 1000, "next": None, "trends": []}
