"""``GET /api/privacy/report``: the newest privacy report, as the daily run kept it.

Belongs here: handing it out. Does not: making it, for which the API has no rights. Invariant: it
is not public, because it names internal tables, roles and how the attacks went: the scope is
``privacy:admin``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from analytics_assets.api.keys import Principal, require
from analytics_assets.api.problems import Problem, responses

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

router = APIRouter(tags=["privacy"])
Officer = Annotated[Principal, Depends(require("privacy:admin"))]
_NEWEST: Final = "select report from ops.privacy_reports order by as_of desc limit 1"
_REFUSED = responses("missing_key", "insufficient_scope", "rate_limited", "store_unavailable")


_EXAMPLE: Final = {
    "as_of": "2026-06-08T00:00:00+00:00",
    "stored": [
        {
            "table": "raw.platform_events",
            "what": "Events as loaded.",
            "read_by": ["analytics_pipeline"],
            "about_people": True,
        }
    ],
    "pruned": [{"class": "analytics", "partitions": 31, "first_day_kept": "2026-05-01"}],
}
_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The report; the example shows three of its parts.",
        "content": {
            "application/json": {"example": _EXAMPLE},
            "text/markdown": {"schema": {"type": "string"}, "example": "# Privacy report"},
        },
    }
}


@router.get("/api/privacy/report", responses={**_ANSWER, **responses("not_found"), **_REFUSED})
async def privacy_report(
    request: Request,
    _: Officer,
    format: Annotated[  # noqa: A002 (the parameter's name)
        Literal["json", "markdown"],
        Query(description="JSON, or a page to be read.", examples=["markdown"]),
    ] = "json",
) -> Response:
    """What is collected, where, how long, who reads it, what was released, how the attacks went."""
    from analytics_assets.privacy.compliance import as_markdown

    services: Services = request.app.state.services
    async with services.queries.connection() as connection:
        row = await (await connection.execute(_NEWEST)).fetchone()
    if row is None:
        raise Problem(
            "not_found", "no report yet: materialize retention/compliance_report, which runs daily"
        )
    report: dict[str, Any] = row[0]
    if format == "markdown":
        return PlainTextResponse(as_markdown(report), media_type="text/markdown")
    return JSONResponse(report)
