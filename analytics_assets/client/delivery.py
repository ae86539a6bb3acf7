"""The queue and the thread that empties it.

Belongs here: batches, tries, what an answer means for each event. Does not: HTTP, files. Invariant:
an event leaves the queue only when the server has it or will never take it; nothing is raised into
the caller, and nothing of an event is logged.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from analytics_assets.client.contract import LOGGER, MAX_BODY_BYTES, Event, Options, Problem, Stats
from analytics_assets.client.transport import Answer, NoAnswer, Transport, pause

if TYPE_CHECKING:
    from analytics_assets.client.spool import Spool

EVENTS_PATH: Final = "/api/analytics/events"
# How often a living process looks for what dead ones left in the spool.
_LOOK_AROUND_SECONDS: Final = 15.0
_NEVER: Final = float("-inf")
_TELL_AGAIN_SECONDS: Final = 60.0
_SETTLED: Final = frozenset({"accepted", "duplicate", "quarantined"})
# The body, or one of its events, is at fault: halving finds which.
_AT_FAULT: Final = frozenset({400, 413, 415, 422})
_live: weakref.WeakSet[Delivery] = weakref.WeakSet()
_watching: list[bool] = []


class Delivery:
    """Events on their way to one API."""

    def __init__(self, transport: Transport, options: Options, spool: Spool | None) -> None:
        self._transport = transport
        self._options = options
        self._spool = spool
        self._start_anew()
        _watch(self)
        if spool is not None:
            with self._changed:
                self._ensure_thread()

    def _start_anew(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[Event] = deque()
        self._in_flight = 0
        self._oldest = 0.0
        self._looked_around = _NEVER
        self._hurry = False
        self._give_up_at: float | None = None
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self._failing = False
        self._stats = Stats()
        self._told: dict[tuple[str, str], tuple[int, float]] = {}

    # --- for the host's threads -------------------------------------------------------------------

    def put(self, event: Event) -> bool:
        """Take an event; True when it is as safe as the options promise."""
        with self._changed:
            fits = len(self._queue) + self._in_flight < self._options.max_queue
            refusal = None
            saved = False
            if self._give_up_at is not None:
                refusal = "closed"
            elif len(event.body) > MAX_BODY_BYTES:
                refusal = "oversized"
            else:
                saved = self._save(event, fits)
                if not saved and not fits:
                    refusal = "queue_full"
            if refusal is None:
                self._stats.taken += 1
                if fits:
                    self._enqueue([event])
                self._ensure_thread()
            else:
                self._stats.dropped += 1
        if refusal is not None:
            self._report(event, "dropped", refusal)
        return refusal is None and (saved or self._spool is None)

    def flush(self, timeout: float) -> bool:
        """Send what waits, here and in the spool; False when some still waits after ``timeout``."""
        with self._changed:
            self._hurry = True
            self._looked_around = _NEVER
            self._changed.notify_all()
            return self._changed.wait_for(self._is_all_sent, timeout)

    def close(self, timeout: float) -> bool:
        """Flush and end; what is left stays in the spool. False when something was left."""
        with self._changed:
            if self._give_up_at is None:
                self._give_up_at = time.monotonic() + timeout
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        with self._changed:
            left = self._waiting()
            told, self._is_closed = self._is_closed, True
            if self._spool is not None:
                self._spool.close()
        if left and not told:
            LOGGER.warning(
                "%d events were not sent; %s",
                left,
                "they are lost" if self._spool is None else "the spool keeps them",
            )
        return not left

    def stats(self) -> Stats:
        with self._changed:
            return replace(self._stats, waiting=self._waiting())

    def drop(self, event_type: str, code: str) -> None:
        """Count and report an event that could not be made."""
        with self._changed:
            self._stats.dropped += 1
        self._report(Event("", event_type, b""), "dropped", code)

    def _report(
        self, event: Event, status: str, code: str, errors: Sequence[Mapping[str, str]] = ()
    ) -> None:
        """Log a problem, without the event and once a minute, and tell the host's callback."""
        times, last = self._told.get((status, code), (0, _NEVER))
        now = time.monotonic()
        if now - last >= _TELL_AGAIN_SECONDS:
            LOGGER.warning("%d events were %s (%s)", times + 1, status, code)
            times, last = -1, now
        self._told[status, code] = (times + 1, last)
        if self._options.on_problem is not None:
            problem = Problem(event.event_id or None, event.event_type, status, code, tuple(errors))
            try:
                self._options.on_problem(problem)
            except Exception as error:  # noqa: BLE001 (the host's mistake must not stop the sender)
                LOGGER.error("on_problem raised %s", type(error).__name__)

    def in_child(self) -> None:
        """After a fork: what waits is the parent's to send."""
        self._start_anew()
        self._transport.close()
        if self._spool is not None:
            self._spool.forget()

    # --- under the lock ---------------------------------------------------------------------------

    def _save(self, event: Event, fits: bool) -> bool:
        if self._spool is None:
            return False
        try:
            return self._spool.append(event, in_memory=fits)
        except OSError as error:
            LOGGER.error("the spool cannot be written to: %s", error.strerror)
            return False

    def _waiting(self) -> int:
        s = self._stats
        return s.taken + s.recovered - s.accepted - s.duplicate - s.quarantined - s.refused

    def _is_all_sent(self) -> bool:
        looked = self._spool is None or self._looked_around > _NEVER or self._give_up_at is not None
        return looked and self._waiting() == 0

    def _enqueue(self, events: Sequence[Event]) -> None:
        if not self._queue:
            self._oldest = time.monotonic()
        self._queue.extend(events)
        if len(self._queue) == len(events) or len(self._queue) >= self._options.batch_events:
            self._changed.notify_all()

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="analytics", daemon=True)
            # While the interpreter ends no thread can begin; the spool keeps its events.
            with contextlib.suppress(RuntimeError):
                self._thread.start()

    def _look_around(self) -> None:
        """Queue what nobody else will send."""
        idle = not self._queue
        room = self._options.max_queue - len(self._queue)
        due = time.monotonic() - self._looked_around >= _LOOK_AROUND_SECONDS
        if self._spool is None or room <= 0 or not (due or (idle and self._waiting())):
            return
        try:
            left_here = self._waiting() - len(self._queue)
            found = self._spool.left_behind(room, idle=idle)
        except OSError as error:
            LOGGER.error("the spool cannot be read: %s", error.strerror)
            found, left_here = [], 0
        if len(found) < room:
            self._looked_around = time.monotonic()
        # What did not fit into memory was counted when it was taken.
        own = min(left_here, len(found)) if idle else 0
        self._stats.recovered += len(found) - own
        if found:
            self._enqueue(found)

    def _next_batch(self) -> list[Event] | None:
        """The next events to send, when they are due; None at the end."""
        with self._changed:
            while True:
                closing = self._give_up_at is not None
                if closing and time.monotonic() >= (self._give_up_at or 0):
                    return None
                if not closing:
                    self._look_around()
                if not self._queue:
                    self._changed.notify_all()
                    if closing:
                        return None
                    if self._waiting() == 0:
                        self._hurry = False
                    self._changed.wait(None if self._spool is None else _LOOK_AROUND_SECONDS)
                    continue
                age = time.monotonic() - self._oldest
                full = len(self._queue) >= self._options.batch_events
                if full or closing or self._hurry or age >= self._options.flush_interval:
                    return self._taken()
                self._changed.wait(self._options.flush_interval - age)

    def _taken(self) -> list[Event]:
        batch: list[Event] = []
        size = 0
        while self._queue and len(batch) < self._options.batch_events:
            size += len(self._queue[0].body) + 1
            if batch and size > MAX_BODY_BYTES:
                break
            batch.append(self._queue.popleft())
        self._in_flight = len(batch)
        self._oldest = time.monotonic()
        return batch

    # --- the sending thread -----------------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            try:
                left = self._deliver(batch)
            except Exception as error:  # noqa: BLE001 (whatever it is, sending goes on)
                LOGGER.error("sending failed: %s", type(error).__name__)
                left = batch
                self._rest(self._options.backoff_cap)
            with self._changed:
                self._queue.extendleft(reversed(left))
                self._in_flight = 0
                self._changed.notify_all()
        self._transport.close()

    def _deliver(self, batch: list[Event]) -> list[Event]:
        """Try until all is settled; what is left when the client is closed."""
        attempt = 0
        while batch:
            before = len(batch)
            batch, wait = self._try(batch, attempt)
            attempt = attempt + 1 if len(batch) == before else 1
            if batch and not self._rest(
                pause(attempt - 1, wait, self._options.backoff_base, self._options.backoff_cap,
                      random.random)
            ):  # fmt: skip
                break
        return batch

    def _try(self, batch: list[Event], attempt: int) -> tuple[list[Event], float | None]:
        """Send a batch once; the events to send again, and the seconds to wait at least."""
        sent_at = datetime.now(UTC).isoformat().encode()
        body = b'{"sent_at":"%s","batch":[%s]}' % (sent_at, b",".join(e.body for e in batch))
        try:
            answer = self._transport.post(EVENTS_PATH, body, attempt + 1)
        except NoAnswer as error:
            self._failed(str(error))
            return batch, None
        if answer.ok:
            results = answer.results(len(batch))
            if results is not None:
                return self._read(batch, results), answer.retry_after
            # Not the collector: a proxy or a captive portal says yes to everything.
            self._failed("an answer that is not the collector's")
            return batch, None
        return self._refused(batch, attempt, answer)

    def _refused(
        self, batch: list[Event], attempt: int, answer: Answer
    ) -> tuple[list[Event], float | None]:
        code = answer.error().code
        if answer.status in _AT_FAULT:
            return self._halve(batch, attempt, answer, code)
        if answer.retryable:
            self._failed(code)
            return batch, answer.retry_after
        if self._spool is not None:
            # A wrong key or address is mended by people; what is on disk can wait for them.
            self._failed(code)
            return batch, max(answer.retry_after or 0.0, self._options.backoff_cap)
        self._settle(batch, "refused", code)
        return [], None

    def _halve(
        self, batch: list[Event], attempt: int, answer: Answer, code: str
    ) -> tuple[list[Event], float | None]:
        if len(batch) == 1:
            told = answer.json()
            errors = told.get("errors", ()) if isinstance(told, dict) else ()
            self._settle(batch, "refused", code, errors)
            return [], None
        middle = len(batch) // 2
        first, one_wait = self._try(batch[:middle], attempt)
        second, other_wait = self._try(batch[middle:], attempt)
        return first + second, max(one_wait or 0.0, other_wait or 0.0) or None

    def _read(self, batch: list[Event], results: list[dict[str, Any]]) -> list[Event]:
        again: list[Event] = []
        settled: dict[str, list[Event]] = {}
        for event, result in zip(batch, results, strict=True):
            status = result.get("status")
            if status in _SETTLED:
                settled.setdefault(str(status), []).append(event)
            else:
                again.append(event)
            if status == "quarantined":
                errors = result.get("errors") or [{}]
                self._report(event, "quarantined", str(errors[0].get("code", "invalid")), errors)
        for status, events in settled.items():
            self._count(events, status)
        if self._failing and len(again) < len(batch):
            self._failing = False
            LOGGER.warning("events are being sent again")
        return again

    def _settle(
        self, events: list[Event], status: str, code: str, errors: Sequence[Mapping[str, str]] = ()
    ) -> None:
        for event in events:
            self._report(event, status, code, errors)
        self._count(events, status)

    def _count(self, events: list[Event], status: str) -> None:
        if self._spool is not None:
            try:
                self._spool.settle(events)
            except OSError as error:
                LOGGER.error("the spool cannot be written to: %s", error.strerror)
        with self._changed:
            setattr(self._stats, status, getattr(self._stats, status) + len(events))
            self._changed.notify_all()

    def _failed(self, why: str) -> None:
        with self._changed:
            self._stats.failed_tries += 1
        if not self._failing:
            self._failing = True
            LOGGER.warning("events cannot be sent (%s); trying again", why)

    def _rest(self, duration: float) -> bool:
        """Wait; False when the client is to end before."""
        until = time.monotonic() + duration
        with self._changed:
            while (left := until - time.monotonic()) > 0:
                if self._give_up_at is not None and self._give_up_at < until:
                    return False
                self._changed.wait(left)
        return True


def _watch(delivery: Delivery) -> None:
    _live.add(delivery)
    if not _watching:
        _watching.append(True)
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_in_child)


def _at_exit() -> None:
    for delivery in list(_live):
        delivery.close(delivery._options.exit_timeout)  # noqa: SLF001


def _in_child() -> None:
    for delivery in list(_live):
        delivery.in_child()
