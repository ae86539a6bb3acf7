"""Alembic's entry point: runs migrations on the connection migrate.py hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine

from analytics_assets.store.models import metadata

ZONES = {"inbox", "raw", "vault", "anonymous", "published", "insights", "ops"}
RELEASED = {"anonymous", "published"}


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    return name in ZONES if kind == "schema" else True


def _planned(
    _object: object,
    name: str | None,
    kind: str,
    reflected: bool,
    _compared: object,
) -> bool:
    """Leaves out tables that a plan added: they stand in no model (privacy/plan_store.py)."""
    if kind != "table" or not reflected:
        return True
    schema = getattr(_object, "schema", None)
    return schema not in RELEASED or f"{schema}.{name}" in metadata.tables


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_schemas=True,
        include_name=_ours,
        include_object=_planned,
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
