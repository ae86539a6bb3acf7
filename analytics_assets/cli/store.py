"""Commands on the database itself: ``migrate``, ``psql`` and ``stop``."""

from __future__ import annotations

import os
import shutil
from typing import Annotated

import typer

from analytics_assets.cli.console import console, errors, settings_or_exit, told_plainly
from analytics_assets.settings import child_environment


def migrate() -> None:
    """Create or update roles, schemas and tables."""
    from analytics_assets.store.database import Database
    from analytics_assets.store.migrate import migrate as bring_up_to_date

    settings = settings_or_exit()
    with told_plainly():
        database = Database.open(settings)
        bring_up_to_date(database)
    console.print(f"database {database.name} at {database.host}:{database.port} is up to date")


def psql(
    role: Annotated[
        str, typer.Option(help="Role to connect as, without its prefix analytics_.")
    ] = "analyst",
    arguments: Annotated[list[str] | None, typer.Argument(help="Passed on to psql.")] = None,
) -> None:
    """Open psql, as the analyst unless said otherwise."""
    from analytics_assets.store.database import LOGIN_ROLES
    from analytics_assets.store.migrate import open_migrated

    name = f"analytics_{role.removeprefix('analytics_')}"
    if name not in LOGIN_ROLES:
        known = ", ".join(known.removeprefix("analytics_") for known in LOGIN_ROLES)
        errors.print(f"error: no role {role}; there are {known}", style="bold red")
        raise typer.Exit(2)
    program = shutil.which("psql")
    if program is None:
        errors.print("error: psql is not installed (package postgresql-client)", style="bold red")
        raise typer.Exit(1)
    settings = settings_or_exit()
    with told_plainly():
        parameters = open_migrated(settings).parameters(name)
    environment = child_environment(
        {
            "PGHOST": str(parameters["host"]),
            "PGPORT": str(parameters["port"]),
            "PGDATABASE": str(parameters["dbname"]),
            "PGUSER": str(parameters["user"]),
            "PGPASSWORD": str(parameters["password"]),
        }
    )
    os.execve(program, [program, *(arguments or [])], environment)  # noqa: S606


def stop() -> None:
    """Stop the embedded Postgres; the next command that needs it starts it again."""
    from analytics_assets.store.embedded import EmbeddedPostgres

    settings = settings_or_exit()
    if settings.database_url is not None:
        errors.print("error: ANALYTICS_DATABASE_URL names a server that is not ours to stop")
        raise typer.Exit(1)
    server = EmbeddedPostgres(settings.home)
    with told_plainly():
        was_running = server.is_running()
        server.stop()
    console.print("Postgres is stopped" if was_running else "Postgres was not running")
