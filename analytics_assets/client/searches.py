"""Searches recorded where they happen: around an ASGI app, or around a function.

Belongs here: finding the query, the time and the number of results. Invariant: the app's answer
and the function's result and errors pass through unchanged; a search that failed is not recorded.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, Literal, ParamSpec, TypeVar, cast
from urllib.parse import parse_qs

from analytics_assets.client.async_client import AsyncAnalytics
from analytics_assets.client.contract import LOGGER, Envelope
from analytics_assets.client.sync_client import Analytics

P = ParamSpec("P")
T = TypeVar("T")
Kind = Literal["search.performed", "search_performed"]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Any]
RESULTS_KEY: Final = "analytics.results_count"
_FAILED: Final = 400


class RecordSearches:
    """ASGI middleware: records answered GET requests to ``paths`` that carry a query.

    ``user_of`` gives the user's id from the scope. An app that puts the number of results into
    ``scope["analytics.results_count"]`` has it recorded.
    """

    def __init__(
        self,
        app: App,
        client: Analytics | AsyncAnalytics,
        *,
        paths: Iterable[str] = ("/search",),
        parameter: str = "q",
        event_type: Kind = "search.performed",
        user_of: Callable[[Scope], str | None] | None = None,
    ) -> None:
        self._app = app
        self._client = client
        self._paths = frozenset(paths)
        self._parameter = parameter
        self._event_type: Kind = event_type
        self._user_of = user_of

    async def __call__(
        self,
        scope: Scope,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        query = self._query(scope)
        if query is None:
            await self._app(scope, receive, send)
            return
        status = 0

        async def noting(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        await self._app(scope, receive, noting)
        if 0 < status < _FAILED:
            user = _quietly(self._user_of, scope) if self._user_of else None
            results = scope.get(RESULTS_KEY)
            _record(self._client, self._event_type, query, results, began, user)

    def _query(self, scope: Scope) -> str | None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in self._paths:
            return None
        try:
            found = parse_qs(scope["query_string"].decode("latin-1")).get(self._parameter)
        except ValueError:
            return None
        return found[0] if found else None


def record_searches(
    client: Analytics | AsyncAnalytics,
    *,
    query: str = "query",
    results: Callable[[Any], int] = len,
    event_type: Kind = "search.performed",
    user_id: str | None = None,
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator for a function, plain or async, that searches.

    ``query`` names its argument with the text; ``results`` counts what it returns; ``user_id``
    names its argument with the user, if it has one.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)
        if query not in signature.parameters:
            raise TypeError(f"{function.__name__} has no argument {query!r}; name it with query=")

        def record(result: Any, began: float, args: Any, kwargs: Any) -> None:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            count = _quietly(results, result)
            user = bound.arguments.get(user_id) if user_id else None
            _record(client, event_type, bound.arguments[query], count, began, user)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def searching(*args: P.args, **kwargs: P.kwargs) -> Any:
                began = time.perf_counter()
                result = await function(*args, **kwargs)
                record(result, began, args, kwargs)
                return result

            return cast("Callable[P, T]", searching)

        @functools.wraps(function)
        def search(*args: P.args, **kwargs: P.kwargs) -> T:
            began = time.perf_counter()
            result = function(*args, **kwargs)
            record(result, began, args, kwargs)
            return result

        return search

    return decorate


def _record(
    client: Analytics | AsyncAnalytics,
    event_type: Kind,
    query: Any,
    results: Any,
    began: float,
    user: str | None,
) -> None:
    if not isinstance(query, str) or not query:
        return
    milliseconds = round((time.perf_counter() - began) * 1000, 1)
    count = results if isinstance(results, int) else None
    target = client.in_threads if isinstance(client, AsyncAnalytics) else client
    envelope: Envelope = {} if user is None else {"user_id": user}
    if event_type == "search.performed":
        target.track_search_performed(
            query=query, results_count=count, search_time_ms=milliseconds, **envelope
        )
    else:
        target.track_registry_search(query=query, results=count, **envelope)


def _quietly(function: Callable[[Any], Any], value: Any) -> Any:
    try:
        return function(value)
    except Exception as error:  # noqa: BLE001 (what is only counted must not fail a search)
        LOGGER.error("a search was recorded in part: %s", type(error).__name__)
        return None
