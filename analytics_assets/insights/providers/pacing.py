"""How fast a model is asked: a shared rate, pauses the server asks for, and a breaker.

Belongs here: time and counting. Does not: HTTP or what an error means. Invariant: a pause holds for
every waiting caller, because a rate limit is the account's, not the call's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic


@dataclass
class Pacer:
    """A token bucket for one event loop: ``per_minute`` on average, ``burst`` at once."""

    per_minute: int
    burst: int = 1
    clock: Callable[[], float] = monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _arrival: float = field(default=float("-inf"), init=False)
    _paused_until: float = field(default=float("-inf"), init=False)

    async def acquire(self) -> None:
        """Wait for a slot. Slots are booked in the order of the calls."""
        interval = 60.0 / self.per_minute
        arrival = max(self._arrival, self.clock())
        self._arrival = arrival + interval
        slot = arrival - interval * (self.burst - 1)
        while (delay := max(slot, self._paused_until) - self.clock()) > 0:
            await self.sleep(delay)

    @property
    def is_paused(self) -> bool:
        return self.clock() < self._paused_until

    def pause(self, seconds: float) -> None:
        """Hold everybody for ``seconds`` from now, unless they are held longer already."""
        self._paused_until = max(self._paused_until, self.clock() + seconds)


@dataclass
class Breaker:
    """Opens after ``limit`` transient failures in a row, and stays open for its run."""

    limit: int = 5
    failures: int = 0
    tripped: bool = False

    @property
    def is_open(self) -> bool:
        return self.tripped or self.failures >= self.limit

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self) -> None:
        self.failures += 1

    def trip(self) -> None:
        self.tripped = True
