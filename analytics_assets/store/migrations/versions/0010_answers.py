"""Who will return, what follows when credits run out, metrics that stand out, and answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = (
    "return_predictions",
    "return_models",
    "payment_signals",
    "metric_anomalies",
    "success_metrics",
)


def upgrade() -> None:
    op.create_table(
        "return_predictions",
        sa.Column(
            "as_of_day",
            sa.Date(),
            nullable=False,
            comment="A Monday; only days before it were looked at.",
        ),
        sa.Column(
            "user_id",
            sa.Text(),
            nullable=False,
            comment="Whom it is about; consents and is not internal.",
        ),
        sa.Column(
            "horizon_days", sa.SmallInteger(), nullable=False, comment="Days from as_of_day on."
        ),
        sa.Column(
            "probability",
            sa.Numeric(precision=5, scale=4),
            nullable=False,
            comment="Of being active on any of those days.",
        ),
        sa.Column(
            "calibrated",
            sa.Boolean(),
            nullable=False,
            comment="Whether it held as a share on weeks the model had not seen.",
        ),
        sa.Column(
            "reasons",
            sa.ARRAY(sa.Text()),
            nullable=False,
            comment="What moved it most (insights/returns/reasons.py); empty where nothing stands out.",
        ),
        sa.Column(
            "model_version", sa.Text(), nullable=False, comment="Version and kind of the model."
        ),
        sa.CheckConstraint(
            "extract(isodow from as_of_day) = 1", name=op.f("ck_return_predictions_monday")
        ),
        sa.CheckConstraint(
            "probability between 0 and 1", name=op.f("ck_return_predictions_probability")
        ),
        sa.PrimaryKeyConstraint("as_of_day", "user_id", name=op.f("pk_return_predictions")),
        schema="insights",
        comment="Who will probably be active in the week from a Monday on; personal, never published.",
    )
    op.create_index(
        "ix_return_predictions_user_id",
        "return_predictions",
        ["user_id"],
        unique=False,
        schema="insights",
    )
    op.create_table(
        "return_models",
        sa.Column("as_of_day", sa.Date(), nullable=False, comment="The Monday of its predictions."),
        sa.Column(
            "model_version",
            sa.Text(),
            nullable=False,
            comment="Version and kind of the model; empty where there is none.",
        ),
        sa.Column(
            "trained_rows", sa.Integer(), nullable=False, comment="User-weeks it learned from."
        ),
        sa.Column(
            "tested_rows",
            sa.Integer(),
            nullable=False,
            comment="User-weeks it was tried on, unseen.",
        ),
        sa.Column(
            "auc",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Of ten thousand pairs, how many are in order.",
        ),
        sa.Column(
            "baseline_auc",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="The same of recency and frequency alone.",
        ),
        sa.Column(
            "ece",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Mean distance of probability and share, in ten bins.",
        ),
        sa.Column(
            "brier",
            sa.Numeric(precision=6, scale=5),
            nullable=True,
            comment="Mean squared error of the probability.",
        ),
        sa.Column(
            "baseline_brier",
            sa.Numeric(precision=6, scale=5),
            nullable=True,
            comment="The same of recency and frequency alone.",
        ),
        sa.Column(
            "why_none",
            sa.Text(),
            nullable=False,
            comment="Why nothing was predicted; empty where it was.",
        ),
        sa.PrimaryKeyConstraint("as_of_day", name=op.f("pk_return_models")),
        schema="insights",
        comment="How the model behind a Monday's predictions did on weeks it had not seen.",
    )
    op.create_table(
        "payment_signals",
        sa.Column("day", sa.Date(), nullable=False, comment="UTC day on which credits ran out."),
        sa.Column(
            "user_id", sa.Text(), nullable=False, comment="Whose; internal users are left out."
        ),
        sa.Column("credit_limits", sa.Integer(), nullable=False, comment="How often on that day."),
        sa.Column(
            "returned",
            sa.Boolean(),
            nullable=True,
            comment="Active in the seven days after; empty while they are open.",
        ),
        sa.Column(
            "days_until_return",
            sa.SmallInteger(),
            nullable=True,
            comment="Days until the first active one, 1 to 7.",
        ),
        sa.Column(
            "conversations_after", sa.Integer(), nullable=False, comment="In the seven days after."
        ),
        sa.Column("jobs_after", sa.Integer(), nullable=False, comment="In the seven days after."),
        sa.Column(
            "downloads_after", sa.Integer(), nullable=False, comment="In the seven days after."
        ),
        sa.Column("shares_after", sa.Integer(), nullable=False, comment="In the seven days after."),
        sa.CheckConstraint("credit_limits > 0", name=op.f("ck_payment_signals_credit_limits")),
        sa.PrimaryKeyConstraint("day", "user_id", name=op.f("pk_payment_signals")),
        schema="insights",
        comment="What users did after their credits ran out; personal, never published.",
    )
    op.create_index(
        "ix_payment_signals_user_id",
        "payment_signals",
        ["user_id"],
        unique=False,
        schema="insights",
    )
    op.create_table(
        "metric_anomalies",
        sa.Column("day", sa.Date(), nullable=False, comment="UTC day, complete."),
        sa.Column("metric_name", sa.Text(), nullable=False, comment="As in marts.daily_metrics."),
        sa.Column("value", sa.Numeric(), nullable=False, comment="What it was."),
        sa.Column(
            "expected", sa.Numeric(), nullable=False, comment="Median of the same weekday before."
        ),
        sa.Column(
            "low", sa.Numeric(), nullable=False, comment="Lowest value that would not stand out."
        ),
        sa.Column(
            "high", sa.Numeric(), nullable=False, comment="Highest value that would not stand out."
        ),
        sa.Column(
            "score",
            sa.Numeric(precision=8, scale=2),
            nullable=False,
            comment="Robust z: above 3.5 either way.",
        ),
        sa.Column(
            "same_weekdays",
            sa.SmallInteger(),
            nullable=False,
            comment="Days the expectation stands on.",
        ),
        sa.PrimaryKeyConstraint("day", "metric_name", name=op.f("pk_metric_anomalies")),
        schema="insights",
        comment="Days on which a daily metric stood out from its weekly rhythm.",
    )
    op.create_table(
        "success_metrics",
        sa.Column(
            "week", sa.Date(), nullable=False, comment="Monday of the week the figures end with."
        ),
        sa.Column(
            "question",
            sa.Text(),
            nullable=False,
            comment="Which question it answers (success_questions.py).",
        ),
        sa.Column("metric", sa.Text(), nullable=False, comment="What is measured."),
        sa.Column(
            "label",
            sa.Text(),
            nullable=False,
            comment="Of what, where a metric has several; else empty.",
        ),
        sa.Column("rank", sa.SmallInteger(), nullable=False, comment="Place within its question."),
        sa.Column("unit", sa.Text(), nullable=False, comment="share, mean, count or text."),
        sa.Column(
            "value",
            sa.Numeric(),
            nullable=True,
            comment="Empty where too few people stand behind it.",
        ),
        sa.Column("low", sa.Numeric(), nullable=True, comment="Lower end of the interval of 95 %."),
        sa.Column("high", sa.Numeric(), nullable=True, comment="Upper end."),
        sa.Column(
            "people",
            sa.Integer(),
            nullable=False,
            comment="People it stands on, to the 5 below.",
        ),
        sa.Column(
            "conversations",
            sa.Integer(),
            nullable=False,
            comment="Conversations it stands on, to the 5 below; 0 where it needs none.",
        ),
        sa.Column("confidence", sa.Text(), nullable=False, comment="high, medium, low or none."),
        sa.Column(
            "individual",
            sa.Boolean(),
            nullable=False,
            comment="About the owner alone, who asked for it.",
        ),
        sa.Column(
            "note", sa.Text(), nullable=False, comment="What to know about it, or what is missing."
        ),
        sa.CheckConstraint(
            "confidence in ('high', 'medium', 'low', 'none')",
            name=op.f("ck_success_metrics_confidence"),
        ),
        sa.CheckConstraint(
            "unit in ('share', 'mean', 'count', 'text')", name=op.f("ck_success_metrics_unit")
        ),
        sa.CheckConstraint(
            "individual or value is null or people >= 11", name=op.f("ck_success_metrics_floor")
        ),
        sa.PrimaryKeyConstraint(
            "week", "question", "metric", "label", name=op.f("pk_success_metrics")
        ),
        schema="insights",
        comment="Answers about product-market fit, of the 28 days that end with a week.",
    )
    # The pipeline owns its zone, as the tables of the first migration.
    for table in TABLES:
        op.execute(f"alter table insights.{table} owner to analytics_pipeline")
    # Whoever may read the answers reads those about groups; the pipeline, as owner, reads all.
    op.execute("alter table insights.success_metrics enable row level security")
    op.execute(
        "create policy groups_only on insights.success_metrics for select using (not individual)"
    )
    op.add_column(
        "daily_summary",
        sa.Column(
            "slack_message",
            sa.Text(),
            nullable=True,
            comment="Channel and time stamp of the message.",
        ),
        schema="insights",
    )


def downgrade() -> None:
    op.drop_column("daily_summary", "slack_message", schema="insights")
    for table in TABLES:
        op.drop_table(table, schema="insights")
