"""What the event files hold, counted while they are made.

Belongs here: totals of valid distinct events by day, week and month. Does not: the events
themselves (memory follows users and days, never events). Invariant: a row counts in the period of
its own timestamp, however late it stands in the file, and once, however often it stands there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np

from analytics_assets.sources.sample import vocabulary as words
from analytics_assets.sources.sample.behaviour import Slab
from analytics_assets.sources.sample.company import DAY_MS, Company
from analytics_assets.sources.sample.draws import Bools, Ints
from analytics_assets.sources.sample.eventtypes import EVENT_TYPES, INDEX

_TYPES = len(EVENT_TYPES)
_NAMES = [kind.name for kind in EVENT_TYPES]


@dataclass
class _Period:
    """Who did what in a period: ``seen[user, type]``, and event counts per type."""

    seen: Bools
    events: Ints

    @classmethod
    def empty(cls, users: int) -> _Period:
        return cls(np.zeros((users, _TYPES), dtype=np.bool_), np.zeros(_TYPES, dtype=np.int64))

    def add(self, other: _Period) -> None:
        self.seen |= other.seen
        self.events += other.events

    def as_json(self, company: Company) -> dict[str, Any]:
        """Events and distinct people, in all and by type; people also without staff and bots."""
        people = self.seen.any(axis=1)
        outside = self.seen[~company.internal]
        by_type = zip(
            _NAMES,
            self.events.tolist(),
            self.seen.sum(axis=0).tolist(),
            outside.sum(axis=0).tolist(),
            strict=True,
        )
        return {
            "events": int(self.events.sum()),
            "users": int(people.sum()),
            "external_users": int((people & ~company.internal).sum()),
            "types": {
                name: {"events": events, "users": users, "external_users": external}
                for name, events, users, external in by_type
                if events
            },
        }


@dataclass
class EventTruth:
    """Counts of valid distinct events; fed slab by slab, one day after the other."""

    company: Company
    start_day: date
    active_days: Ints = field(init=False)
    last_day: Ints = field(init=False)
    _day: _Period = field(init=False)
    _week: _Period = field(init=False)
    _month: _Period = field(init=False)
    _hours: Ints = field(init=False)
    _visitors: int = 0
    _roles: Ints = field(init=False)
    _days: dict[str, dict[str, Any]] = field(default_factory=dict)
    _weeks: dict[str, dict[str, Any]] = field(default_factory=dict)
    _months: dict[str, dict[str, Any]] = field(default_factory=dict)
    _total: Ints = field(init=False)

    def __post_init__(self) -> None:
        """Start with empty periods."""
        users = len(self.company.user_ids)
        self.active_days = np.zeros(users, dtype=np.int64)
        self.last_day = np.full(users, -1, dtype=np.int64)
        self._day, self._week, self._month = (_Period.empty(users) for _ in range(3))
        self._hours = np.zeros(24, dtype=np.int64)
        self._roles = np.zeros(len(words.ROLES), dtype=np.int64)
        self._total = np.zeros(_TYPES, dtype=np.int64)

    def add(self, slab: Slab) -> None:
        """Count the events of a slab."""
        known = slab.user >= 0
        user, kind = slab.user[known], slab.type[known]
        self._day.seen[user, kind] = True
        self._day.events += np.bincount(slab.type, minlength=_TYPES)
        self._hours += np.bincount(slab.at_ms // 3_600_000, minlength=24)
        self._visitors += int((~known).sum())
        role = self.company.role_at(user, slab.at_ms[known] + slab.day * DAY_MS)
        self._roles += np.bincount(role, minlength=len(words.ROLES))

    def end_day(self, number: int, *, last: bool) -> None:
        """Close the day, and its week and month where they end with it (or the sample does)."""
        day = self.start_day + timedelta(days=number)
        following = day + timedelta(days=1)
        present = self._day.seen.any(axis=1)
        self.active_days += present
        self.last_day[present] = number
        self._days[day.isoformat()] = self._day.as_json(self.company) | {
            "without_user": self._visitors,
            "by_hour": self._hours.tolist(),
        }
        self._week.add(self._day)
        self._month.add(self._day)
        self._total += self._day.events
        users = len(self.company.user_ids)
        if last or following.weekday() == 0:
            year, week, _ = day.isocalendar()
            self._weeks[f"{year}-W{week:02d}"] = self._week.as_json(self.company) | {
                "analyzed_users_by_language": self._analyzed(
                    self._week, self.company.language, words.LANGUAGES
                )
            }
            self._week = _Period.empty(users)
        if last or following.month != day.month:
            self._months[f"{day:%Y-%m}"] = self._month.as_json(self.company) | {
                "analyzed_users_by_archetype": self._analyzed(
                    self._month, self.company.archetype, words.ARCHETYPES
                )
            }
            self._month = _Period.empty(users)
        self._day = _Period.empty(users)
        self._hours[:] = 0
        self._visitors = 0

    def _analyzed(self, period: _Period, label: Ints, names: tuple[str, ...]) -> dict[str, int]:
        """People with a profile analysis in the period, by a label that is fixed per person."""
        analyzed = period.seen[:, INDEX["profile_analyzed"]]
        counts = np.bincount(label[analyzed], minlength=len(names)).tolist()
        return dict(zip(names, counts, strict=True))

    def as_json(self) -> dict[str, Any]:
        """Everything counted so far."""
        return {
            "by_type": dict(zip(_NAMES, self._total.tolist(), strict=True)),
            "by_role_at_event_time": dict(zip(words.ROLES, self._roles.tolist(), strict=True)),
            "by_day": self._days,
            "by_iso_week": self._weeks,
            "by_month": self._months,
        }
