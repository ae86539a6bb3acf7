"""``GET /api/analytics/schemas``: the event catalogue this process checks with.

Invariant: what is shown is what decides, since both are the same object; its fingerprint is the
ETag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response

from analytics_assets.api.keys import Principal, require
from analytics_assets.api.problems import Problem, responses
from analytics_assets.events.catalogue import Catalogue, EventSchema

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

router = APIRouter(tags=["catalogue"])
Reader = Annotated[Principal, Depends(require("schemas:read"))]
_REFUSED = responses("missing_key", "insufficient_scope", "rate_limited")


@router.get("/api/analytics/schemas", responses={304: {"description": "Unchanged."}, **_REFUSED})
async def list_schemas(
    request: Request,
    _: Reader,
    event_category: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """All event types with their fields, categories and how long they are kept."""
    services: Services = request.app.state.services
    catalogue = services.catalogue
    etag = f'"{catalogue.fingerprint}"'
    if event_category is None and request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    shown = [
        _shown(catalogue, schema)
        for schema in catalogue.schemas.values()
        if event_category in {None, schema.category}
    ]
    body = {"fingerprint": catalogue.fingerprint, "total": len(shown), "schemas": shown}
    return JSONResponse(body, headers={"ETag": etag})


@router.get("/api/analytics/schemas/{event_type}", responses={**responses("not_found"), **_REFUSED})
async def one_schema(request: Request, _: Reader, event_type: str) -> dict[str, Any]:
    """One event type."""
    catalogue: Catalogue = request.app.state.services.catalogue
    schema = catalogue.schemas.get(event_type)
    if schema is None:
        raise Problem("not_found", "no such event type; /api/analytics/schemas lists all")
    return _shown(catalogue, schema)


def _shown(catalogue: Catalogue, schema: EventSchema) -> dict[str, Any]:
    return {
        "event_type": schema.event_type,
        "event_category": schema.category,
        "description": schema.description,
        "retention_days": catalogue.retention_days(schema.category),
        "required_fields": schema.required_fields,
        "personal_fields": schema.personal_fields,
        "fields": schema.fields_as_json(),
    }
