"""``/healthz``, ``/readyz`` and ``/metrics``.

Belongs here: what the process and its store say of themselves. Invariant: alive is not ready: a
process whose Postgres is down answers 503 to ``/readyz`` and is not restarted for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from fastapi import APIRouter, Request
from psycopg_pool import PoolTimeout
from starlette.responses import JSONResponse, PlainTextResponse, Response

from analytics_assets.api.client_facts import is_loopback
from analytics_assets.api.keys import require
from analytics_assets.api.problems import Problem, responses

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

router = APIRouter(tags=["operation"])
_READY_SECONDS = 2.0
_monitor = require("query:metrics")


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses=responses("store_unavailable", "overloaded"))
async def readyz(request: Request) -> Response:
    """Requests would be stored: Postgres answers, is migrated, and the queue has room."""
    services: Services = request.app.state.services
    try:
        async with services.pool.connection(timeout=_READY_SECONDS) as connection:
            await connection.execute("select from ops.api_keys limit 0")
    except psycopg.errors.UndefinedTable:
        raise Problem("store_unavailable", "run `analytics-assets migrate`") from None
    except (psycopg.Error, PoolTimeout):
        raise Problem(
            "store_unavailable", "Postgres does not answer", headers={"Retry-After": "1"}
        ) from None
    if services.writer.waiting >= services.settings.api_queue_events:
        raise Problem("overloaded", "the queue is full", headers={"Retry-After": "1"})
    return JSONResponse({"status": "ready"})


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Counters of this process in Prometheus' format; from elsewhere with `query:metrics`."""
    if not is_loopback(request.scope.get("client_address")):
        await _monitor(request)
    services: Services = request.app.state.services
    gauges: dict[str, Any] = {"collector_queue_records": services.writer.waiting}
    try:
        async with services.pool.connection(timeout=_READY_SECONDS) as connection:
            found = await (await connection.execute("select * from ops.inbox_state()")).fetchone()
        gauges["inbox_entries"] = found[0]
        gauges["inbox_oldest_seconds"] = found[1] or 0.0
    except (psycopg.Error, PoolTimeout):
        pass
    text = services.metrics.render(gauges)
    return Response(text, media_type="text/plain; version=0.0.4")
