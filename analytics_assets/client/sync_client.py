"""``Analytics``: the client for threads.

Belongs here: what an application calls. Does not: how events are sent (delivery.py). Invariant:
nothing that tracks raises into the application once the client is made; queries do raise.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, Self, Unpack

from analytics_assets.client.contract import (
    LOGGER,
    AnalyticsError,
    ClientOptions,
    Envelope,
    Options,
    Stats,
    make_event,
    new_event_id,
)
from analytics_assets.client.delivery import Delivery
from analytics_assets.client.events import EventMethods
from analytics_assets.client.transport import NoAnswer, Transport, pause

_ENVELOPE: Final = frozenset(Envelope.__annotations__)
_QUERY_TRIES: Final = 3
_LONGEST_QUERY_PAUSE: Final = 5.0
Names = Iterable[str] | str
Day = date | datetime | str


@dataclass(frozen=True, slots=True)
class Session:
    """The visit that the present thread or task works for."""

    session_id: str
    user_id: str | None
    began: float


_session: ContextVar[Session | None] = ContextVar("analytics_session", default=None)


class Analytics(EventMethods[str | None]):
    """A client for threads; make one a process and close it at the end.

    ``track`` and the methods named after event types return the event's id when the event is
    safe (queued, and saved where there is a spool), else None. They never raise and never wait
    for the network.
    """

    def __init__(self, url: str, key: str, **options: Unpack[ClientOptions]) -> None:
        """``options`` are the fields of ``Options``.

        Raises ValueError for an unusable address or option, OSError for an unusable spool folder.
        """
        self._options = Options(**options)
        self._address = (url, key)
        spool = None
        if self._options.spool is not None:
            # Locks of files are not the same everywhere; who has no spool needs none.
            from analytics_assets.client.spool import Spool

            spool = Spool(
                Path(self._options.spool),
                fsync=self._options.spool_fsync,
                max_bytes=self._options.spool_max_bytes,
            )
        self._delivery = Delivery(self._transport(), self._options, spool)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- events -----------------------------------------------------------------------------------

    def track(
        self, event_type: str, event_data: Mapping[str, Any] | None = None, **keywords: Any
    ) -> str | None:
        """Send an event of any type. Keywords named in ``Envelope`` are the envelope's; the others
        are fields of the event, as those in ``event_data`` are.
        """
        try:
            envelope: Any = {k: v for k, v in keywords.items() if k in _ENVELOPE}
            fields = {k: v for k, v in keywords.items() if k not in _ENVELOPE}
            session = _session.get()
            if session is not None:
                envelope.setdefault("session_id", session.session_id)
                envelope.setdefault("user_id", session.user_id)
            event = make_event(event_type, {**(event_data or {}), **fields}, envelope)
            return event.event_id if self._delivery.put(event) else None
        except Exception as error:  # noqa: BLE001 (an application must not fail for its analytics)
            # Its text could quote the event.
            LOGGER.error("an event was dropped: %s", type(error).__name__)
            self._delivery.drop(str(event_type), "not_json")
            return None

    def init_session(
        self,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        entry_page: str | None = None,
    ) -> str:
        """Begin a visit: events of this thread or task carry its id and user from now on."""
        session = Session(session_id or new_event_id(), user_id, time.monotonic())
        _session.set(session)
        data = {} if entry_page is None else {"entry_page": entry_page}
        self.track("session.started", data)
        return session.session_id

    def end_session(self) -> None:
        """End the visit that ``init_session`` began in this thread or task."""
        session = _session.get()
        if session is not None:
            length = round(time.monotonic() - session.began, 3)
            self.track("session.ended", {"duration_seconds": length})
            _session.set(None)

    def flush(self, timeout: float = 30.0) -> bool:
        """Send what waits, here and in the spool; False when some waits after ``timeout`` s."""
        return self._delivery.flush(timeout)

    def close(self, timeout: float | None = None) -> bool:
        """Flush and end. False: something was not sent; the spool keeps it, if there is one."""
        return self._delivery.close(self._options.exit_timeout if timeout is None else timeout)

    def stats(self) -> Stats:
        """What became of the events so far."""
        return self._delivery.stats()

    # --- queries ----------------------------------------------------------------------------------

    def query_events(
        self,
        *,
        event_types: Names | None = None,
        start_date: Day | None = None,
        end_date: Day | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        **parameters: Any,
    ) -> Any:
        """One page of events, as `GET /api/analytics/events` answers. Raises AnalyticsError."""
        return self.get(
            EVENTS,
            event_types=event_types,
            start_date=start_date,
            end_date=end_date,
            limit=limit,
            cursor=cursor,
            **parameters,
        )

    def query_aggregations(
        self,
        *,
        aggregation_type: str | None = None,
        event_category: str | None = None,
        event_types: Names | None = None,
        start_date: Day | None = None,
        end_date: Day | None = None,
        time_zone: str | None = None,
        **parameters: Any,
    ) -> Any:
        """Counts by hour, day or week. Raises AnalyticsError."""
        return self.get(
            AGGREGATIONS,
            aggregation_type=aggregation_type,
            event_category=event_category,
            event_types=event_types,
            start_date=start_date,
            end_date=end_date,
            time_zone=time_zone,
            **parameters,
        )

    def dashboard_metrics(
        self,
        *,
        names: Names | None = None,
        start_date: Day | None = None,
        end_date: Day | None = None,
        **parameters: Any,
    ) -> Any:
        """Daily metrics by name. Raises AnalyticsError."""
        return self.get(
            METRICS, names=names, start_date=start_date, end_date=end_date, **parameters
        )

    def realtime(self) -> Any:
        """The metrics of now. Raises AnalyticsError."""
        return self.get(REALTIME)

    def get(self, path: str, **parameters: Any) -> Any:
        """The decoded answer of any reading address; None is left out. Raises AnalyticsError."""
        transport = self._transport()
        try:
            for attempt in range(_QUERY_TRIES):
                wait = None
                try:
                    answer = transport.get(path, parameters)
                except NoAnswer as error:
                    failure = AnalyticsError(0, "no_answer", str(error))
                else:
                    if answer.ok:
                        return answer.json()
                    failure, wait = answer.error(), answer.retry_after
                    if not answer.retryable or (wait or 0) > _LONGEST_QUERY_PAUSE:
                        break
                if attempt + 1 < _QUERY_TRIES:
                    time.sleep(pause(attempt, wait, 0.2, _LONGEST_QUERY_PAUSE, random.random))
            raise failure
        finally:
            transport.close()

    def _transport(self) -> Transport:
        return Transport(
            *self._address,
            timeout=self._options.timeout,
            allow_plain_http=self._options.allow_plain_http,
        )


EVENTS: Final = "/api/analytics/events"
AGGREGATIONS: Final = "/api/analytics/aggregations"
METRICS: Final = "/api/analytics/metrics"
REALTIME: Final = "/api/analytics/realtime"
