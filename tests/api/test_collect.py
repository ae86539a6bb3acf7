"""Events sent over HTTP are stored before the answer, and end in raw or in quarantine."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from door import EVENTS, Door, bad, counts, event


def test_an_event_is_in_the_inbox_when_it_is_answered_and_in_raw_after_the_load(
    own_door: Door,
) -> None:
    sent = event(metadata={"app": "web"}, session_id="s1")
    response = own_door.post(sent, own_door.key(name="shop"))
    assert response.status_code == 202
    assert response.json() == {"event_id": sent["event_id"], "status": "accepted"}
    assert own_door.waiting() == 1
    assert own_door.load().tables["platform_events"].loaded == 1
    assert own_door.waiting() == 0
    assert own_door.rows(
        "select event_id::text, event_type, user_id, session_id, event_data, metadata, source,"
        " day::text from raw.platform_events"
    ) == [
        (
            sent["event_id"], "project.viewed", "u1", "s1", {"project_id": "p1"}, {"app": "web"},
            "shop", "2026-06-01",
        )
    ]  # fmt: skip


def test_every_event_of_a_batch_gets_its_own_result_and_none_fails_its_neighbours(
    own_door: Door,
) -> None:
    first, missing, wrong = event(), bad(), event(event_data={"project_id": 7})
    answer = own_door.send(
        first, missing, first, wrong, event(event_id=...), event(event_type="no.such"), 5, None,
        event(event_id="x"), event(timestamp=1780000000),
    )  # fmt: skip
    assert counts(answer) == (2, 1, 7, 0)
    results = answer["results"]
    assert [r["index"] for r in results] == list(range(10))
    assert [r["status"] for r in results] == [
        "accepted", "quarantined", "duplicate", "quarantined", "accepted",
        *["quarantined"] * 5,
    ]  # fmt: skip
    assert results[1]["errors"] == [
        {
            "pointer": "/event_data/project_id",
            "code": "missing_field",
            "detail": "event_data.project_id is required by project.viewed",
        }
    ]
    assert [(r["errors"][0]["pointer"], r["errors"][0]["code"]) for r in results[5:]] == [
        ("/event_type", "unknown_event_type"),
        ("", "not_an_object"),
        ("", "not_an_object"),
        ("/event_id", "invalid_event_id"),
        ("/timestamp", "invalid_timestamp"),
    ]
    assert uuid.UUID(results[4]["event_id"])
    report = own_door.load().tables["platform_events"]
    assert (report.loaded, report.rejected_rows, report.duplicate) == (2, 7, 0)


def test_the_door_says_of_a_bad_event_what_quarantine_will_say(own_door: Door) -> None:
    events = [
        bad(), event(event_type=...), event(user_id="null"), event(timestamp="soon"),
        event(timestamp="2026-06-09T00:00:00Z"), event(timestamp="2020-01-01T00:00:00Z"),
        event(event_data=[]), event(metadata={"n": 10**31}), event(session_id="x" * 600),
        event(event_data={"project_id": "p", "a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}),
        event(event_data={"project_id": "p" * 33_000}), event(user_id={"id": 1}),
        event(event_data={"project_id": "post\0gres"}), event(user_id="\ud83d"),
        event(event_id="00000000-0000-0000-0000-000000000000"), "text", [event()],
    ]  # fmt: skip
    answer = own_door.send(*events)
    assert counts(answer) == (0, 0, len(events), 0)
    said = [(r["errors"][0]["code"], r["errors"][0]["detail"]) for r in answer["results"]]
    own_door.load()
    kept = own_door.rows(
        "select error_code, error_message from raw.rejected_events"
        " order by substr(location, 7)::bigint"
    )
    assert kept == said
    assert {code for code, _ in said} >= {"nul_byte", "oversized", "too_deep", "junk_user_id"}


def test_a_repeated_event_is_a_duplicate_while_it_waits_and_is_absorbed_afterwards(
    own_door: Door,
) -> None:
    first, second = event(), event()
    own_door.send(first)
    assert counts(own_door.send(first, second)) == (1, 1, 0, 0)
    single = own_door.post(first)
    assert (single.status_code, single.json()["status"]) == (200, "duplicate")
    own_door.load()
    assert counts(own_door.send(first, second)) == (2, 0, 0, 0)
    assert own_door.load().tables["platform_events"].duplicate == 2
    assert own_door.rows("select count(*) from raw.platform_events") == [2]


def test_a_corrected_event_may_follow_under_the_same_id(own_door: Door) -> None:
    wrong = bad()
    assert counts(own_door.send(wrong)) == (0, 0, 1, 0)
    assert counts(own_door.send({**wrong, "event_data": {"project_id": "p"}})) == (1, 0, 0, 0)
    own_door.load()
    assert own_door.rows("select event_id::text from raw.platform_events") == [wrong["event_id"]]


def test_the_same_batch_sent_three_times_at_once_is_stored_once(own_door: Door) -> None:
    key = own_door.key()
    for _ in range(10):
        batch = [event() for _ in range(40)]
        backwards = batch[::-1]
        with ThreadPoolExecutor(3) as pool:
            answers = list(
                pool.map(lambda b: own_door.send(*b, key=key), [batch, backwards, batch])
            )
        assert sum(a["accepted"] for a in answers) == 40
        assert sum(a["duplicate"] for a in answers) == 80
    assert own_door.waiting() == 400


def test_a_wrong_clock_is_corrected_by_when_the_request_was_sent(own_door: Door) -> None:
    """As of 2026-06-08T00:00Z; the sender's clock is a day ahead."""
    batch = {"sent_at": "2026-06-09T00:00:00Z", "batch": [event(timestamp="2026-06-08T23:00:00Z")]}
    assert counts(own_door.post(batch).json()) == (1, 0, 0, 0)
    close = {"sent_at": "2026-06-08T00:00:59Z", "batch": [event(timestamp="2026-06-07T01:00:00Z")]}
    own_door.post(close)
    own_door.load()
    assert own_door.rows("""select "timestamp"::text from raw.platform_events order by 1""") == [
        "2026-06-07 01:00:00+00",
        "2026-06-07 23:00:00+00",
    ]


def test_cloud_events_are_events(own_door: Door) -> None:
    cloud = {
        "specversion": "1.0", "id": "order-17", "source": "/shop", "type": "project.viewed",
        "time": "2026-06-01T12:00:00Z", "subject": "u9", "data": {"project_id": "p"},
        "traceparent": "00-1", "datacontenttype": "application/json",
    }  # fmt: skip
    one = own_door.post(cloud, headers={"content-type": "application/cloudevents+json"})
    assert one.json()["status"] == "accepted"
    many = own_door.post(
        [cloud, {**cloud, "id": str(uuid.uuid4())}, {"specversion": "1.0"}],
        headers={"content-type": "application/cloudevents-batch+json; charset=utf-8"},
    )
    # The same source and id is the same event.
    assert counts(many.json()) == (1, 1, 1, 0)
    assert own_door.post(cloud).json()["status"] == "duplicate"
    own_door.load()
    assert own_door.rows(
        "select distinct user_id, source, event_data, metadata from raw.platform_events"
    ) == [("u9", "/shop", {"project_id": "p"}, {"traceparent": "00-1"})]


def test_address_and_user_agent_are_reduced_and_not_stored(own_door: Door) -> None:
    browser = (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15"
        " (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1"
    )
    sent = event(
        ip="192.0.2.7", metadata={"user_agent": browser, "kept": 1},
        event_data={"project_id": "p", "ip_address": "192.0.2.7"},
    )  # fmt: skip
    own_door.post(sent, headers={"user-agent": browser, "x-forwarded-for": "192.0.2.7"})
    own_door.post(event(device_info={"os": "BeOS"}), headers={"user-agent": browser})
    own_door.post(event(), headers={"user-agent": "python-httpx/0.28"})
    stored = json.dumps(own_door.rows("select payload from inbox.entries"))
    assert "192.0.2" not in stored
    assert "Mozilla" not in stored
    own_door.load()
    assert own_door.rows(
        "select device_info from raw.platform_events order by device_info ->> 'os' nulls last"
    ) == [
        {"os": "BeOS"},
        {"device_type": "mobile", "browser": "Safari", "os": "iOS"},
        None,
    ]


@pytest.mark.parametrize("size", [1, 400])
def test_sixty_four_clients_at_once_lose_and_double_nothing(door: Door, size: int) -> None:
    key, name = door.key(name=f"crowd {size}"), f"crowd {size}"
    batches = [[event() for _ in range(size)] for _ in range(64)]
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda batch: door.send(*batch, key=key), batches))
    assert all(counts(answer) == (size, 0, 0, 0) for answer in answers)
    stored = door.rows("select event_id::text from inbox.entries where source = %s", name)
    assert sorted(stored) == sorted(e["event_id"] for batch in batches for e in batch)


def test_the_api_loads_neither_dagster_nor_dbt_nor_pandas() -> None:
    import subprocess
    import sys

    program = (
        "import sys, analytics_assets.api.app as a;"
        "a.create_app(a.load_settings()).openapi();"
        "heavy = {'dagster', 'dbt', 'pandas', 'pyarrow', 'duckdb', 'numpy', 'sqlalchemy'};"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_openapi_describes_every_way_in(door: Door) -> None:
    document = door.client.get("/openapi.json").json()
    operation = document["paths"][EVENTS]["post"]
    assert {"200", "202", "400", "401", "409", "413", "415", "422", "429", "503"} <= set(
        operation["responses"]
    )
    body = operation["requestBody"]["content"]["application/json"]
    assert set(body["examples"]) == {"one", "batch"}
    for example in body["examples"].values():
        assert door.post(example["value"]).status_code in {200, 202}
