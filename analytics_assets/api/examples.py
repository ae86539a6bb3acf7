"""Examples and descriptions that OpenAPI shows for routes which say nothing of them themselves.

Belongs here: what is shown. Does not: what routes do. Invariant: every example is an answer the
route's own schema allows (tested).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

_REJECTED: Final = "5b0c9d53-7f0a-4c06-9e0e-9a5c8e1f2d10"
_EVENT: Final = "0b7d1c1e-5a0e-4a53-9d3c-2f1d1f0a9b11"
_SCHEMA: Final = {
    "event_type": "project.viewed",
    "event_category": "interaction",
    "description": "Somebody looked at a project.",
    "retention_days": 365,
    "required_fields": ["project_id"],
    "personal_fields": [],
    "fields": {"project_id": {"type": "string"}},
}
_QUARANTINED: Final = {
    "rejected_id": _REJECTED,
    "received_at": "2026-06-01T12:34:56Z",
    "kind": "event",
    "source": "web",
    "location": "inbox 42",
    "event_type": "project.viewed",
    "processing_status": "rejected",
    "error_code": "missing_field",
    "error_message": "event_data.project_id is missing",
    "retry_count": 0,
    "updated_at": "2026-06-01T12:34:56Z",
    "replay_requested_at": None,
}
_REQUESTED: Final = {"rejected_id": _REJECTED, "outcome": "requested"}
_ACCEPTED: Final = {"event_id": _EVENT, "status": "accepted"}
_BATCH: Final = {
    "accepted": 1,
    "duplicate": 0,
    "quarantined": 1,
    "retry": 0,
    "results": [
        {"index": 0, **_ACCEPTED},
        {
            "index": 1,
            "event_id": "5b0c9d53-7f0a-4c06-9e0e-9a5c8e1f2d10",
            "status": "quarantined",
            "errors": [
                {
                    "pointer": "/event_data/project_id",
                    "code": "missing_field",
                    "detail": "event_data.project_id is missing",
                }
            ],
        },
    ],
}
# Path -> status -> example, or examples by name.
ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "/api/analytics/schemas": {
        "200": {"fingerprint": "4f1d9c", "total": 1, "schemas": [_SCHEMA]},
    },
    "/api/analytics/schemas/{event_type}": {"200": _SCHEMA},
    "/api/analytics/quarantine": {"200": {"rows": [_QUARANTINED], "limit": 100, "next": None}},
    "/api/analytics/quarantine/{rejected_id}/replay": {"202": _REQUESTED},
    "/api/analytics/quarantine/replay": {"202": {"requested": 1, "results": [_REQUESTED]}},
    "/api/privacy/consent": {
        "202": {
            "consent_id": 7,
            "user_id": "u1",
            "purpose": "insights",
            "decision": "granted",
            "decided_at": "2026-06-01T12:34:56Z",
        }
    },
    "/healthz": {"200": {"status": "ok"}},
    "/readyz": {"200": {"status": "ready"}},
}
COLLECTED: Final[dict[str, Any]] = {
    "202": {"one": {"value": _ACCEPTED}, "batch": {"value": _BATCH}},
    "200": {"one": {"value": {"event_id": _EVENT, "status": "duplicate"}}},
}
# Name of a parameter -> what it means, and a value.
PARAMETERS: Final[dict[str, tuple[str, Any]]] = {
    "event_category": ("Only this category.", "interaction"),
    "event_type": ("The event type.", "project.viewed"),
    "status": ("Only records of this status.", "rejected"),
    "error_code": ("Only records with this reason.", "missing_field"),
    "limit": ("Most rows in the answer.", 100),
    "cursor": ("`next` of the page before.", "WyI0MjhlMjdiMDc2NGMiXQ"),
    "rejected_id": ("The record in quarantine.", _REJECTED),
    "Idempotency-Key": ("The same key with the same body gets the same answer.", "order-42"),
    "format": ("Form of the answer, before what `Accept` says.", "csv"),
}


def fill_in(document: dict[str, Any], routes: Iterable[Any]) -> None:
    """Add the examples to an OpenAPI document, where a route has none of its own.

    Those of ``routes`` are put in again: FastAPI drops their nulls.
    """
    for route in routes:
        for status, response in getattr(route, "responses", {}).items():
            for media, content in response.get("content", {}).items():
                for method in route.methods if "example" in content else ():
                    told = document["paths"][route.path][method.lower()]["responses"]
                    told[str(status)]["content"][media]["example"] = content["example"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                _describe_parameter(parameter)
            for status, response in operation["responses"].items():
                content = response.get("content", {}).get("application/json")
                if content is None or "example" in content or "examples" in content:
                    continue
                if status in ANSWERS.get(path, {}):
                    content["example"] = ANSWERS[path][status]
                elif "202" in operation["responses"] and "BatchResult" in str(operation):
                    content["examples"] = COLLECTED[status]


def _describe_parameter(parameter: dict[str, Any]) -> None:
    meaning, value = PARAMETERS.get(parameter["name"], (None, None))
    if meaning is None:
        return
    parameter.setdefault("description", meaning)
    if "example" not in parameter and "examples" not in parameter["schema"]:
        parameter["example"] = value
