"""What a conversation read stands for, and what a group's share is a share of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

GROUP_TABLES = ("use_cases", "feature_requests", "friction_points")
SHARE_WAS, SHARE_IS = "Of all people read, estimated.", "Of what share_of says, estimated."


def upgrade() -> None:
    op.add_column(
        "conversation_facets",
        sa.Column(
            "stratum",
            sa.Text(),
            nullable=True,
            comment="Of a day that was sampled: what it was drawn from; empty where not drawn.",
        ),
        schema="insights",
    )
    for table in GROUP_TABLES:
        op.add_column(
            table,
            sa.Column(
                "share_of",
                sa.Text(),
                server_default=sa.text("'people'"),
                nullable=False,
                comment="people: all who were read; conversations: of days that were sampled.",
            ),
            schema="insights",
        )
        op.create_check_constraint(
            op.f(f"ck_{table}_share_of"),
            table,
            "share_of in ('people', 'conversations')",
            schema="insights",
        )
        _comment(table, SHARE_IS, SHARE_WAS)


def downgrade() -> None:
    for table in GROUP_TABLES:
        _comment(table, SHARE_WAS, SHARE_IS)
        op.drop_constraint(op.f(f"ck_{table}_share_of"), table, schema="insights")
        op.drop_column(table, "share_of", schema="insights")
    op.drop_column("conversation_facets", "stratum", schema="insights")


def _comment(table: str, comment: str, before: str) -> None:
    op.alter_column(
        table,
        "share",
        existing_type=sa.Numeric(),
        existing_nullable=False,
        comment=comment,
        existing_comment=before,
        schema="insights",
    )
