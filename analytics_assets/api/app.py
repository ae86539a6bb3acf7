"""The app: routers, error handlers, the doorway.

Belongs here: wiring. Does not: routes. Invariant: making an app opens nothing; its lifespan does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from analytics_assets.api import (
    aggregations,
    browser_script,
    collect,
    consent,
    daily_metrics,
    event_log,
    health,
    insights,
    privacy_report,
    quarantine,
    realtime,
    schemas,
)
from analytics_assets.api.collect_schemas import BATCH_RESULT, RESULT
from analytics_assets.api.doorway import Doorway, answer_problem
from analytics_assets.api.examples import fill_in
from analytics_assets.api.problems import Problem, document_schema, responses
from analytics_assets.api.services import running
from analytics_assets.settings import Settings, load_settings
from analytics_assets.store.database import Database

ROUTERS = (
    collect.router,
    event_log.router,
    aggregations.router,
    daily_metrics.router,
    realtime.router,
    insights.router,
    schemas.router,
    quarantine.router,
    consent.router,
    privacy_report.router,
    health.router,
    browser_script.router,
)
_BY_STATUS = {
    400: "invalid_json",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
}


def create_app(settings: Settings, database: Database | None = None) -> FastAPI:
    """The HTTP API of a deployment. ``app.state.services`` holds its ``Services`` once started."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        opened = Database.open(settings) if database is None else database
        async with running(settings, opened) as services:
            app.state.services = services
            yield

    app = FastAPI(
        title="Analytics assets",
        version="1",
        description="Records in, numbers out. Errors are RFC 9457 problem documents.",
        lifespan=lifespan,
        separate_input_output_schemas=False,
    )
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(Doorway)
    for error in (Problem, psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout):
        app.add_exception_handler(error, answer_problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    _describe(app)
    return app


def from_environment() -> FastAPI:
    """The app of the settings, for servers that make one in each process."""
    from analytics_assets.api.logs import configure_logging

    configure_logging()
    return create_app(load_settings())


async def _invalid(request: Request, error: Exception) -> Response:
    """FastAPI's own validation, which is only of parameters, as a problem."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 (for the type)
    found = [
        {
            "parameter": ".".join(str(part) for part in item["loc"][1:]),
            "code": str(item["type"]),
            "detail": str(item["msg"]),
        }
        for item in error.errors()
    ]
    in_body = any(item["loc"][0] == "body" for item in error.errors())
    named = ", ".join(item["parameter"] for item in found)
    code = "invalid_request" if in_body else "invalid_parameter"
    return await answer_problem(request, Problem(code, f"wrong: {named}", found))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (for the type)
    code = _BY_STATUS.get(error.status_code, "not_found")
    detail = "see /docs for what there is"
    return await answer_problem(request, Problem(code, detail, headers=dict(error.headers or {})))


def _describe(app: FastAPI) -> None:
    """Add what FastAPI cannot know to its OpenAPI document."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = made()
            components = document.setdefault("components", {})
            components.setdefault("schemas", {}).update(
                {"Problem": document_schema(), "Result": RESULT, "BatchResult": BATCH_RESULT}
            )
            components["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            }
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    _describe_refusals(operation)
                    if path.startswith(("/api/analytics", "/api/privacy", "/metrics")):
                        operation["security"] = [{"bearer": []}, {"header": []}]
            fill_in(document, [route for router in ROUTERS for route in router.routes])
            for name in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(name, None)
        return app.openapi_schema or document

    app.openapi = openapi  # type: ignore[method-assign]


def _describe_refusals(operation: dict[str, Any]) -> None:
    """A wrong parameter is a problem with 400, not what FastAPI would answer with 422."""
    described = operation["responses"]
    if "HTTPValidationError" in str(described.get("422")):
        del described["422"]
    possible = [
        code
        for code, place in (("invalid_parameter", "parameters"), ("invalid_json", "requestBody"))
        if operation.get(place)
    ]
    for status, text in responses(*possible).items():
        described.setdefault(str(status), text)
