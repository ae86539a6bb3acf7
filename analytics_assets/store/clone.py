"""A database copied from another on the same server: rehearsals and tests begin from one.

Belongs here: making and dropping it. Does not: what is done in it. Invariant: it is gone when it is
left, however it is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from analytics_assets.store.database import Database
from analytics_assets.store.migrate import restrict_connections


@contextmanager
def cloned_database(template: Database, name: str) -> Iterator[Database]:
    """A copy of a database nobody is connected to, gone when it is left.

    Copied as files: through the buffers and the log it takes 0.15 s longer.
    """
    clone = template.named(name)
    with template.connect_as_admin("postgres") as admin:
        admin.execute(
            sql.SQL(
                "create database {} template {} strategy file_copy owner analytics_owner"
            ).format(sql.Identifier(clone.name), sql.Identifier(template.name))
        )
        restrict_connections(admin, clone.name, dagster=False)
    try:
        yield clone
    finally:
        with template.connect_as_admin("postgres") as admin:
            admin.execute(
                sql.SQL("drop database {} with (force)").format(sql.Identifier(clone.name))
            )
