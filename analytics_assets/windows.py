"""Half-open windows of UTC days: the unit in which every asset is materialized.

Belongs here: arithmetic of days, ISO weeks and months. Does not: Dagster's partitions (see
partitions.py) or SQL. Invariant: a window is ``[start, end)`` and never empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

DAY = timedelta(days=1)


@dataclass(frozen=True, order=True)
class Window:
    """The UTC days from ``start`` up to but not including ``end``."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"empty window: [{self.start}, {self.end})")

    @classmethod
    def of_day(cls, day: date) -> Window:
        return cls(day, day + DAY)

    @property
    def start_ts(self) -> datetime:
        return datetime.combine(self.start, time.min, tzinfo=UTC)

    @property
    def end_ts(self) -> datetime:
        return datetime.combine(self.end, time.min, tzinfo=UTC)

    @property
    def last_day(self) -> date:
        return self.end - DAY

    def __len__(self) -> int:
        return (self.end - self.start).days

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end

    def days(self) -> Iterator[date]:
        for offset in range(len(self)):
            yield self.start + timedelta(days=offset)

    def iso_weeks(self) -> Window:
        """The smallest window of whole ISO weeks (Monday to Monday) that holds this one."""
        return Window(monday_of(self.start), monday_of(self.last_day) + timedelta(days=7))

    def months(self) -> Window:
        """The smallest window of whole calendar months that holds this one."""
        return Window(self.start.replace(day=1), next_month(self.last_day))

    def intersect(self, other: Window) -> Window | None:
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Window(start, end) if start < end else None


def monday_of(day: date) -> date:
    """The Monday of the day's ISO week."""
    return day - timedelta(days=day.weekday())


def next_month(day: date) -> date:
    """The first day of the month after ``day``'s."""
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def coalesce(days: Iterable[date], *, max_gap: int) -> list[Window]:
    """Merge days into windows, bridging holes of at most ``max_gap`` days.

    Rebuilding a clean day is harmless (windows are idempotent) while every extra run costs
    seconds, so near islands of dirty days become one range.
    """
    windows: list[Window] = []
    for day in sorted(set(days)):
        if windows and (day - windows[-1].end).days <= max_gap:
            windows[-1] = Window(windows[-1].start, day + DAY)
        else:
            windows.append(Window.of_day(day))
    return windows
