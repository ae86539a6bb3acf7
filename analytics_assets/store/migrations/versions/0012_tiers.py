"""From which distance on a conversation is unlike all others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "clusters",
        sa.Column(
            "far",
            sa.Numeric(),
            nullable=True,
            comment="Of clusters: distance from its centroid that 1 % of the run's rows exceed.",
        ),
        schema="insights",
    )


def downgrade() -> None:
    op.drop_column("clusters", "far", schema="insights")
