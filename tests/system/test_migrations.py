"""The migrations build what the models say, and running them again changes nothing."""

from __future__ import annotations

from alembic import command

from analytics_assets.store.database import Database
from analytics_assets.store.migrate import alembic_config, is_migrated, migrate


def test_the_migrations_build_exactly_what_the_models_say(database: Database) -> None:
    command.check(alembic_config(database))


def test_migrating_again_keeps_rows_and_changes_nothing(database: Database) -> None:
    with database.connect("analytics_pipeline") as connection:
        connection.execute(
            "insert into ops.dirty_days (day, reason) values ('2026-05-01', 'replay')"
        )
    migrate(database)
    assert is_migrated(database)
    with database.connect("analytics_pipeline") as connection:
        row = connection.execute("select count(*) from ops.dirty_days").fetchone()
    with database.connect_as_admin("postgres") as admin:
        admin.execute(f"drop database {database.dagster_name}")
    assert row == (1,)
