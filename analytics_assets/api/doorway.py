"""Around every request: its id, its client's address, HTTPS, CORS, metrics, one log line.

Belongs here: what holds for all routes. Does not: keys and limits, which routes ask for. Invariant:
every answer has a request id, every failure is a problem document, and the address stays in the
request's scope.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg_pool import PoolTimeout
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from analytics_assets.api.client_facts import client_address, is_in, is_loopback
from analytics_assets.api.collect import EVENTS_PATH, events_directly
from analytics_assets.api.logs import LOGGER
from analytics_assets.api.problems import Problem

if TYPE_CHECKING:
    from analytics_assets.api.services import Services

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Probes come over plain HTTP from wherever the orchestrator is, and tell nothing.
_PROBES: Final = frozenset({"/healthz", "/readyz"})
_EXPOSED: Final = (
    "RateLimit, RateLimit-Policy, Retry-After, X-Request-Id, ETag, Link, X-Row-Limit, "
    "X-Next-Cursor, X-Total"
)
_ALLOWED: Final = (
    "Authorization, Content-Type, Content-Encoding, Idempotency-Key, X-API-Key, X-Request-Id, "
    "X-SDK, X-Attempt"
)


class Doorway:
    """ASGI middleware, the outermost of ours."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Passage(scope, send).through(self._app, receive)


class _Passage:
    """One request."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self._send = send
        self.headers = Headers(scope=scope)
        self.services: Services = scope["app"].state.services
        given = self.headers.get("x-request-id", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(12)
        self.status = 0
        self.route: str | None = None
        scope["request_id"] = self.request_id

    async def through(self, app: ASGIApp, receive: Receive) -> None:
        began = time.perf_counter()
        try:
            self._place()
            if self._is_preflight():
                await (await self._preflight())(self.scope, receive, self.send)
            elif self.scope["path"] == EVENTS_PATH and self.scope["method"] == "POST":
                # Routing and dependencies take as long as all the rest; the route itself is
                # there for OpenAPI, and for whoever mounts the app without the doorway.
                self.route = EVENTS_PATH
                response = await events_directly(Request(self.scope, receive))
                await response(self.scope, receive, self.send)
            else:
                await app(self.scope, receive, self.send)
        except Exception as error:  # noqa: BLE001 (whatever it is, the client gets an answer)
            problem = as_problem(error)
            if problem.code == "internal_error":
                LOGGER.error(
                    "failed", exc_info=error, extra={"fields": {"request_id": self.request_id}}
                )
            if self.status == 0:
                self.count_refusal(problem)
                refusal = problem.response(f"urn:request:{self.request_id}")
                await refusal(self.scope, receive, self.send)
        finally:
            self._record(time.perf_counter() - began)

    def _place(self) -> None:
        """Find out where the request comes from, and whether over HTTPS. Raises Problem."""
        settings = self.services.settings
        client = self.scope.get("client")
        peer = client[0] if client else None
        trusted = self.services.trusted_proxies
        address = client_address(peer, self.headers.get("x-forwarded-for", ""), trusted)
        self.scope["client_address"] = address
        scheme = self.scope["scheme"]
        if is_in(peer, trusted):
            scheme = self.headers.get("x-forwarded-proto", scheme).partition(",")[0].strip().lower()
        if (
            scheme != "https"
            and not is_loopback(address)
            and not settings.api_allow_plain_http
            and self.scope["path"] not in _PROBES
        ):
            raise Problem(
                "https_required",
                "send this over HTTPS; the operator sets ANALYTICS_API_TRUSTED_PROXIES for the "
                "proxy that ends it, or ANALYTICS_API_ALLOW_PLAIN_HTTP=true",
            )

    def _is_preflight(self) -> bool:
        return (
            self.scope["method"] == "OPTIONS"
            and "origin" in self.headers
            and "access-control-request-method" in self.headers
        )

    async def _preflight(self) -> Response:
        """A preflight has no key: it may pass where any usable key allows the origin."""
        origin = self.headers["origin"]
        if origin not in await self.services.keys.origins():
            return Response(status_code=403)
        self.scope["cors_origin"] = origin
        return Response(
            status_code=204,
            headers={
                "Access-Control-Allow-Methods": "GET, POST",
                "Access-Control-Allow-Headers": _ALLOWED,
                "Access-Control-Max-Age": "600",
            },
        )

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request_id
            headers["X-Content-Type-Options"] = "nosniff"
            for name, value in (self.scope.get("rate_headers") or {}).items():
                headers[name] = value
            self._allow_origin(headers)
        await self._send(message)

    def _allow_origin(self, headers: MutableHeaders) -> None:
        origin = self.headers.get("origin")
        if origin is None:
            return
        principal = self.scope.get("principal")
        headers.add_vary_header("Origin")
        if self.scope.get("cors_origin") == origin or (
            principal is not None and origin in principal.allowed_origins
        ):
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = _EXPOSED

    def count_refusal(self, problem: Problem) -> None:
        principal = self.scope.get("principal")
        self.services.metrics.count(
            "collector_refused_total",
            key="" if principal is None else principal.key_id,
            code=problem.code,
        )

    def _record(self, seconds: float) -> None:
        route = self.route or str(getattr(self.scope.get("route"), "path", "(none)"))
        method = self.scope["method"]
        method = method if method in {"GET", "POST", "HEAD", "OPTIONS"} else "other"
        metrics = self.services.metrics
        metrics.count(
            "http_requests_total", route=route, method=method, status=str(self.status or 499)
        )
        metrics.observe("http_request_seconds", seconds, route=route)
        if LOGGER.isEnabledFor(logging.INFO):
            principal = self.scope.get("principal")
            fields: dict[str, Any] = {
                "request_id": self.request_id,
                "method": method,
                "route": route,
                "status": self.status,
                "ms": round(seconds * 1000, 2),
                **({"key": principal.key_id} if principal is not None else {}),
                **self.scope.get("log_fields", {}),
            }
            LOGGER.info("request", extra={"fields": fields})


def as_problem(error: BaseException) -> Problem:
    """The problem an exception amounts to."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, psycopg.errors.QueryCanceled):
        return Problem("query_timeout", "ask for less: a shorter range, fewer rows")
    if isinstance(error, PoolTimeout | psycopg.OperationalError | psycopg.InterfaceError):
        return Problem(
            "store_unavailable",
            "the database cannot be reached; send this request again",
            headers={"Retry-After": "1"},
        )
    return Problem("internal_error", "the operator finds it in the log by the request id")


async def answer_problem(request: Request, error: Exception) -> Response:
    """Exception handler of the app for problems that routes raise."""
    problem = as_problem(error)
    principal = request.scope.get("principal")
    request.app.state.services.metrics.count(
        "collector_refused_total",
        key="" if principal is None else principal.key_id,
        code=problem.code,
    )
    return problem.response(f"urn:request:{request.scope.get('request_id', '')}")
