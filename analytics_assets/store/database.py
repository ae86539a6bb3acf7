"""How every process reaches Postgres: one address, one least-privilege role per purpose.

Belongs here: addresses, role passwords, opening connections. Does not: creating anything (see
migrate.py) or the embedded server's life (see embedded.py). Invariant: only migrations connect as
owner or superuser.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from analytics_assets.settings import PREFIX, Settings

LOGIN_ROLES = (
    "analytics_owner",
    "analytics_pipeline",
    "analytics_api",
    "analytics_analyst",
    "analytics_reader",
    "analytics_retention",
    "analytics_dagster",
)
MINIMUM_VERSION = 150000
DEFAULT_DATABASE = "analytics"


class DatabaseUnavailable(Exception):
    """Postgres cannot be reached or is too old; the message says what to do."""


@dataclass(frozen=True)
class Database:
    """Address of the analytics database and where its role passwords are kept."""

    host: str
    port: int
    name: str
    superuser: str
    secrets_dir: Path
    options: tuple[tuple[str, str], ...] = ()
    admin_password: str | None = field(default=None, repr=False)

    @classmethod
    def open(cls, settings: Settings) -> Database:
        """The database of ``ANALYTICS_DATABASE_URL``, or the embedded one, started if it is down.

        Raises DatabaseUnavailable when it cannot be reached or is older than Postgres 15.
        """
        if settings.database_url is None:
            return cls.embedded(settings.home)
        return cls.from_url(settings.database_url.get_secret_value(), settings.home / "secrets")

    @classmethod
    def embedded(cls, home: Path) -> Database:
        """The embedded server of a home, started if it is down."""
        from analytics_assets.store.embedded import EmbeddedPostgres

        address = EmbeddedPostgres(home).ensure_running()
        return cls(
            host=address.host,
            port=address.port,
            name=DEFAULT_DATABASE,
            superuser=address.superuser,
            admin_password=address.password,
            secrets_dir=home / "secrets",
        )

    @classmethod
    def from_url(cls, url: str, secrets_dir: Path) -> Database:
        """A database named by a libpq URL whose user may create roles and databases."""
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            raise DatabaseUnavailable(
                f"{PREFIX}DATABASE_URL is not a Postgres URL; it looks like "
                "postgresql://user:password@host:5432/analytics"
            ) from None
        known = {"host", "port", "dbname", "user", "password"}
        return cls(
            host=str(parts.get("host") or "localhost"),
            port=int(parts.get("port") or 5432),
            name=str(parts.get("dbname") or DEFAULT_DATABASE),
            superuser=str(parts.get("user") or "postgres"),
            admin_password=None if parts.get("password") is None else str(parts["password"]),
            secrets_dir=secrets_dir,
            options=tuple(sorted((k, str(v)) for k, v in parts.items() if k not in known)),
        )

    @property
    def dagster_name(self) -> str:
        """Name of the database that holds Dagster's own storage."""
        return f"{self.name}_dagster"

    def named(self, name: str) -> Database:
        """The same server and roles, another database."""
        return replace(self, name=name)

    def password(self, role: str) -> str:
        """The role's password, drawn on first use and kept in a file only its owner can read."""
        return read_or_draw_secret(self.secrets_dir, f"{role}.password")

    def parameters(self, role: str, *, dbname: str | None = None) -> dict[str, Any]:
        """Libpq parameters with which ``role`` connects."""
        return {
            **dict(self.options),
            "host": self.host,
            "port": self.port,
            "dbname": dbname or self.name,
            "user": role,
            "password": self.password(role),
        }

    def connect(self, role: str, *, autocommit: bool = False) -> psycopg.Connection[Any]:
        """A new connection as ``role``; the caller closes it."""
        return self._connect(self.parameters(role), autocommit=autocommit, name=role)

    def connect_as_admin(self, dbname: str, *, autocommit: bool = True) -> psycopg.Connection[Any]:
        """A connection as the server's administrator: for migrations, and for what no other role
        can look at (the server's state in `doctor`, statements it remembers in the audit).
        """
        parameters: dict[str, Any] = {
            **dict(self.options),
            "host": self.host,
            "port": self.port,
            "dbname": dbname,
            "user": self.superuser,
        }
        if self.admin_password is not None:
            parameters["password"] = self.admin_password
        return self._connect(parameters, autocommit=autocommit, name="migrate")

    def url(self, role: str, *, driver: str = "postgresql+psycopg") -> str:
        """An SQLAlchemy URL for ``role``, password included: never print it."""
        from sqlalchemy import URL

        return URL.create(
            driver,
            username=role,
            password=self.password(role),
            host=self.host,
            port=self.port,
            database=self.name,
            query=dict(self.options),
        ).render_as_string(hide_password=False)

    def _connect(
        self, parameters: dict[str, Any], *, autocommit: bool, name: str
    ) -> psycopg.Connection[Any]:
        try:
            return psycopg.connect(
                **parameters,
                autocommit=autocommit,
                application_name=f"analytics-assets {name}",
                connect_timeout=10,
                options="-c timezone=UTC -c client_min_messages=warning",
            )
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable(
                f"cannot connect to Postgres at {self.host}:{self.port} as "
                f"{parameters['user']}: {_first_line(error)}. Check that the server runs and "
                f"{PREFIX}DATABASE_URL is right (unset means the embedded server), then run "
                "`analytics-assets migrate`"
            ) from None


def check_version(connection: psycopg.Connection[Any]) -> None:
    """Raise DatabaseUnavailable on a server older than Postgres 15."""
    version = connection.info.server_version
    if version < MINIMUM_VERSION:
        raise DatabaseUnavailable(
            f"Postgres {version // 10000} is too old: the platform needs 15 or later; point "
            f"{PREFIX}DATABASE_URL at a newer server"
        )


def lock_table(connection: psycopg.Connection[Any], table: str) -> None:
    """Serialize window writes of one table until the transaction ends.

    Two overlapping delete-and-append rebuilds would each keep the other's rows otherwise.
    """
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [table])


def table_exists(connection: psycopg.Connection[Any], table: str) -> bool:
    """Whether ``schema.table`` is there: dbt makes a table at its first run."""
    row = connection.execute("select to_regclass(%s) is not null", [table]).fetchone()
    return row is not None and bool(row[0])


def qualified(table: str) -> sql.Identifier:
    """``schema.table`` as a quoted identifier."""
    return sql.Identifier(*table.split("."))


def script(name: LiteralString) -> str:
    """The text of one of the store's SQL files."""
    return (Path(__file__).parent / "sql" / name).read_text(encoding="utf-8")


def read_or_draw_secret(folder: Path, name: str) -> str:
    """A secret kept in a 0600 file, drawn from the operating system on first use."""
    path = folder / name
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = folder / f".{name}.{os.getpid()}"
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        # link() refuses to replace, so that of two processes drawing at once one wins for both.
        os.link(scratch, path)
    except FileExistsError:
        pass
    finally:
        scratch.unlink()
    return path.read_text(encoding="ascii").strip()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
