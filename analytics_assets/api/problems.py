"""Whole-request errors as RFC 9457 ``application/problem+json`` with stable codes.

Belongs here: the list of codes and their form. Does not: results of single events. Invariant: a
code never changes its status or meaning, and no detail quotes what was sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"


class Kind(NamedTuple):
    """Status and title of a code, and whether the same request may succeed later."""

    status: int
    title: str
    retryable: bool = False


PROBLEMS: Final[dict[str, Kind]] = {
    "invalid_json": Kind(400, "The body is not JSON"),
    "invalid_encoding": Kind(400, "The body cannot be decompressed"),
    "invalid_parameter": Kind(400, "A parameter is wrong"),
    "missing_key": Kind(401, "No API key"),
    "invalid_key": Kind(401, "The API key is not one of ours"),
    "expired_key": Kind(401, "The API key has expired"),
    "revoked_key": Kind(401, "The API key was revoked"),
    "insufficient_scope": Kind(403, "The API key may not do this"),
    "https_required": Kind(403, "HTTPS is required"),
    "origin_not_allowed": Kind(403, "Pages of this origin may not use the key"),
    "not_found": Kind(404, "There is nothing here"),
    "method_not_allowed": Kind(405, "The method is not one of this address"),
    "not_acceptable": Kind(406, "The answer has no such format"),
    "body_timeout": Kind(408, "The body came too slowly", retryable=True),
    "in_flight": Kind(409, "The same request is being worked on", retryable=True),
    "not_replayable": Kind(409, "The row cannot be tried again"),
    "body_too_large": Kind(413, "The body is too large"),
    "batch_too_large": Kind(413, "The batch is too large"),
    "unsupported_media_type": Kind(415, "The body's type or compression is not supported"),
    "invalid_request": Kind(422, "The request has the wrong shape"),
    "range_too_long": Kind(422, "The range is too long"),
    "idempotency_key_reused": Kind(422, "The Idempotency-Key belongs to another request"),
    "rate_limited": Kind(429, "Too many requests", retryable=True),
    "internal_error": Kind(500, "Something is broken on our side", retryable=True),
    "overloaded": Kind(503, "Too much waits to be stored", retryable=True),
    "store_unavailable": Kind(503, "The database cannot be reached", retryable=True),
    "query_timeout": Kind(503, "The query took too long"),
    "not_built": Kind(503, "The tables have not been built yet", retryable=True),
}


@dataclass
class Problem(Exception):
    """Ends a request with one of ``PROBLEMS``; ``errors`` are ``{pointer, code, detail}``."""

    code: str
    detail: str
    errors: list[dict[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self.code)

    @property
    def kind(self) -> Kind:
        return PROBLEMS[self.code]

    def body(self, instance: str | None = None) -> bytes:
        """The JSON document."""
        status, title, retryable = self.kind
        document: dict[str, Any] = {
            "type": f"urn:analytics-assets:problem:{self.code}",
            "title": title,
            "status": status,
            "detail": self.detail,
            "code": self.code,
            "retryable": retryable,
        }
        if instance:
            document["instance"] = instance
        if self.errors:
            document["errors"] = self.errors
        return msgspec.json.encode(document)

    def response(self, instance: str | None = None) -> Response:
        return Response(
            self.body(instance), self.kind.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def invalid_parameter(name: str, detail: str) -> Problem:
    """A query parameter that cannot be used."""
    return Problem(
        "invalid_parameter",
        f"{name}: {detail}",
        [{"parameter": name, "code": "invalid_parameter", "detail": detail}],
    )


def document_schema() -> dict[str, Any]:
    """The problem document, for OpenAPI."""
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "retryable"],
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "code": {"type": "string", "enum": sorted(PROBLEMS)},
            "retryable": {"type": "boolean"},
            "instance": text,
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "pointer": text,
                        "parameter": text,
                        "code": text,
                        "detail": text,
                    },
                },
            },
        },
    }


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """These problems as OpenAPI responses."""
    by_status: dict[int | str, list[str]] = {}
    for code in codes:
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    return {
        status: {
            "description": "; ".join(f"`{code}`: {PROBLEMS[code].title}" for code in named),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, named in by_status.items()
    }
