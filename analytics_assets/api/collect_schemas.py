"""What OpenAPI says of the collecting routes: bodies, results, examples.

Belongs here: descriptions. Does not: checks; these routes read their bodies themselves, since a
batch must not fail for one of its records. Invariant: fields come from the loader's contracts.
"""

from __future__ import annotations

from typing import Any, Final

from analytics_assets.api.limits import MAX_EVENTS
from analytics_assets.api.problems import responses
from analytics_assets.sources.contract import CONTRACTS, Column

_TYPES: Final[dict[str, dict[str, Any]]] = {
    "text": {"type": "string"},
    "json": {"type": "object"},
    "moment": {"type": "string", "format": "date-time"},
    "number": {"type": "number"},
    "flag": {"type": "boolean"},
}
_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "events": {
        "event_id": "0b7d1c1e-5a0e-4a53-9d3c-2f1d1f0a9b11",
        "event_type": "project.viewed",
        "timestamp": "2026-06-01T12:34:56Z",
        "user_id": "u1",
        "event_data": {"project_id": "p1"},
    },
    "conversations": {
        "conversation_id": "c1",
        "user_id": "u1",
        "started_at": "2026-06-01T12:34:56Z",
    },
    "messages": {
        "message_id": "m1",
        "conversation_id": "c1",
        "user_id": "u1",
        "role": "user",
        "content": "How do I invite a colleague?",
        "created_at": "2026-06-01T12:34:56Z",
    },
    "service-jobs": {
        "job_id": "j1",
        "user_id": "u1",
        "job_type": "report",
        "status": "succeeded",
        "created_at": "2026-06-01T12:34:56Z",
    },
    "users": {"user_id": "u1", "role": "client", "signup_at": "2026-05-01T08:00:00Z"},
    "servers": {"server_id": "s1", "name": "Weather", "status": "active"},
}
_TABLES: Final = {"events": "platform_events", "service-jobs": "service_jobs"}
_WHOLE: Final = (
    "invalid_json", "invalid_encoding", "missing_key", "invalid_key", "expired_key",
    "revoked_key", "insufficient_scope", "origin_not_allowed", "https_required", "body_timeout",
    "in_flight", "body_too_large", "batch_too_large", "unsupported_media_type", "invalid_request",
    "idempotency_key_reused", "rate_limited", "overloaded", "store_unavailable",
)  # fmt: skip
RESULT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["event_id", "status"],
    "properties": {
        "index": {"type": "integer"},
        "event_id": {"type": ["string", "null"]},
        "status": {"type": "string", "enum": ["accepted", "duplicate", "quarantined", "retry"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
BATCH_RESULT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["accepted", "duplicate", "quarantined", "retry", "results"],
    "properties": {
        **{
            status: {"type": "integer"}
            for status in ("accepted", "duplicate", "quarantined", "retry")
        },
        "results": {"type": "array", "items": {"$ref": "#/components/schemas/Result"}},
    },
}


def operation(name: str) -> dict[str, Any]:
    """Keyword arguments of the route that collects ``name``."""
    contract = CONTRACTS[_TABLES.get(name, name)]  # type: ignore[index]
    record = {
        "type": "object",
        "required": [column.name for column in contract.columns if column.required],
        "properties": {column.name: _schema(column) for column in contract.columns},
    }
    batch = {
        "type": "object",
        "required": ["batch"],
        "properties": {
            "sent_at": {
                "type": "string",
                "format": "date-time",
                "description": "When the request was sent, to correct the sender's clock.",
            },
            "batch": {"type": "array", "minItems": 1, "maxItems": MAX_EVENTS, "items": record},
        },
    }
    example = _EXAMPLES[name]
    content: dict[str, Any] = {
        "application/json": {
            "schema": {"anyOf": [record, batch]},
            "examples": {
                "one": {"value": example},
                "batch": {"value": {"sent_at": "2026-06-01T12:34:57Z", "batch": [example]}},
            },
        }
    }
    if name == "events":
        cloud = {"type": "object", "description": "A CloudEvent 1.0 in JSON."}
        content["application/cloudevents+json"] = {"schema": cloud}
        content["application/cloudevents-batch+json"] = {
            "schema": {"type": "array", "items": cloud}
        }
    result = {"$ref": "#/components/schemas/Result"}
    many = {"$ref": "#/components/schemas/BatchResult"}
    return {
        "status_code": 202,
        "response_model": None,
        "openapi_extra": {
            "requestBody": {"required": True, "content": content},
            "parameters": [
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "required": False,
                    "description": "The same key with the same body gets the same answer.",
                    "schema": {"type": "string", "maxLength": 255},
                }
            ],
        },
        "responses": {
            202: {
                "description": "Durably stored, each record as its result says.",
                "content": {"application/json": {"schema": {"anyOf": [result, many]}}},
            },
            200: {
                "description": "The one record sent waits in the inbox already.",
                "content": {"application/json": {"schema": result}},
            },
            **responses(*_WHOLE),
        },
    }


def _schema(column: Column) -> dict[str, Any]:
    if column.values:
        return {"type": "string", "enum": list(column.values)}
    return _TYPES[column.kind]
