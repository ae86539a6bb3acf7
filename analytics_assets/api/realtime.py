"""``GET /api/analytics/realtime``: numbers of the moment, fresher than any run.

Belongs here: the route, and forgetting what has expired. Does not: counting, which
``ops.refresh_realtime`` does with rights this role does not have. Invariant: the numbers are
counted at most once in ``FRESH_FOR`` over all processes, however often they are asked for.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import psycopg
from fastapi import APIRouter, Depends, Request
from psycopg_pool import PoolTimeout
from pydantic import BaseModel
from starlette.responses import Response

from analytics_assets.api.keys import Principal, require
from analytics_assets.api.logs import LOGGER
from analytics_assets.api.reading import KNOWN, REFUSED

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

router = APIRouter(tags=["query"])
Reader = Annotated[Principal, Depends(require("query:metrics"))]
FRESH_FOR: Final = timedelta(seconds=5)
CLEAN_EVERY_SECONDS: Final = 15 * 60
_EXAMPLE: Final = {
    "active_users_last_hour": 34,
    "projects_created_today": 5,
    "proposals_submitted_today": 12,
    "searches_today": 118,
    "installs_today": 9,
    "calculated_at": "2026-05-12T09:30:00Z",
    "expires_at": "2026-05-12T09:30:05Z",
}


class Realtime(BaseModel):
    """Today is the UTC day of the platform's clock. Counted are events that are loaded, and those
    that wait to be: of these the newest 100,000.
    """

    active_users_last_hour: int
    projects_created_today: int
    proposals_submitted_today: int
    searches_today: int
    installs_today: int
    calculated_at: datetime
    expires_at: datetime


@router.get(
    "/api/analytics/realtime",
    response_model=Realtime,
    dependencies=[KNOWN],
    responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}, **REFUSED},
)
async def realtime(request: Request, _: Reader) -> Response:
    """Who is active and what has happened today, at most 5 seconds old."""
    services: Services = request.app.state.services
    async with services.pool.connection() as connection:
        found: list[Any] = []
        while not found:  # again, should they be cleaned away between the two statements
            await connection.execute(
                "select ops.refresh_realtime(%s, %s)", [services.settings.now(), FRESH_FOR]
            )
            found = await (await connection.execute(_READ)).fetchall()
    answer: dict[str, Any] = {key: int(value) for key, value, _, _ in found}
    answer["calculated_at"] = max(calculated for _, _, calculated, _ in found)
    answer["expires_at"] = min(expires for _, _, _, expires in found)
    return Response(
        msgspec.json.encode(answer),
        headers={"Cache-Control": "no-store"},
        media_type="application/json",
    )


async def clean_now_and_then(pool: Any) -> None:
    """Forget expired numbers every 15 minutes, until cancelled."""
    while True:
        await asyncio.sleep(CLEAN_EVERY_SECONDS)
        try:
            async with pool.connection() as connection:
                await connection.execute("select ops.clean_realtime()")
        except (psycopg.Error, PoolTimeout) as error:
            LOGGER.warning("expired numbers were not cleaned", exc_info=error)


_READ: Final = """
select metric_key, metric_value, calculated_at, expires_at
from ops.platform_metrics_realtime
"""
