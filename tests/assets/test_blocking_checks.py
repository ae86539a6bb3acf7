"""What a check finds broken stops before what comes after it; a warning stops nothing.

The checks are the platform's own over a real database; only the assets they guard are stand-ins.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
import pytest

from analytics_assets.assets.retention import released_keys
from analytics_assets.checks import AGGREGATIONS, EVENTS, build_checks
from analytics_assets.partitions import daily_partitions
from analytics_assets.resources import Platform
from analytics_assets.settings import Settings
from analytics_assets.store.database import Database

DAY = "2026-06-07"
TRENDS = dg.AssetKey(["published", "event_trends"])
AFTER = dg.AssetKey("what_comes_after")


def outcome(
    settings: Settings, key: dg.AssetKey
) -> tuple[dict[str, dg.AssetCheckEvaluation], bool]:
    """Evaluations by name of all checks on an asset, and whether the next asset was made."""
    daily = daily_partitions(settings)

    @dg.asset(key=key, partitions_def=daily)
    def guarded() -> None:
        """Stands in for the real one."""

    @dg.asset(key=AFTER, deps=[key], partitions_def=daily)
    def after() -> None:
        """What would be read by others."""

    # The audit looks at a whole release and has no one asset; it warns and blocks nothing.
    single = [check for check in build_checks() if len(list(check.check_keys)) == 1]
    checks = [check for check in single if check.check_key.asset_key == key]
    result = dg.materialize(
        [guarded, after, *checks],
        partition_key=DAY,
        resources={"platform": Platform(settings)},
        raise_on_error=False,
    )
    evaluations = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert set(evaluations) == {check.check_key.name for check in checks}, "one did not run"
    made = {event.asset_key for event in result.get_asset_materialization_events()}
    assert key in made
    return evaluations, AFTER in made


def audited(settings: Settings) -> dict[str, dg.AssetCheckEvaluation]:
    """Evaluations of the check ``audit`` on every released table, by table."""
    (audit,) = [check for check in build_checks() if len(list(check.check_keys)) > 1]
    daily = daily_partitions(settings)

    def stand_in(key: dg.AssetKey) -> dg.AssetsDefinition:
        @dg.asset(key=key, partitions_def=daily)
        def guarded() -> None:
            """Stands in for the real one."""

        return guarded

    result = dg.materialize(
        [*map(stand_in, released_keys()), audit],
        partition_key=DAY,
        resources={"platform": Platform(settings)},
    )
    return {".".join(e.asset_key.path): e for e in result.get_asset_check_evaluations()}


def broken(evaluations: dict[str, dg.AssetCheckEvaluation]) -> set[str]:
    return {name for name, evaluation in evaluations.items() if not evaluation.passed}


def plant(database: Database, *statements: str) -> None:
    """Break the database as only its administrator can, guards off."""
    with database.connect_as_admin(database.name) as admin:
        for statement in statements:
            admin.execute(statement.encode())


@pytest.mark.parametrize("path", [key.path for key in released_keys()], ids=".".join)
def test_an_empty_release_passes(settings: Settings, path: Sequence[str]) -> None:
    evaluations, reached = outcome(settings, dg.AssetKey(path))
    assert set(evaluations) == {"k_floor", "forbidden_columns"}
    assert broken(evaluations) == set()
    assert reached


def test_a_class_of_ten_people_is_not_passed_on(settings: Settings, database: Database) -> None:
    plant(
        database,
        "alter table published.event_trends disable trigger user",
        """
        do $$
        declare name text;
        begin
            for name in select conname from pg_constraint
                where conrelid = 'published.event_trends'::regclass and contype = 'c'
            loop
                execute format('alter table published.event_trends drop constraint %I', name);
            end loop;
        end $$
        """,
        """
        insert into published.event_trends
        (period, period_kind, event_category, event_type, n_people)
        values ('2026-05-04', 'week', 'registry', 'server_installed', 10)
        """,
        """
        insert into ops.release_ledger
        (release_table, period_kind, period, state, released_classes, released_people, plan_version)
        values ('published.event_trends', 'week', '2026-05-04', 'closed', 1, 10, 'test')
        """,
    )
    evaluations, reached = outcome(settings, TRENDS)
    assert broken(evaluations) == {"k_floor"}
    assert evaluations["k_floor"].severity == dg.AssetCheckSeverity.ERROR
    assert not reached


def test_a_column_with_a_forbidden_name_is_not_passed_on(
    settings: Settings, database: Database
) -> None:
    plant(database, "alter table published.event_trends add column author_email text")
    evaluations, reached = outcome(settings, TRENDS)
    assert broken(evaluations) == {"forbidden_columns"}
    assert "author_email" in str(evaluations["forbidden_columns"].description)
    assert not reached


def test_too_many_rejected_rows_stop_what_would_be_built_on_the_rest(
    settings: Settings, database: Database
) -> None:
    plant(
        database,
        "create table raw.some_rejected partition of raw.rejected_events"
        " for values from ('2026-01-01') to ('2027-01-01')",
        f"""
        insert into raw.rejected_events (
            received_day, rejected_id, received_at, kind, source, payload, processing_status,
            error_code, error_message
        )
        select '{DAY}', gen_random_uuid(), '{DAY}', 'event', 'test',
            '{{"user_id": "ada@example.org"}}', 'rejected', 'unknown_event_type', 'ada@example.org'
        from generate_series(1, 20)
        """,
    )
    evaluations, reached = outcome(settings, EVENTS)
    assert broken(evaluations) == {"rejected_share", "freshness"}, "no event was planted"
    assert not reached
    assert "example.org" not in str(evaluations)


@pytest.mark.parametrize(
    ("key", "name"), [(EVENTS, "freshness"), (AGGREGATIONS, "row_count_anomaly")]
)
def test_stale_or_unusual_data_warn_and_block_nothing(
    settings: Settings, database: Database, key: dg.AssetKey, name: str
) -> None:
    old = datetime(2026, 5, 1, tzinfo=UTC)
    plant(
        database,
        "create table raw.platform_events_action partition of raw.platform_events"
        " for values in ('action') partition by range (day)",
        "create table raw.some_events partition of raw.platform_events_action"
        " for values from ('2026-01-01') to ('2027-01-01')",
        f"""
        insert into raw.platform_events
            (event_category, day, event_id, event_type, "timestamp", source)
        select 'action', d::date, gen_random_uuid(), 'download', d, 'test'
        from generate_series('{old}'::timestamptz, '2026-06-06'::timestamptz, '1 day') as d,
            generate_series(1, 200)
        """,
        """
        create table marts.event_aggregations as
        select event_type, event_category, 'daily' as aggregation_type,
            day::timestamp at time zone 'UTC' as period_start, count(*) as total_events,
            0::bigint as unique_users, day
        from raw.platform_events
        group by event_type, event_category, day
        """,
        f"insert into marts.event_aggregations values"
        f" ('download', 'action', 'daily', '{DAY}', 9000, 1, '{DAY}')",
        "grant select on marts.event_aggregations to analytics_pipeline",
    )
    evaluations, reached = outcome(settings, key)
    assert broken(evaluations) == {name}
    assert evaluations[name].severity == dg.AssetCheckSeverity.WARN
    assert reached


def test_the_audit_fails_on_the_table_an_attack_succeeds_on_and_tells_no_figure(
    settings: Settings, database: Database
) -> None:
    nothing_released = audited(settings)
    assert set(nothing_released) == {".".join(key.path) for key in released_keys()}
    assert broken(nothing_released) == set()
    plant(
        database,
        "alter table published.search_trends disable trigger user",
        "alter table published.search_trends drop constraint ck_search_trends_floor",
        """
        insert into published.search_trends (period, period_kind, query, n_people)
        values ('2026-05-04', 'week', 'one of a kind', 5)
        """,
    )
    evaluations = audited(settings)
    failed = {table for table, evaluation in evaluations.items() if not evaluation.passed}
    assert failed == {"published.search_trends"}
    evaluation = evaluations["published.search_trends"]
    assert evaluation.description == "T14 succeeded: see docs/privacy.md"
    assert set(evaluation.metadata) == {"attacks_held", "attacks_broken"}
