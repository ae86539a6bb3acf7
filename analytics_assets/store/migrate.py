"""Bring a Postgres server to the current schema: roles, databases, zones, tables, grants.

Belongs here: the order of these steps. Does not: what the tables are (models/), their history
(migrations/) or the functions and grants themselves (sql/). Invariant: running it twice changes
nothing, and it is the only code that connects as administrator or owner.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import create_engine

from analytics_assets.settings import PROJECT_ROOT, Settings
from analytics_assets.store.database import (
    LOGIN_ROLES,
    Database,
    DatabaseUnavailable,
    check_version,
)

if TYPE_CHECKING:
    from analytics_assets.privacy.plan import ReleasePlan

MAINTENANCE_DATABASE = "postgres"
RELEASE_OWNER = "release_owner"
# Schema -> role that owns it. The pipeline owns what it partitions, vacuums and rebuilds.
SCHEMAS = {
    "inbox": "analytics_pipeline",
    "raw": "analytics_pipeline",
    "vault": "analytics_owner",
    "marts": "analytics_pipeline",
    "anonymous": RELEASE_OWNER,
    "published": RELEASE_OWNER,
    "insights": "analytics_pipeline",
    "ops": "analytics_owner",
}
# Applied in this order after the tables stand; each can be run any number of times.
REPEATABLE_SCRIPTS = (
    "try_timestamptz.sql",
    "person_key.sql",
    "suppression.sql",
    "consent.sql",
    "release_guard.sql",
    "dp_ledger.sql",
    "views.sql",
    "doors.sql",
    "realtime.sql",
    "grants.sql",
)
_MIGRATION_LOCK = "analytics-assets migrate"


def migrate(database: Database, plan: ReleasePlan | None = None) -> None:
    """Create or update everything the platform needs on the server.

    ``plan`` is the release plan to apply, that of ``privacy/plan.yaml`` if None. Raises
    DatabaseUnavailable when the server cannot be reached or is older than 15, PlanError when the
    plan is wrong or does not fit the tables that stand.
    """
    from analytics_assets.privacy.plan import load_plan, refuse_unmodelled
    from analytics_assets.privacy.plan_store import apply_plan

    if plan is None:
        plan = load_plan()
        refuse_unmodelled(plan, PROJECT_ROOT / "dbt")
    with database.connect_as_admin(MAINTENANCE_DATABASE) as admin:
        check_version(admin)
        admin.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [_MIGRATION_LOCK])
        _create_roles(admin, database)
        _create_database(admin, database.name, owner="analytics_owner")
        _create_database(admin, database.dagster_name, owner="analytics_dagster")
        with database.connect_as_admin(database.name) as connection:
            _create_schemas(connection)
        _upgrade(database)
        _apply_scripts(database)
        with database.connect("analytics_owner") as owner:
            apply_plan(owner, plan)


def open_migrated(settings: Settings) -> Database:
    """The platform's database, brought up to date first where that is still to be done.

    Raises DatabaseUnavailable where it cannot be reached, or its administrator is not told.
    """
    database = Database.open(settings)
    if not is_migrated(database):
        migrate(database)
    return database


def _create_roles(admin: psycopg.Connection[Any], database: Database) -> None:
    existing = {name for (name,) in admin.execute("select rolname from pg_roles").fetchall()}
    if RELEASE_OWNER not in existing:
        admin.execute(sql.SQL("create role {} nologin").format(sql.Identifier(RELEASE_OWNER)))
    for role in LOGIN_ROLES:
        if role not in existing:
            admin.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        if role not in existing or not _can_log_in(database, role):
            admin.execute(
                sql.SQL("alter role {} password {}").format(
                    sql.Identifier(role), sql.Literal(database.password(role))
                )
            )
    admin.execute("grant release_owner, analytics_pipeline to analytics_owner")
    admin.execute(
        sql.SQL("grant {} to {}").format(
            sql.SQL(", ").join(map(sql.Identifier, ["analytics_owner", "analytics_dagster"])),
            sql.Identifier(database.superuser),
        )
    )


def _can_log_in(database: Database, role: str) -> bool:
    try:
        connection = psycopg.connect(
            **database.parameters(role, dbname=MAINTENANCE_DATABASE), connect_timeout=10
        )
    except psycopg.OperationalError as error:
        # Refused for its password: to be set. Refused for the database: the password is right.
        return "password authentication failed" not in str(error)
    connection.close()
    return True


def _create_database(admin: psycopg.Connection[Any], name: str, *, owner: str) -> None:
    if not admin.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
        admin.execute(
            sql.SQL("create database {} owner {}").format(
                sql.Identifier(name), sql.Identifier(owner)
            )
        )
    restrict_connections(admin, name, dagster=owner == "analytics_dagster")


def restrict_connections(admin: psycopg.Connection[Any], name: str, *, dagster: bool) -> None:
    """Let only the platform's roles into a database; Dagster's lets in only its own."""
    database = sql.Identifier(name)
    admin.execute(sql.SQL("revoke connect, temporary on database {} from public").format(database))
    if dagster:
        return
    roles = [role for role in LOGIN_ROLES if role != "analytics_dagster"]
    admin.execute(
        sql.SQL("grant connect on database {} to {}").format(
            database, sql.SQL(", ").join(map(sql.Identifier, roles))
        )
    )
    admin.execute(sql.SQL("grant temporary on database {} to analytics_pipeline").format(database))


def _create_schemas(connection: psycopg.Connection[Any]) -> None:
    connection.execute("revoke all on schema public from public")
    existing = {
        name for (name,) in connection.execute("select nspname from pg_namespace").fetchall()
    }
    for schema, owner in SCHEMAS.items():
        if schema not in existing:
            connection.execute(
                sql.SQL("create schema {} authorization {}").format(
                    sql.Identifier(schema), sql.Identifier(owner)
                )
            )


def alembic_config(database: Database) -> Config:
    """Alembic's configuration, made in code: there is no ini file to keep in step."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = database.url("analytics_owner")
    return config


def _upgrade(database: Database) -> None:
    config = alembic_config(database)
    engine = create_engine(config.attributes["url"])
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _apply_scripts(database: Database) -> None:
    folder = Path(__file__).parent / "sql"
    with database.connect("analytics_owner") as connection:
        for name in REPEATABLE_SCRIPTS:
            statement = (folder / name).read_text(encoding="utf-8")
            connection.execute(statement.encode())


def is_migrated(database: Database) -> bool:
    """Whether the database is at the newest migration and release plan."""
    from alembic.script import ScriptDirectory

    from analytics_assets.privacy.plan import load_plan
    from analytics_assets.privacy.plan_store import is_applied

    head = ScriptDirectory.from_config(alembic_config(database)).get_current_head()
    try:
        with database.connect("analytics_pipeline") as connection:
            row = connection.execute("select version_num from ops.alembic_version").fetchone()
            return row is not None and row[0] == head and is_applied(connection, load_plan())
    except (DatabaseUnavailable, psycopg.Error):
        return False
