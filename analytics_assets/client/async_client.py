"""``AsyncAnalytics``: the same client for asyncio.

Belongs here: what may not block an event loop, moved off it. Does not: anything of its own.
Invariant: events go through the same queue, spool and thread as those of ``Analytics``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Self, Unpack

from analytics_assets.client.contract import ClientOptions, Stats
from analytics_assets.client.events import EventMethods
from analytics_assets.client.sync_client import Analytics


class AsyncAnalytics(EventMethods[Coroutine[Any, Any, str | None]]):
    """``Analytics`` for asyncio: the same methods, to be awaited."""

    def __init__(self, url: str, key: str, **options: Unpack[ClientOptions]) -> None:
        self.in_threads = Analytics(url, key, **options)
        # An append to a file is over at once; waiting for the disk is not.
        self._waits = bool(options.get("spool_fsync"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def track(
        self, event_type: str, event_data: Mapping[str, Any] | None = None, **keywords: Any
    ) -> str | None:
        """As ``Analytics.track``."""
        if self._waits:
            return await asyncio.to_thread(
                self.in_threads.track, event_type, event_data, **keywords
            )
        return self.in_threads.track(event_type, event_data, **keywords)

    async def init_session(
        self,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        entry_page: str | None = None,
    ) -> str:
        """Begin a visit: events of this task carry its id and user from now on."""
        return self.in_threads.init_session(
            user_id=user_id, session_id=session_id, entry_page=entry_page
        )

    async def end_session(self) -> None:
        """End the visit that ``init_session`` began in this task."""
        self.in_threads.end_session()

    async def flush(self, timeout: float = 30.0) -> bool:  # noqa: ASYNC109 (as in Analytics)
        """As ``Analytics.flush``."""
        return await asyncio.to_thread(self.in_threads.flush, timeout)

    async def close(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109
        """As ``Analytics.close``."""
        return await asyncio.to_thread(self.in_threads.close, timeout)

    def stats(self) -> Stats:
        """What became of the events so far."""
        return self.in_threads.stats()

    async def query_events(self, **parameters: Any) -> Any:
        """As ``Analytics.query_events``."""
        return await asyncio.to_thread(self.in_threads.query_events, **parameters)

    async def query_aggregations(self, **parameters: Any) -> Any:
        """As ``Analytics.query_aggregations``."""
        return await asyncio.to_thread(self.in_threads.query_aggregations, **parameters)

    async def dashboard_metrics(self, **parameters: Any) -> Any:
        """As ``Analytics.dashboard_metrics``."""
        return await asyncio.to_thread(self.in_threads.dashboard_metrics, **parameters)

    async def realtime(self) -> Any:
        """As ``Analytics.realtime``."""
        return await asyncio.to_thread(self.in_threads.realtime)
