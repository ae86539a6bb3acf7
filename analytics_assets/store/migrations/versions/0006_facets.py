"""Facets of conversations, the users' answer keys, and money in the ledger of calls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "conversation_facets",
        sa.Column("day", sa.Date(), nullable=False, comment="UTC day of the messages read."),
        sa.Column("conversation_id", sa.Text(), nullable=False, comment="The conversation."),
        sa.Column(
            "user_id",
            sa.Text(),
            nullable=False,
            comment="Who talked; only this user's words were read.",
        ),
        sa.Column(
            "task",
            sa.Text(),
            nullable=False,
            comment="What the user wanted done (Task in insights/taxonomy.py).",
        ),
        sa.Column("topic", sa.Text(), nullable=False, comment="The field it belongs to (Topic)."),
        sa.Column(
            "outcome",
            sa.Text(),
            nullable=False,
            comment="achieved, partly, not_achieved or unclear (Outcome).",
        ),
        sa.Column(
            "friction",
            sa.Text(),
            nullable=False,
            comment="What stood most in the way; none where nothing did (Friction).",
        ),
        sa.Column(
            "sentiment",
            sa.SmallInteger(),
            nullable=False,
            comment="Mood, 1 very negative to 5; 3 none.",
        ),
        sa.Column(
            "feature_request",
            sa.Text(),
            nullable=False,
            comment="Area of a wish to the product; none (FeatureRequest).",
        ),
        sa.Column(
            "summary",
            sa.Text(),
            nullable=False,
            comment="What the user tried to do: at most 140 characters, names nobody.",
        ),
        sa.Column(
            "wish",
            sa.Text(),
            nullable=False,
            comment="What the user asked the product to have; empty without a wish.",
        ),
        sa.Column(
            "user_messages",
            sa.Integer(),
            nullable=False,
            comment="Messages the user wrote in it that day.",
        ),
        sa.Column(
            "source", sa.Text(), nullable=False, comment="model, or rules where no model read it."
        ),
        sa.Column(
            "behind_since",
            sa.Date(),
            nullable=True,
            comment="Since when rules stand in, or the model has not read the newest words.",
        ),
        sa.Column(
            "text_digest",
            sa.Text(),
            nullable=False,
            comment="HMAC of the scrubbed words under the user's key.",
        ),
        sa.Column(
            "cache_key",
            sa.Text(),
            nullable=False,
            comment="Hash of everything that decides the answer.",
        ),
        sa.Column(
            "model", sa.Text(), nullable=False, comment="The model, or the version of the rules."
        ),
        sa.Column(
            "prompt_version", sa.Text(), nullable=False, comment="Version of the instructions."
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was last written.",
        ),
        sa.CheckConstraint(
            "source in ('model', 'rules')", name=op.f("ck_conversation_facets_source")
        ),
        sa.CheckConstraint(
            "source = 'model' or behind_since is not null",
            name=op.f("ck_conversation_facets_rules_since"),
        ),
        sa.CheckConstraint(
            "sentiment between 1 and 5", name=op.f("ck_conversation_facets_sentiment")
        ),
        sa.CheckConstraint("user_messages > 0", name=op.f("ck_conversation_facets_user_messages")),
        sa.CheckConstraint(
            "length(summary) <= 200 and length(wish) <= 200",
            name=op.f("ck_conversation_facets_short"),
        ),
        sa.PrimaryKeyConstraint(
            "day", "conversation_id", "user_id", name=op.f("pk_conversation_facets")
        ),
        schema="insights",
        comment="What a consenting user's conversation of a day was about; personal, never published.",
    )
    op.create_index(
        "ix_conversation_facets_cache_key", "conversation_facets", ["cache_key"], schema="insights"
    )
    op.create_index(
        "ix_conversation_facets_user_id",
        "conversation_facets",
        ["user_id", "day"],
        schema="insights",
    )
    # The pipeline owns its zone, as the tables of the first migration.
    op.execute("alter table insights.conversation_facets owner to analytics_pipeline")
    op.create_table(
        "answer_keys",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Whose key it is."),
        sa.Column(
            "key",
            sa.LargeBinary(),
            nullable=False,
            comment="Random HMAC key of the user's questions.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was drawn.",
        ),
        sa.CheckConstraint("length(key) = 32", name=op.f("ck_answer_keys_key_length")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_answer_keys")),
        schema="vault",
        comment="Key of each user whose words a model read; deleted with the consent or the person.",
    )
    op.add_column(
        "llm_call",
        sa.Column(
            "reserved_micros",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="The most it could cost, set aside before it was sent.",
        ),
        schema="ops",
    )
    op.add_column(
        "llm_call",
        sa.Column("price_version", sa.Text(), nullable=True, comment="Where its price stands."),
        schema="ops",
    )
    op.add_column(
        "llm_call",
        sa.Column(
            "batch_name", sa.Text(), nullable=True, comment="Our name of the batch it was sent in."
        ),
        schema="ops",
    )
    op.create_index("ix_llm_call_started_at", "llm_call", ["started_at"], schema="ops")


def downgrade() -> None:
    op.drop_index("ix_llm_call_started_at", "llm_call", schema="ops")
    for column in ("batch_name", "price_version", "reserved_micros"):
        op.drop_column("llm_call", column, schema="ops")
    op.drop_table("answer_keys", schema="vault")
    op.drop_table("conversation_facets", schema="insights")
