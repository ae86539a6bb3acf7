"""Events on disk until the server has them: a folder of append-only segments.

Belongs here: writing, settling, finding what a dead process left. Does not: sending. Invariant: an
event whose ``append`` returned is in a file that survives this process, until it is settled; a
segment belongs to the one living process that holds its lock.

A segment is two files: ``<name>.events``, one event a line, and ``<name>.done``, the ids that were
settled. Both go when all of it is settled. Whoever gets the lock of a segment that is not its own
sends what is left in it: its process is gone.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from analytics_assets.client.contract import LOGGER, Event

EVENTS_A_SEGMENT: Final = 2_000
BYTES_A_SEGMENT: Final = 8 * 1024 * 1024
_EVENTS, _DONE, _NEW = ".events", ".done", ".new"


@dataclass(eq=False, slots=True)
class Segment:
    """One file of events; ``lock`` is the open file that holds it."""

    path: Path
    lock: int
    done: int
    events: int = 0
    size: int = 0
    settled: int = 0
    open: bool = True
    left_on_disk: bool = False


class Spool:
    """A process's share of a folder that several processes may use."""

    def __init__(self, folder: Path, *, fsync: bool, max_bytes: int) -> None:
        """Raises OSError where the folder cannot be written to."""
        self._folder = folder
        self._fsync = fsync
        self._max_bytes = max_bytes
        self._mutex = threading.Lock()
        self._current: Segment | None = None
        self._own: dict[Path, Segment] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._current = self._begin()

    def append(self, event: Event, *, in_memory: bool) -> bool:
        """Save an event; ``in_memory`` tells whether it is queued as well. False: no room.

        Returns when the operating system has it (it outlives this process), and with ``fsync``
        when the disk has it (it outlives the machine's power). Raises OSError.
        """
        line = event.body + b"\n"
        with self._mutex:
            segment = self._current or self._begin()
            self._current = segment
            if sum(each.size for each in self._own.values()) + len(line) > self._max_bytes:
                return False
            try:
                _write_all(segment.lock, line)
                if self._fsync:
                    os.fsync(segment.lock)
            except OSError:
                # Half a line must not become the beginning of the next one.
                os.ftruncate(segment.lock, segment.size)
                raise
            segment.events += 1
            segment.size += len(line)
            segment.left_on_disk |= not in_memory
            event.segment = segment
            if segment.events >= EVENTS_A_SEGMENT or segment.size >= BYTES_A_SEGMENT:
                self._end(segment)
        return True

    def settle(self, events: Iterable[Event]) -> None:
        """Forget events that the server has, or will never have."""
        by_segment: dict[Segment, list[str]] = {}
        for event in events:
            if event.segment is not None:
                by_segment.setdefault(event.segment, []).append(event.event_id)
        with self._mutex:
            for segment, ids in by_segment.items():
                if self._own.get(segment.path) is not segment:
                    continue
                segment.settled += len(ids)
                if not segment.open and segment.settled >= segment.events:
                    self._remove(segment)
                else:
                    os.write(segment.done, "".join(f"{each}\n" for each in ids).encode())

    def left_behind(self, room: int, *, idle: bool) -> list[Event]:
        """Up to about ``room`` events that nobody sends: of dead processes, and, when this one is
        ``idle``, of its own where they did not fit into memory.
        """
        found: list[Event] = []
        with self._mutex:
            if idle:
                for segment in [each for each in self._own.values() if each.left_on_disk]:
                    if len(found) >= room:
                        return found
                    if segment.open:
                        self._end(segment)
                    segment.left_on_disk = False
                    found += self._waiting(segment)
            for path in sorted(self._folder.glob(f"*{_EVENTS}")):
                if len(found) >= room:
                    break
                if path not in self._own:
                    found += self._adopted(path)
        return found

    def close(self) -> None:
        """Let go of everything; what is not settled waits for the next process."""
        with self._mutex:
            for segment in list(self._own.values()):
                segment.open = False
                if segment.settled >= segment.events:
                    self._remove(segment)
                else:
                    self._let_go(segment)
            self._current = None

    def forget(self) -> None:
        """In a forked child: the segments are the parent's."""
        self._mutex = threading.Lock()
        for segment in list(self._own.values()):
            self._let_go(segment)
        self._current = None

    def _begin(self) -> Segment:
        name = f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}"
        path = self._folder / (name + _EVENTS)
        # It gets its name when it is locked: nobody may find it in between.
        new = path.with_suffix(_NEW)
        lock = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        new.rename(path)
        if self._fsync:
            _sync_folder(self._folder)
        segment = Segment(path, lock, _opened(path.with_suffix(_DONE)))
        self._own[path] = segment
        return segment

    def _end(self, segment: Segment) -> None:
        segment.open = False
        if segment is self._current:
            self._current = None
        if segment.settled >= segment.events:
            self._remove(segment)

    def _adopted(self, path: Path) -> list[Event]:
        try:
            lock = os.open(path, os.O_RDWR)
        except OSError:
            return []
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return []
        if os.fstat(lock).st_nlink == 0:
            os.close(lock)
            return []
        segment = Segment(path, lock, _opened(path.with_suffix(_DONE)), open=False)
        self._own[path] = segment
        return self._waiting(segment)

    def _waiting(self, segment: Segment) -> list[Event]:
        """What of a segment is not settled; removes one that holds no more."""
        done = set(segment.path.with_suffix(_DONE).read_text("utf-8", "replace").split("\n"))
        waiting: dict[str, Event] = {}
        torn = 0
        content = segment.path.read_bytes()
        for line in content.splitlines():
            try:
                record = json.loads(line)
                event = Event(str(record["event_id"]), str(record["event_type"]), line, segment)
            except (ValueError, KeyError, TypeError):
                # Only what no caller was told is saved: the last line, cut off by a crash.
                torn += 1
                continue
            waiting[event.event_id] = event
        if torn:
            LOGGER.warning("%d lines of a spool file are not events", torn)
        segment.size = len(content)
        left = [event for key, event in waiting.items() if key not in done]
        segment.events = len(waiting)
        segment.settled = len(waiting) - len(left)
        if not left:
            self._remove(segment)
        return left

    def _remove(self, segment: Segment) -> None:
        # In this order: what is left after a crash in between is sent again at worst.
        segment.path.unlink(missing_ok=True)
        segment.path.with_suffix(_DONE).unlink(missing_ok=True)
        self._let_go(segment)

    def _let_go(self, segment: Segment) -> None:
        self._own.pop(segment.path, None)
        os.close(segment.lock)
        os.close(segment.done)


def _write_all(descriptor: int, content: bytes) -> None:
    if os.write(descriptor, content) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _opened(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
