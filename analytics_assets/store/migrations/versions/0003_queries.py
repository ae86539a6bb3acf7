"""Queries: pages of the event log by time, and replays that know what came later.

On a server with default settings an index over more than some 2,000 partitions takes more locks than
one transaction may hold: raise max_locks_per_transaction for the upgrade if Postgres says so.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "rejected_events",
        sa.Column(
            "rejected_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was put here, by the server's clock.",
        ),
        schema="raw",
    )
    op.create_index(
        "ix_platform_events_timestamp_event_id",
        "platform_events",
        ["timestamp", "event_id"],
        unique=False,
        schema="raw",
    )


def downgrade() -> None:
    op.drop_index("ix_platform_events_timestamp_event_id", "platform_events", schema="raw")
    op.drop_column("rejected_events", "rejected_at", schema="raw")
