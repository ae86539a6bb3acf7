"""The other ways in: records of the application, schemas, quarantine and replay, consent."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import date
from types import MappingProxyType
from typing import Any

import pytest
from door import NOON, Door, Record, bad, counts, event, shipped_catalogue

from analytics_assets.events.catalogue import Catalogue

RECORDS: dict[str, Record] = {
    "conversations": {"conversation_id": "c1", "user_id": "u1", "started_at": NOON},
    "messages": {
        "message_id": "m1", "conversation_id": "c1", "role": "user", "content": "hi",
        "created_at": NOON,
    },
    "service-jobs": {
        "job_id": "j1", "job_type": "report", "status": "succeeded", "created_at": NOON,
    },
    "users": {"user_id": "u1", "role": "client", "signup_at": "2026-05-01T00:00:00Z"},
    "servers": {"server_id": "s1", "name": "Weather", "status": "active"},
}  # fmt: skip


def test_records_of_all_kinds_reach_raw(own_door: Door) -> None:
    key = own_door.key("collect:records", name="crm")
    for name, record in RECORDS.items():
        path = f"/api/analytics/{name}"
        single = own_door.post(record, key, path)
        assert (single.status_code, single.json()["status"]) == (202, "accepted")
        assert single.json()["event_id"] == next(iter(record.values()))
        wrong = {**record, next(iter(record)): None}
        answer = own_door.send(record, wrong, 7, key=key, path=path)
        assert counts(answer) == (1, 0, 2, 0)
        assert answer["results"][1]["errors"][0]["code"] == "missing_field"
    report = own_door.load()
    for name in RECORDS:
        assert report.tables[name.replace("-", "_")].rejected_rows == 2, name
        assert own_door.rows(f"select source from raw.{name.replace('-', '_')}") == ["crm"], name


def test_a_record_sent_again_is_updated(own_door: Door) -> None:
    path = "/api/analytics/conversations"
    own_door.send(RECORDS["conversations"], path=path)
    own_door.load()
    own_door.send({**RECORDS["conversations"], "title": "Now named"}, path=path)
    own_door.load()
    assert own_door.rows("select title from raw.conversations") == ["Now named"]


def test_records_need_their_own_scope(door: Door) -> None:
    response = door.post(RECORDS["users"], door.key("collect:events"), "/api/analytics/users")
    assert response.json()["code"] == "insufficient_scope"


def get(door: Door, path: str, scope: str, **options: Any) -> Any:
    return door.client.get(path, headers={"x-api-key": door.key(scope)}, **options)


def test_schemas_are_those_the_door_checks_with(door: Door) -> None:
    response = get(door, "/api/analytics/schemas", "schemas:read")
    shown = response.json()
    assert shown["total"] == len(shown["schemas"]) == len(shipped_catalogue().schemas)
    assert response.headers["etag"] == f'"{shipped_catalogue().fingerprint}"'
    one = get(door, "/api/analytics/schemas/project.viewed", "schemas:read").json()
    assert one in shown["schemas"]
    assert one["required_fields"] == ["project_id"]
    assert one["retention_days"] == 365
    some = get(door, "/api/analytics/schemas?event_category=registry", "schemas:read").json()
    assert 0 < some["total"] < shown["total"]
    unknown = get(door, "/api/analytics/schemas/no.such", "schemas:read")
    assert unknown.json()["code"] == "not_found"
    unchanged = door.client.get(
        "/api/analytics/schemas",
        headers={
            "x-api-key": door.key("schemas:read"),
            "if-none-match": response.headers["etag"],
        },
    )
    assert unchanged.status_code == 304


# --- quarantine and replay ------------------------------------------------------------------------


def with_type(name: str) -> Catalogue:
    """The shipped catalogue and one more type, like project.viewed."""
    shipped = shipped_catalogue()
    added = replace(shipped.schemas["project.viewed"], event_type=name)
    return replace(
        shipped, schemas=MappingProxyType(dict(sorted({**shipped.schemas, name: added}.items())))
    )


def listed(door: Door, **parameters: Any) -> Any:
    response = get(door, "/api/analytics/quarantine", "quarantine:read", params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


def ask(door: Door, path: str, **options: Any) -> Any:
    key = door.key("quarantine:write")
    return door.client.post(
        f"/api/analytics/quarantine/{path}", headers={"x-api-key": key}, **options
    )


def test_quarantine_is_listed_in_pages_and_without_payloads(own_door: Door) -> None:
    own_door.send(*(bad(user_id=f"secret{n}") for n in range(5)), event(event_type="new.type"))
    own_door.load()
    seen: list[Record] = []
    cursor: dict[str, str] = {}
    while True:
        page = listed(own_door, limit=2, **cursor)
        seen += page["rows"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert len({row["rejected_id"] for row in seen}) == len(seen) == 6
    assert "secret" not in str(seen)
    of_code = listed(own_door, error_code="unknown_event_type")["rows"]
    assert [row["event_type"] for row in of_code] == ["new.type"]
    assert listed(own_door, status="replayed")["rows"] == []
    for wrong in ({"limit": 0}, {"limit": "x"}, {"status": "lost"}, {"cursor": "x"},
                  {"event_type": "\0"}):  # fmt: skip
        response = get(own_door, "/api/analytics/quarantine", "quarantine:read", params=wrong)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter")


def test_an_event_is_replayed_once_when_somebody_asks_for_it(own_door: Door) -> None:
    early = event(timestamp="2026-06-09T12:00:00Z")
    assert own_door.send(early)["results"][0]["errors"][0]["code"] == "future_timestamp"
    own_door.send(event(event_type="new.type"))
    own_door.load()
    (row,) = listed(own_door, error_code="unknown_event_type")["rows"]
    identity = row["rejected_id"]

    assert ask(own_door, f"{identity}/replay").json()["outcome"] == "requested"
    again = ask(own_door, f"{identity}/replay")
    assert (again.status_code, again.json()["outcome"]) == (202, "already_requested")
    dirty = "select day, reason from ops.dirty_days where closed_at is null"
    assert own_door.rows(dirty) == [(date(2026, 6, 1), "replay")]
    # Nothing was mended: it stays, with one more attempt.
    assert own_door.load().replay.tried == 1
    assert listed(own_door, error_code="unknown_event_type")["rows"][0]["retry_count"] == 1
    assert own_door.load().replay.tried == 0

    assert ask(own_door, "replay", json={"ids": [identity]}).json()["requested"] == 1
    assert own_door.load(with_type("new.type")).replay.replayed == 1
    assert ask(own_door, f"{identity}/replay").json()["outcome"] == "replayed"
    own_door.load(with_type("new.type"))
    assert own_door.rows("select event_type from raw.platform_events") == ["new.type"]


def test_what_cannot_be_replayed_is_said(own_door: Door) -> None:
    # Nothing is left to try of what Postgres cannot store.
    hostile = b'{"conversation_id": "c1", "title": "\\ud800"}'
    assert own_door.post(hostile, path="/api/analytics/conversations").status_code == 202
    own_door.load()
    (row,) = listed(own_door)["rows"]
    refused = ask(own_door, f"{row['rejected_id']}/replay")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_replayable")
    assert ask(own_door, f"{uuid.uuid4()}/replay").json()["code"] == "not_found"
    assert ask(own_door, "no-id/replay").json()["code"] == "invalid_parameter"
    assert ask(own_door, "replay", json={"ids": []}).json()["code"] == "invalid_request"
    many = ask(own_door, "replay", json={"ids": [row["rejected_id"], str(uuid.uuid4())]}).json()
    assert [r["outcome"] for r in many["results"]] == ["not_replayable", "not_found"]


@pytest.mark.parametrize(
    ("path", "record", "day"),
    [
        ("conversations", {"conversation_id": "c1", "started_at": NOON, "title": {}}, 1),
        ("messages", {"message_id": "m1", "conversation_id": "c1", "created_at": NOON}, 1),
        ("service-jobs", {"job_id": "j1", "created_at": NOON}, 1),
        ("users", {"user_id": "u1", "is_internal": "perhaps"}, 8),
        ("servers", {"server_id": "s1", "status": "lost"}, 8),
    ],
)
def test_a_record_of_any_kind_can_be_tried_again(
    own_door: Door, path: str, record: Record, day: int
) -> None:
    own_door.send(record, path=f"/api/analytics/{path}")
    own_door.load()
    (row,) = listed(own_door)["rows"]
    assert ask(own_door, f"{row['rejected_id']}/replay").json()["outcome"] == "requested"
    dirty = own_door.rows("select day from ops.dirty_days where closed_at is null")
    assert dirty == [date(2026, 6, day)]
    # Nothing was mended: it stays, with one more attempt, and is not tried again unasked.
    assert [own_door.load().replay.tried for _ in range(2)] == [1, 0]
    (row,) = listed(own_door)["rows"]
    assert (row["retry_count"], row["replay_requested_at"]) == (1, None)


# --- consent --------------------------------------------------------------------------------------


def consent(door: Door, **changes: Any) -> Any:
    body = {"user_id": "u1", "purpose": "insights", "text_version": "1", "decision": "granted",
            **changes}  # fmt: skip
    key = door.key("privacy:consent", name="settings page")
    return door.client.post("/api/privacy/consent", json=body, headers={"x-api-key": key})


def test_consent_is_kept_for_good_and_holds_at_once(own_door: Door) -> None:
    own_door.send({"user_id": "u1", "role": "client"}, path="/api/analytics/users")
    own_door.load()
    agreed = (
        "select exists (select from vault.consenting('insights', array['u1'],"
        " now() + interval '1 hour'))"
    )
    assert own_door.rows(agreed) == [False]
    granted = consent(own_door)
    assert granted.status_code == 202
    assert own_door.rows(agreed) == [True]
    # A source that never heard of it says the same as before.
    own_door.send({"user_id": "u1", "role": "editor"}, path="/api/analytics/users")
    own_door.load()
    assert own_door.rows(agreed) == [True]
    assert consent(own_door, decision="withdrawn").status_code == 202
    assert consent(own_door, purpose="newsletter").status_code == 202
    assert own_door.rows(agreed) == [False]
    assert own_door.rows("select role from raw.users where valid_to is null") == ["editor"]
    assert own_door.rows(
        "select purpose, decision, text_version, source from vault.consent_ledger"
        " order by consent_id"
    ) == [
        ("insights", "granted", "1", "settings page"),
        ("insights", "withdrawn", "1", "settings page"),
        ("newsletter", "granted", "1", "settings page"),
    ]
    assert "consent" in own_door.rows("select distinct reason from ops.dirty_days")


@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": "null"}, {"user_id": ""}, {"user_id": "a\0b"}, {"user_id": "é" * 200},
        {"decision": "maybe"}, {"purpose": "Two Words"}, {"decided_at": "yesterday"},
        {"decided_at": "2027-01-01T00:00:00Z"}, {"decided_at": "2026-06-01T00:00:00"},
        {"unknown": 1},
    ],
)  # fmt: skip
def test_what_is_no_decision_is_refused(door: Door, changes: Record) -> None:
    response = consent(door, **changes)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
