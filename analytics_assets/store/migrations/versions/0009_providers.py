"""Which questions a batch holds: random keys the vendor sees, and what stands behind them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batch_items",
        sa.Column(
            "call_id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="The call in ops.llm_call.",
        ),
        sa.Column("batch_name", sa.Text(), nullable=False, comment="Our name of the batch."),
        sa.Column(
            "item_key", sa.Text(), nullable=False, comment="What the vendor calls the question."
        ),
        sa.Column("day", sa.Date(), nullable=False, comment="UTC day the question is about."),
        sa.Column(
            "job",
            sa.Text(),
            nullable=True,
            comment="The vendor's name of the batch; empty until it has said so.",
        ),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_batch_items")),
        schema="vault",
        comment="Questions under way in batches; a row goes when its question is settled.",
    )
    op.alter_column(
        "dirty_days",
        "reason",
        comment="late_data, replay, deletion, consent, history, failed_run or batch.",
        existing_comment="late_data, replay, deletion, consent, history or failed_run.",
        schema="ops",
    )


def downgrade() -> None:
    op.alter_column(
        "dirty_days",
        "reason",
        comment="late_data, replay, deletion, consent, history or failed_run.",
        existing_comment="late_data, replay, deletion, consent, history, failed_run or batch.",
        schema="ops",
    )
    op.drop_table("batch_items", schema="vault")
