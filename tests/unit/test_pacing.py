"""The pacer's slots and pauses on a clock of the test's own; the breaker's counting."""

from __future__ import annotations

import asyncio

from analytics_assets.insights.providers.pacing import Breaker, Pacer


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def pacer(clock: Clock, per_minute: int, burst: int = 1) -> Pacer:
    return Pacer(per_minute, burst, clock=clock, sleep=clock.sleep)


def starts(paced: Pacer, clock: Clock, count: int) -> list[float]:
    async def run() -> list[float]:
        times = []
        for _ in range(count):
            await paced.acquire()
            times.append(round(clock.now - 100.0, 6))
        return times

    return asyncio.run(run())


def test_calls_are_spread_evenly_over_the_minute() -> None:
    clock = Clock()
    assert starts(pacer(clock, 60), clock, 4) == [0, 1, 2, 3]


def test_a_burst_goes_at_once_and_is_then_paid_for() -> None:
    clock = Clock()
    assert starts(pacer(clock, 60, burst=3), clock, 6) == [0, 0, 0, 1, 2, 3]


def test_unused_slots_are_not_saved_up_beyond_the_burst() -> None:
    clock = Clock()
    paced = pacer(clock, 60, burst=2)
    starts(paced, clock, 2)
    clock.now += 3600
    assert [t - 3600 for t in starts(paced, clock, 4)] == [0, 0, 1, 2]


def test_no_minute_holds_more_than_the_rate_and_the_burst() -> None:
    clock = Clock()
    times = starts(pacer(clock, 30, burst=5), clock, 200)
    for start in times:
        assert sum(start <= t < start + 60 for t in times) <= 30 + 5


def test_a_pause_holds_and_a_shorter_one_does_not_shorten_it() -> None:
    clock = Clock()
    paced = pacer(clock, 6000)
    paced.pause(30)
    assert paced.is_paused
    paced.pause(5)
    assert starts(paced, clock, 1) == [30]
    assert not paced.is_paused


def test_the_breaker_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(limit=3)
    for _ in range(2):
        breaker.failed()
    breaker.succeeded()
    for _ in range(2):
        breaker.failed()
    assert not breaker.is_open
    breaker.failed()
    assert breaker.is_open


def test_a_tripped_breaker_stays_open() -> None:
    breaker = Breaker()
    breaker.trip()
    breaker.succeeded()
    assert breaker.is_open
