"""The release plan and its ledger: versions, noise, sums of old days."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0002"
branch_labels = None
depends_on = None

# A discrete Gaussian of deviation 2 within ±6 in 4,096 parts: symmetric, so that its mean is exactly 0.
WEIGHTS = (9, 36, 111, 266, 496, 722, 816, 722, 496, 266, 111, 36, 9)
BUCKETS = (
    "activity_score_bucket",
    "collab_score_bucket",
    "diversity_score_bucket",
    "ai_savviness_bucket",
    "ai_percentage_bucket",
)


def upgrade() -> None:
    _plan()
    _ledger()
    _vault()
    _released_tables()


def _plan() -> None:
    op.create_table(
        "release_plan",
        sa.Column("release_table", sa.Text(), nullable=False, comment="Table released to."),
        sa.Column("version", sa.Integer(), nullable=False, comment="Counts up with each change."),
        sa.Column(
            "entry",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Columns, ladder, periods: what the release goes by.",
        ),
        sa.Column(
            "places",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Where they stand in the plan's file.",
        ),
        sa.Column(
            "applied_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="From when on it held.",
        ),
        sa.Column(
            "retired_at", sa.DateTime(timezone=True), nullable=True, comment="Until when it held."
        ),
        sa.PrimaryKeyConstraint("release_table", "version", name=op.f("pk_release_plan")),
        schema="ops",
        comment="Every version of the release plan; written by migrations alone.",
    )


def _ledger() -> None:
    # Ledgers of the strict threshold say nothing of noise: their periods stay closed as they are.
    op.drop_column("release_ledger", "held_back_share", schema="ops")
    op.add_column(
        "release_ledger",
        sa.Column(
            "finest_share",
            sa.Numeric(),
            nullable=True,
            comment="Of the people released, the share told at the ladder's first step.",
        ),
        schema="ops",
    )
    op.add_column(
        "release_ledger",
        sa.Column("reason", sa.Text(), nullable=True, comment="Why it was withheld."),
        schema="ops",
    )
    op.add_column(
        "release_ledger",
        sa.Column(
            "rows_sha256", sa.Text(), nullable=True, comment="SHA-256 of the rows released, in hex."
        ),
        schema="ops",
    )
    op.add_column(
        "release_ledger",
        sa.Column(
            "closed_as_of",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="The platform's clock when it closed.",
        ),
        schema="ops",
    )
    op.drop_constraint(
        op.f("ck_release_ledger_state"), "release_ledger", schema="ops", type_="check"
    )
    op.create_check_constraint(
        op.f("ck_release_ledger_state"),
        "release_ledger",
        "state in ('closed', 'withheld', 'superseded')",
        schema="ops",
    )
    op.alter_column(
        "release_ledger",
        "state",
        comment="closed; withheld; or superseded, where sums of a month stand for its rows.",
        existing_comment="closed, or withheld where no class was large enough.",
        existing_type=sa.Text(),
        existing_nullable=False,
        schema="ops",
    )
    op.alter_column(
        "release_ledger",
        "released_people",
        comment="Sum of the counts released.",
        existing_comment="People in released classes.",
        existing_type=sa.Integer(),
        existing_nullable=False,
        schema="ops",
    )
    op.alter_column(
        "release_ledger",
        "plan_version",
        comment="Version of the table's plan.",
        existing_comment="Version of the release rules.",
        existing_type=sa.Text(),
        existing_nullable=False,
        schema="ops",
    )


def _vault() -> None:
    op.create_table(
        "noise_table",
        sa.Column("noise", sa.Integer(), autoincrement=False, nullable=False, comment="People."),
        sa.Column("weight", sa.Integer(), nullable=False, comment="Parts of 4,096."),
        sa.PrimaryKeyConstraint("noise", name=op.f("pk_noise_table")),
        schema="vault",
        comment="How often a released count is off by how much.",
    )
    op.bulk_insert(
        sa.table(
            "noise_table", sa.column("noise", sa.Integer), sa.column("weight", sa.Integer),
            schema="vault",
        ),
        [{"noise": noise - 6, "weight": weight} for noise, weight in enumerate(WEIGHTS)],
    )  # fmt: skip
    op.alter_column(
        "period_keys",
        "period_kind",
        comment="day, week or month; noise for the key of a quarter's noise.",
        existing_comment="day, week or month.",
        existing_type=sa.Text(),
        existing_nullable=False,
        schema="vault",
    )
    op.create_table_comment(
        "period_keys",
        "Random HMAC keys of open periods; deleted when they close.",
        existing_comment="Random HMAC key of each open period; deleted when the period closes.",
        schema="vault",
    )
    # Always empty between transactions.
    op.add_column(
        "release_counts",
        sa.Column("n_published", sa.Integer(), nullable=False, comment="The count to release."),
        schema="vault",
    )
    op.create_check_constraint(
        op.f("ck_release_counts_published_floor"), "release_counts", "n_published > 10",
        schema="vault",
    )  # fmt: skip


def _released_tables() -> None:
    # The guard asks once per class what these asked once per row.
    for column in BUCKETS:
        op.drop_constraint(
            op.f(f"ck_analytics_events_{column}"), "analytics_events", schema="anonymous",
            type_="check",
        )  # fmt: skip
    op.execute("drop trigger if exists refuse_bucket on anonymous.analytics_events")
    for table, column, comment in (
        ("ai_usage_trends", "avg_ai_percentage", "Mean of people's 5-% buckets"),
        ("archetype_distribution", "avg_ai_score", "Mean of people's 10-point buckets"),
    ):
        op.alter_column(
            table,
            column,
            nullable=True,
            comment=f"{comment}, from released counts; empty where all are generalised.",
            existing_comment=f"{comment}.",
            existing_type=sa.Numeric(),
            schema="published",
        )
