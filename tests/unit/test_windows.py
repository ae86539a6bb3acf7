"""Windows: half-open, never empty, widened to whole weeks and months, coalesced without loss."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.windows import DAY, Window, coalesce, next_month

DAYS = st.dates(date(1999, 12, 1), date(2101, 2, 1))
WINDOWS = st.builds(
    lambda start, length: Window(start, start + timedelta(days=length)),
    DAYS,
    st.integers(min_value=1, max_value=800),
)


@pytest.mark.parametrize("length", [0, -1])
def test_an_empty_window_cannot_be_made(length: int) -> None:
    with pytest.raises(ValueError, match="empty window"):
        Window(date(2026, 5, 1), date(2026, 5, 1) + timedelta(days=length))


def test_a_day_begins_and_ends_at_midnight_utc() -> None:
    window = Window.of_day(date(2026, 5, 1))
    assert window.start_ts == datetime(2026, 5, 1, tzinfo=UTC)
    assert window.end_ts == datetime(2026, 5, 2, tzinfo=UTC)


@given(WINDOWS)
def test_days_are_those_the_window_contains(window: Window) -> None:
    days = list(window.days())
    assert len(days) == len(window)
    assert days[0] == window.start
    assert days[-1] == window.last_day
    assert all(day in window for day in days)
    assert window.start - DAY not in window
    assert window.end not in window


@given(WINDOWS)
def test_whole_weeks_hold_the_window_and_no_week_more(window: Window) -> None:
    weeks = window.iso_weeks()
    assert weeks.start.weekday() == weeks.end.weekday() == 0
    assert weeks.start <= window.start
    assert window.end <= weeks.end
    assert (window.start - weeks.start).days < 7
    assert (weeks.end - window.end).days < 7
    assert weeks.iso_weeks() == weeks


@given(WINDOWS)
def test_whole_months_hold_the_window_and_no_month_more(window: Window) -> None:
    months = window.months()
    assert months.start.day == months.end.day == 1
    assert (months.start.year, months.start.month) == (window.start.year, window.start.month)
    assert window.end <= months.end
    assert months.end == next_month(window.last_day)
    assert months.months() == months


@given(WINDOWS, WINDOWS)
def test_an_intersection_has_the_days_of_both(one: Window, other: Window) -> None:
    common = one.intersect(other)
    assert common == other.intersect(one)
    shared = {day for day in one.days() if day in other}
    assert (set(common.days()) if common else set()) == shared


@given(st.lists(DAYS, max_size=40), st.integers(min_value=0, max_value=30))
def test_coalescing_loses_no_day_and_leaves_wide_gaps(days: list[date], max_gap: int) -> None:
    windows = coalesce(days, max_gap=max_gap)
    assert all(any(day in window for window in windows) for day in days)
    for before, after in itertools.pairwise(windows):
        assert (after.start - before.end).days > max_gap
    for window in windows:
        assert window.start in days
        assert window.last_day in days
