"""Alembic's entry point: runs migrations on the connection migrate.py hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine

from analytics_assets.store.models import metadata

ZONES = {"inbox", "raw", "vault", "anonymous", "published", "insights", "ops"}


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    return name in ZONES if kind == "schema" else True


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_schemas=True,
        include_name=_ours,
        version_table_schema="ops",
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    engine = create_engine(context.config.attributes["url"])
    with engine.begin() as opened:
        _run(opened)
    engine.dispose()
