"""What the retention rules say, day by day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from analytics_assets.events.catalogue import Catalogue, Category, load_catalogue
from analytics_assets.retention.person_tables import DERIVED_TABLES
from analytics_assets.retention.policy import (
    Expiry,
    Release,
    RetentionGuardError,
    RetentionPolicyError,
    cutoff,
    expired_before,
    expiries,
    profile_releases,
    raw_table_expired_before,
    refuse_expired,
    released_profile_days,
)
from analytics_assets.windows import Window

START_DAY = date(2026, 1, 1)
NOON = timedelta(hours=12)
DBT = Path(__file__).parents[2] / "dbt"
PEOPLE_COLUMNS = {"user_id", "subject"}


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + NOON


def days(first: date, last: date) -> frozenset[date]:
    return frozenset(Window(first, last + timedelta(days=1)).days())


def releases_of(month: Window) -> set[Release]:
    """A ledger in which every period has closed that touches the month."""
    return {
        Release(table, kind, start)
        for table, kind in profile_releases()
        for day in month.days()
        for start in [
            {
                "day": day,
                "week": day - timedelta(days=day.weekday()),
                "month": day.replace(day=1),
            }[kind]
        ]
    }


MAY = Window(date(2026, 5, 1), date(2026, 6, 1))
JUNE = Window(date(2026, 6, 1), date(2026, 7, 1))


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def test_a_day_is_kept_until_it_is_older_than_the_retention() -> None:
    assert cutoff(45, at(date(2026, 6, 8))) == date(2026, 4, 24)
    assert cutoff(0, at(date(2026, 6, 8))) == date(2026, 6, 8)


def test_the_cutoff_counts_utc_days_whatever_zone_the_clock_is_in() -> None:
    new_york = datetime.fromisoformat("2026-06-07T22:00:00-04:00")
    assert cutoff(1, new_york) == date(2026, 6, 7)


def test_a_retention_longer_than_the_calendar_keeps_everything() -> None:
    assert cutoff(10_000_000, at(date(2026, 6, 8))) == date.min


def test_every_category_has_its_own_cutoff(catalogue: Catalogue) -> None:
    before = expired_before(catalogue, at(date(2026, 6, 8)))
    assert set(before) == set(catalogue.categories)
    assert before["analytics"] == date(2026, 4, 24)
    assert before["interaction"] == date(2025, 6, 8)
    assert before["transaction"] == date(2026, 6, 8) - timedelta(days=7 * 365)


def test_what_was_pruned_early_is_not_loaded_again(catalogue: Catalogue) -> None:
    now = at(date(2026, 6, 8))
    floors = {"analytics": date(2026, 6, 1), "interaction": date(2020, 1, 1)}
    before = expired_before(catalogue, now, floors)
    assert before["analytics"] == date(2026, 6, 1)
    assert before["interaction"] == date(2025, 6, 8)
    floors = {"messages": date(2026, 2, 1)}
    assert raw_table_expired_before(now, floors)["messages"] == date(2026, 2, 1)


def test_profile_events_never_outlive_45_days_whatever_a_catalogue_says() -> None:
    generous = Catalogue({"analytics": Category("analytics", 400, "")}, {})
    assert expired_before(generous, at(date(2026, 6, 8)))["analytics"] == date(2026, 4, 24)


def test_a_category_may_not_be_called_like_a_raw_table() -> None:
    clash = Catalogue({"messages": Category("messages", 10, "")}, {})
    with pytest.raises(RetentionPolicyError, match="rename the category"):
        expiries(clash, at(date(2026, 6, 8)), START_DAY, [])


def test_profile_days_go_when_their_month_has_closed_and_is_released() -> None:
    assert released_profile_days(releases_of(MAY), at(date(2026, 6, 8)), START_DAY) == days(
        date(2026, 5, 1), date(2026, 5, 31)
    )


def test_profile_days_stay_during_the_months_hold_back() -> None:
    assert not released_profile_days(releases_of(MAY), at(date(2026, 6, 7)), START_DAY)


def test_profile_days_stay_while_a_release_is_missing() -> None:
    month = Release("published.archetype_distribution", "month", date(2026, 5, 1))
    without = releases_of(MAY) - {month}
    assert not released_profile_days(without, at(date(2026, 6, 8)), START_DAY)

    one_day = Release("anonymous.analytics_events", "day", date(2026, 5, 9))
    left = released_profile_days(releases_of(MAY) - {one_day}, at(date(2026, 6, 8)), START_DAY)
    assert days(date(2026, 5, 1), date(2026, 5, 31)) - left == {date(2026, 5, 9)}


def test_days_of_a_week_that_ends_in_the_next_month_wait_for_the_week() -> None:
    week = date(2026, 6, 29)
    ledger = {release for release in releases_of(JUNE) if release.period != week} | {
        release for release in releases_of(JUNE) if release.kind == "day"
    }
    eighth = at(date(2026, 7, 8))
    assert released_profile_days(ledger, eighth, START_DAY) == days(
        date(2026, 6, 1), date(2026, 6, 28)
    )
    assert released_profile_days(releases_of(JUNE), eighth, START_DAY) == days(
        date(2026, 6, 1), date(2026, 6, 30)
    )


def test_a_month_that_began_before_the_deployment_is_left_to_the_age_limit() -> None:
    now = at(date(2026, 6, 8))
    start = date(2026, 5, 2)
    assert not released_profile_days(releases_of(MAY), now, start)
    # The week of 27 April began before the deployment and will never be released.
    ledger = {release for release in releases_of(MAY) if release.period >= date(2026, 5, 1)}
    assert released_profile_days(ledger, now, date(2026, 5, 1)) == days(
        date(2026, 5, 1), date(2026, 5, 31)
    )


def test_a_class_is_whole_from_the_day_after_the_last_that_goes() -> None:
    gap = Expiry("analytics", date(2026, 4, 24), days(date(2026, 5, 1), date(2026, 5, 31)))
    assert gap.kept_from == date(2026, 6, 1)
    assert [day for day in (date(2026, 4, 23), date(2026, 4, 24)) if gap.covers(day)] == [
        date(2026, 4, 23)
    ]
    assert gap.covers_all(MAY)
    assert not gap.covers_all(Window(date(2026, 4, 30), date(2026, 5, 2)))
    assert Expiry("action", date(2025, 6, 8)).kept_from == date(2025, 6, 8)


def test_a_later_clock_prunes_all_that_an_earlier_one_would(catalogue: Catalogue) -> None:
    ledger = releases_of(MAY) | releases_of(JUNE)
    before: Callable[[date], bool] | None = None
    for offset in range(150):
        now = at(date(2026, 4, 1) + timedelta(days=offset))
        expiry = expiries(catalogue, now, START_DAY, ledger)["analytics"]
        if before is not None:
            assert all(
                expiry.covers(day) for day in Window(START_DAY, JUNE.end).days() if before(day)
            )
        before = expiry.covers


def test_a_window_that_no_class_keeps_is_refused(catalogue: Catalogue) -> None:
    now = at(date(2026, 6, 8))
    first_kept = min(expired_before(catalogue, now).values())
    refuse_expired(
        Window(first_kept - timedelta(days=9), first_kept + timedelta(1)), catalogue, now
    )
    with pytest.raises(RetentionGuardError, match=first_kept.isoformat()):
        refuse_expired(Window(first_kept - timedelta(days=9), first_kept), catalogue, now)


def test_no_release_that_reads_profile_events_is_forgotten() -> None:
    assert profile_releases() == (
        ("anonymous.analytics_events", "day"),
        ("published.ai_usage_trends", "week"),
        ("published.archetype_distribution", "month"),
        ("published.event_trends", "day"),
        ("published.event_trends", "week"),
        ("published.event_trends", "month"),
    )


def dbt_tables_about_people() -> dict[str, set[str]]:
    """Columns of the dbt models that store rows about people (a view stores none)."""
    found = {}
    for folder, schema in (("intermediate", "marts"), ("marts", "marts"), ("insights", "insights")):
        for file in (DBT / "models" / folder).glob("*.yml"):
            for model in yaml.safe_load(file.read_text("utf-8")).get("models", []):
                columns = {column["name"] for column in model["columns"]}
                definition = (DBT / "models" / folder / f"{model['name']}.sql").read_text("utf-8")
                if columns & PEOPLE_COLUMNS and "materialized='view'" not in definition:
                    found[f"{schema}.{model['name']}"] = columns
    return found


def test_every_table_about_people_that_dbt_builds_is_pruned() -> None:
    built = dbt_tables_about_people()
    pruned = {table.name: table for table in DERIVED_TABLES}
    assert set(pruned) == set(built) | {
        "insights.analysis_cache",
        "insights.conversation_facets",
        "insights.payment_signals",
        "insights.return_predictions",
        "insights.facet_vectors",
        "insights.segments",
    }
    for name, columns in built.items():
        assert pruned[name].day_column in columns
        assert (pruned[name].follows is None) == ("event_category" in columns)
