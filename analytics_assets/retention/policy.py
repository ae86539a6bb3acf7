"""How long rows about people are kept: the rules as pure functions of the clock and the ledger.

Belongs here: cut-offs, the rule for profile events, which table follows which class. Does not:
connections or SQL (see prune.py). Invariant: equal arguments give an equal answer, and a later
clock never keeps what an earlier one would have pruned.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple

from analytics_assets.events.catalogue import Catalogue
from analytics_assets.privacy.plan import shipped_plan
from analytics_assets.windows import DAY, Window, monday_of, next_month

# Days that rows of raw tables other than events are kept. Their names are also their retention
# classes in ops.retention_floor, beside the event categories.
RAW_TABLE_RETENTION: Final[Mapping[str, int]] = MappingProxyType(
    {
        # Long enough to mend a source and replay; a rejected payload may hold anything.
        "rejected_events": 90,
        # What people wrote, and what was done for them; the summaries built from it live on.
        "conversations": 365,
        "messages": 365,
        "service_jobs": 365,
    }
)

PROFILE_CATEGORY: Final = "analytics"
# A person's scores together can single the person out, so no file may keep them for longer.
PROFILE_MAX_DAYS: Final = 45
MONTH_HOLD_BACK: Final = timedelta(days=7)


class RetentionPolicyError(Exception):
    """The rules cannot be applied to this catalogue; the message says what to change."""


class RetentionGuardError(Exception):
    """A window lies past the cut-off of every class: its rows are gone and stay gone."""


class Release(NamedTuple):
    """One closed period of one released table; ``period`` is its first day."""

    table: str
    kind: str
    period: date


def profile_releases() -> tuple[tuple[str, str], ...]:
    """Everything released from profile events, as table and kind of period.

    Pruning them before the last of these has closed would leave a period short: a week may end in
    the month after the one that has closed.
    """
    return shipped_plan().readers_of(PROFILE_CATEGORY)


@dataclass(frozen=True)
class Expiry:
    """Which days of one retention class are past their time.

    ``cutoff`` is the first day the class's age limit keeps; ``released_days`` lie after it and may
    go earlier, because everything they were kept for has been released.
    """

    name: str
    cutoff: date
    released_days: frozenset[date] = frozenset()

    def covers(self, day: date) -> bool:
        """Whether rows of that day must go."""
        return day < self.cutoff or day in self.released_days

    def covers_all(self, window: Window) -> bool:
        """Whether rows of every day of the window must go."""
        return window.end <= self.cutoff or all(self.covers(day) for day in window.days())

    @property
    def kept_from(self) -> date:
        """First day after the last that must go: from here on, raw is whole."""
        return max(self.cutoff, max(self.released_days, default=date.min) + DAY)


def cutoff(retention_days: int, now: datetime) -> date:
    """First UTC day kept: days more than ``retention_days`` before the clock's are past it."""
    try:
        return _today(now) - timedelta(days=retention_days)
    except OverflowError:
        return date.min


def expired_before(
    catalogue: Catalogue, now: datetime, floors: Mapping[str, date] | None = None
) -> dict[str, date]:
    """Per event category, the first day whose events may still be loaded.

    ``floors`` (``ops.retention_floor``) raises it to where raw was pruned already: events of
    profiles released before their age limit, and a clock that was set back.
    """
    floors = floors or {}
    return {
        name: max(_category_cutoff(catalogue, name, now), floors.get(name, date.min))
        for name in catalogue.categories
    }


def raw_table_expired_before(
    now: datetime, floors: Mapping[str, date] | None = None
) -> dict[str, date]:
    """The same for the raw tables of RAW_TABLE_RETENTION, by their names without schema."""
    floors = floors or {}
    return {
        name: max(cutoff(days, now), floors.get(name, date.min))
        for name, days in RAW_TABLE_RETENTION.items()
    }


def refuse_expired(window: Window, catalogue: Catalogue, now: datetime) -> None:
    """Raise RetentionGuardError where no class keeps any day of the window any more.

    Without it a backfill of a pruned day would bring its rows back from a file.
    """
    first_kept = min(expired_before(catalogue, now).values(), default=date.min)
    if window.end <= first_kept:
        raise RetentionGuardError(
            f"{window.start} to {window.last_day} lies past the retention of every event "
            f"category: the first day still kept is {first_kept}. Choose later days, or lengthen "
            "`retention` in a catalogue file of your own"
        )


def released_profile_days(
    released: Collection[Release], now: datetime, start_day: date
) -> frozenset[date]:
    """Days whose profile events have served all their releases, within their age limit.

    A day's month must have closed and every period of profile_releases() that holds the day must
    stand in the ledger. Periods that begin before ``start_day`` are never released: such a day or
    week is not waited for, while such a month leaves its days to the age limit alone.
    """
    ledger = frozenset(released)
    releases = profile_releases()
    today = _today(now)
    first = max(cutoff(PROFILE_MAX_DAYS, now), start_day)
    if first >= today:
        return frozenset()
    return frozenset(
        day
        for day in Window(first, today).days()
        if _month_has_closed(day, today, start_day)
        and all(
            period < start_day or Release(table, kind, period) in ledger
            for table, kind, period in (
                (table, kind, _period(kind, day)) for table, kind in releases
            )
        )
    )


def expiries(
    catalogue: Catalogue, now: datetime, start_day: date, released: Collection[Release]
) -> dict[str, Expiry]:
    """The expiry of every retention class: event categories and RAW_TABLE_RETENTION, by name.

    Raises RetentionPolicyError where a category has the name of a raw table.
    """
    clash = sorted(set(catalogue.categories) & set(RAW_TABLE_RETENTION))
    if clash:
        raise RetentionPolicyError(
            f"event category {clash[0]!r} has the name of a raw table, whose retention is kept "
            "under that name; rename the category in its catalogue file"
        )
    profile_days = released_profile_days(released, now, start_day)
    classes = {
        name: Expiry(
            name,
            _category_cutoff(catalogue, name, now),
            profile_days if name == PROFILE_CATEGORY else frozenset(),
        )
        for name in catalogue.categories
    }
    tables = {name: Expiry(name, cutoff(days, now)) for name, days in RAW_TABLE_RETENTION.items()}
    return classes | tables


def _category_cutoff(catalogue: Catalogue, name: str, now: datetime) -> date:
    days = catalogue.retention_days(name)
    return cutoff(min(days, PROFILE_MAX_DAYS) if name == PROFILE_CATEGORY else days, now)


def _month_has_closed(day: date, today: date, start_day: date) -> bool:
    return day.replace(day=1) >= start_day and next_month(day) + MONTH_HOLD_BACK <= today


def _period(kind: str, day: date) -> date:
    if kind == "month":
        return day.replace(day=1)
    return monday_of(day) if kind == "week" else day


def _today(now: datetime) -> date:
    return now.astimezone(UTC).date()
