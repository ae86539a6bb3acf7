"""Privacy reports as they were made, for those who may read them and may not make them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "privacy_reports",
        sa.Column(
            "as_of", sa.DateTime(timezone=True), nullable=False, comment="The clock it is of."
        ),
        sa.Column(
            "report",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="The report; no number in it is about 10 people or fewer.",
        ),
        sa.Column(
            "made_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was made.",
        ),
        sa.PrimaryKeyConstraint("as_of", name=op.f("pk_privacy_reports")),
        schema="ops",
        comment="Privacy reports, one for each time one was made.",
    )
    op.execute("grant select on ops.privacy_reports to analytics_api")


def downgrade() -> None:
    op.drop_table("privacy_reports", schema="ops")
