"""What the company does on a day: who is there, their sessions, and the events in them.

Belongs here: numbers only (who, when, which type). Does not: the text of a row (``payloads``,
``writer``). Invariant: a slab depends on seed, day and its number alone and holds at most one
session more than ``SLAB_ROWS`` events, so memory does not grow with the size of the sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np

from analytics_assets.sources.sample.company import DAY_MS, Company
from analytics_assets.sources.sample.draws import (
    CALENDAR,
    EVENTS,
    PRESENCE,
    SESSIONS,
    Bools,
    Floats,
    Ints,
    apportion,
    pick,
    stream,
)
from analytics_assets.sources.sample.eventtypes import (
    EVENT_TYPES,
    INDEX,
    VISITOR,
    cumulative_by_archetype,
)

SLAB_ROWS: Final = 40_000
EVENTS_PER_SESSION: Final = 8
VISITOR_SHARE: Final = 0.04
ANALYZED_SHARE: Final = 0.25
LONGEST_SESSION_MS: Final = 5 * 3_600_000
_HOUR_MS: Final = 3_600_000
_SATURDAY: Final = 5
# Sessions of fewer events than this have no sign-in or sign-out of their own.
_WHOLE_SESSION: Final = 4
# Of whole sessions: shares that begin with login or session.started, end with logout or .ended.
_LOGIN, _OPENING = 0.45, 0.85
_LOGOUT, _CLOSING = 0.25, 0.60

# Share of the sessions by local hour, and of the activity by weekday (Monday first).
_HOURS: Final = (
    0.3, 0.2, 0.15, 0.1, 0.1, 0.2, 0.6, 1.5, 4.0, 7.0, 9.0, 8.5,
    5.5, 6.5, 8.5, 8.5, 7.5, 6.0, 4.0, 3.0, 2.8, 2.5, 1.8, 0.8,
)  # fmt: skip
_WEEKDAYS: Final = (1.0, 1.06, 1.08, 1.04, 0.92, 0.34, 0.30)
_PRESENCE: Final = (1.0, 1.0, 1.0, 1.0, 0.94, 0.33, 0.29)


@dataclass(frozen=True)
class Day:
    """One day's sessions in order of their start; ``user`` is -1 for visitors."""

    number: int
    active: Ints
    user: Ints
    start_ms: Ints
    length: Ints
    analyzed_at: Ints  # position of the profile analysis in the session, or -1
    registers: Bools


@dataclass(frozen=True)
class Slab:
    """Consecutive sessions of one day and their events in order of time.

    ``session`` points into ``session_user``; times are milliseconds since the day's midnight UTC.
    """

    day: int
    number: int
    session_user: Ints
    session: Ints
    user: Ints
    type: Ints
    at_ms: Ints

    @property
    def rows(self) -> int:
        """Events in the slab."""
        return len(self.type)


class Behaviour:
    """The days of a company, drawn one by one."""

    def __init__(
        self, company: Company, start_day: date, days: int, events: int, seed: int
    ) -> None:
        self._company = company
        self._start_day = start_day
        self._days = days
        self._seed = seed
        self.day_counts = self._calendar(events)

    def date_of(self, day: int) -> date:
        """The UTC date of a day number."""
        return self._start_day + timedelta(days=day)

    def _calendar(self, events: int) -> Ints:
        """Events per day: weekday rhythm, slow growth, some noise; they sum to ``events``."""
        rng = stream(self._seed, CALENDAR)
        weekday = np.array([_WEEKDAYS[self.date_of(day).weekday()] for day in range(self._days)])
        growth = 1 + 0.15 * np.arange(self._days) / max(self._days, 30)
        noise = np.exp(rng.normal(0, 0.04, self._days))
        return 1 + apportion(events - self._days, weekday * growth * noise)

    def active_users(self, day: int, limit: int) -> Ints:
        """Users with a session on the day, at most ``limit``; sign-ups and returns come first."""
        company = self._company
        rng = stream(self._seed, PRESENCE, day)
        factor = _PRESENCE[self.date_of(day).weekday()]
        chance = company.presence * np.where(company.bot, 1.0, factor)
        alive = company.alive(day)
        arriving = (company.signup_ms // DAY_MS == day) | (company.gap_end == day)
        present = alive & ((rng.random(len(alive)) < chance) | arriving)
        if not present.any() and alive.any():
            present[np.flatnonzero(alive)[0]] = True
        found = rng.permutation(np.flatnonzero(present))
        return found[np.argsort(~arriving[found], kind="stable")][:limit]

    def day(self, number: int) -> Day:
        """The sessions of a day; their lengths sum to the day's events."""
        company = self._company
        total = int(self.day_counts[number])
        active = self.active_users(number, total)
        rng = stream(self._seed, SESSIONS, number)
        wanted = max(total // EVENTS_PER_SESSION - len(active), 0)
        visitors = min(round(VISITOR_SHARE * (wanted + len(active))), total - len(active))
        if not len(active):
            visitors = max(visitors, 1)
        again = max(wanted - visitors, 0) if len(active) else 0
        repeats = (
            active[pick(rng, np.cumsum(company.weight[active]), again)] if again else active[:0]
        )
        user = np.concatenate([active, repeats, np.full(visitors, -1)]).astype(np.int64)
        appetite = rng.exponential(1.0, len(user)) + 0.15
        length = 1 + apportion(total - len(user), appetite)
        start = self._starts(rng, user, number)
        registers = np.zeros(len(user), dtype=np.bool_)
        registers[: len(active)] = company.signup_ms[active] // DAY_MS == number
        first = np.where(user >= 0, company.signup_ms[user] - number * DAY_MS, 0)
        start = np.where(registers, first, np.maximum(start, first))
        analyzed = np.full(len(user), -1)
        chosen = (rng.random(len(active)) < ANALYZED_SHARE) & ~company.bot[active]
        place = (rng.random(len(active)) * length[: len(active)]).astype(np.int64)
        place = np.where(registers[: len(active)], length[: len(active)] - 1, place)
        analyzed[: len(active)] = np.where(chosen, place, -1)
        order = np.argsort(start, kind="stable")
        return Day(
            number=number,
            active=np.sort(active),
            user=user[order],
            start_ms=start[order],
            length=length[order],
            analyzed_at=analyzed[order],
            registers=registers[order],
        )

    def _starts(self, rng: np.random.Generator, user: Ints, day: int) -> Ints:
        """Session starts: office hours where the user lives, round the clock for bots."""
        company = self._company
        weekend = self.date_of(day).weekday() >= _SATURDAY
        hours = np.array(_HOURS)
        hours = np.convolve(np.tile(hours, 3), np.ones(7) / 7, "same")[24:48] if weekend else hours
        local = pick(rng, np.cumsum(hours), len(user))
        machine = (user >= 0) & company.bot[user]
        local = np.where(machine, rng.integers(0, 24, len(user)), local)
        offset = np.where(user >= 0, _UTC_OFFSETS[company.city[user]], 0)
        within = rng.integers(0, _HOUR_MS, len(user))
        return np.asarray((local - offset) % 24 * _HOUR_MS + within, dtype=np.int64)

    def slabs(self, day: Day) -> Iterator[Slab]:
        """The day's events in slabs of whole sessions."""
        ends = np.cumsum(day.length)
        low = 0
        number = 0
        while low < len(ends):
            before = int(ends[low - 1]) if low else 0
            high = int(np.searchsorted(ends, before + SLAB_ROWS, side="left")) + 1
            high = min(high, len(ends))
            yield self._slab(day, number, slice(low, high))
            low, number = high, number + 1

    def _slab(self, day: Day, number: int, part: slice) -> Slab:
        rng = stream(self._seed, EVENTS, day.number, number)
        session_user, length = day.user[part], day.length[part]
        session = np.repeat(np.arange(len(length)), length)
        first = np.cumsum(length) - length
        position = np.arange(len(session)) - first[session]
        user = session_user[session]
        kinds, special = self._types(rng, day, part, session, position)
        if number == 0:
            self._cover_every_type(day.number, kinds, special | (user < 0))
        at_ms = _times(rng, day.start_ms[part], length, session, first)
        order = np.argsort(at_ms, kind="stable")
        return Slab(
            day=day.number,
            number=number,
            session_user=session_user,
            session=session[order],
            user=user[order],
            type=kinds[order],
            at_ms=at_ms[order],
        )

    def _types(
        self, rng: np.random.Generator, day: Day, part: slice, session: Ints, position: Ints
    ) -> tuple[Ints, Bools]:
        """Event types by archetype; sign-in and sign-out at the ends of longer sessions."""
        session_user, length = day.user[part], day.length[part]
        row = np.where(session_user >= 0, self._company.archetype[session_user], VISITOR)
        draw = row[session] + rng.random(len(session))
        kinds = np.searchsorted(cumulative_by_archetype(), draw, side="right") % len(EVENT_TYPES)
        proper = ((session_user >= 0) & (length >= _WHOLE_SESSION))[session]
        coin = rng.random(len(session))
        opening = proper & (position == 0) & (coin < _OPENING)
        closing = proper & (position == length[session] - 1) & (coin < _CLOSING)
        kinds[opening] = np.where(
            coin[opening] < _LOGIN, INDEX["user.login"], INDEX["session.started"]
        )
        kinds[closing] = np.where(
            coin[closing] < _LOGOUT, INDEX["user.logout"], INDEX["session.ended"]
        )
        analyzed = position == day.analyzed_at[part][session]
        kinds[analyzed] = INDEX["profile_analyzed"]
        registering = day.registers[part][session] & (position == 0)
        kinds[registering] = INDEX["user.registered"]
        return kinds.astype(np.int64), opening | closing | analyzed | registering

    def _cover_every_type(self, day: int, kinds: Ints, taken: Bools) -> None:
        """Give each type one row on one of the days, so that small samples miss none."""
        joins = bool((self._company.signup_ms >= 0).any())
        forced = [
            number
            for number, kind in enumerate(EVENT_TYPES)
            if number % self._days == day and not (joins and kind.name == "user.registered")
        ]
        free = np.flatnonzero(~taken)
        count = min(len(forced), len(free))
        if count:
            kinds[free[np.linspace(0, len(free) - 1, count).astype(np.int64)]] = forced[:count]


def _times(
    rng: np.random.Generator, start_ms: Ints, length: Ints, session: Ints, first: Ints
) -> Ints:
    """Event times: pauses within a session, all of it before midnight."""
    pause: Floats = np.cumsum(rng.exponential(40_000.0, len(session)) + 200.0)
    since = pause - pause[first][session]
    duration = since[first + length - 1]
    since *= np.minimum(1.0, LONGEST_SESSION_MS / np.maximum(duration, 1.0))[session]
    duration = np.minimum(duration, LONGEST_SESSION_MS)
    start = np.minimum(start_ms, DAY_MS - 1 - np.ceil(duration).astype(np.int64))
    return np.asarray(start[session] + since.astype(np.int64), dtype=np.int64)


def _utc_offsets() -> Ints:
    from analytics_assets.sources.sample.vocabulary import CITIES

    return np.array([city.utc_offset for city in CITIES], dtype=np.int64)


_UTC_OFFSETS: Final = _utc_offsets()
