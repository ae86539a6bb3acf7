"""Noise of tables told with differential privacy, and the ledger of what they spend."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "laplace_noise",
        sa.Column("release_table", sa.Text(), nullable=False, comment="Table it is for."),
        sa.Column("period", sa.Date(), nullable=False, comment="Monday of the week."),
        sa.Column(
            "bucket",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Lower border of the bucket.",
        ),
        sa.Column("noise", sa.Integer(), nullable=False, comment="People, drawn once."),
        sa.PrimaryKeyConstraint("release_table", "period", "bucket", name=op.f("pk_laplace_noise")),
        schema="vault",
        comment="Noise drawn for open weeks of tables with an epsilon; deleted when they close.",
    )
    op.create_table(
        "dp_ledger",
        sa.Column("release_table", sa.Text(), nullable=False, comment="Table released to."),
        sa.Column("period", sa.Date(), nullable=False, comment="Monday of the week."),
        sa.Column("unit", sa.Text(), nullable=False, comment="Whose privacy: a person-week."),
        sa.Column("epsilon", sa.Numeric(), nullable=False, comment="What the table spent."),
        sa.Column(
            "delta",
            sa.Numeric(),
            nullable=False,
            comment="Chance that the floor gives somebody away.",
        ),
        sa.Column("mechanism", sa.Text(), nullable=False, comment="discrete Laplace."),
        sa.Column("scale", sa.Numeric(), nullable=False, comment="Of the noise: 1 / epsilon."),
        sa.Column("l0", sa.Integer(), nullable=False, comment="Buckets a person stands in."),
        sa.Column("linf", sa.Integer(), nullable=False, comment="How often in each."),
        sa.Column(
            "spent_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was spent.",
        ),
        sa.CheckConstraint("epsilon > 0 and delta >= 0", name=op.f("ck_dp_ledger_positive")),
        sa.PrimaryKeyConstraint("release_table", "period", name=op.f("pk_dp_ledger")),
        schema="ops",
        comment="Differential privacy spent, by table and week; only grows.",
    )


def downgrade() -> None:
    op.drop_table("dp_ledger", schema="ops")
    op.drop_table("laplace_noise", schema="vault")
