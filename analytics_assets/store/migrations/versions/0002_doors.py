"""The doors: keys, rates, repeated answers, consent, and duplicates still in the inbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text(), nullable=False, comment="Public id of the key."),
        sa.Column(
            "name",
            sa.Text(),
            nullable=False,
            comment="What it is for; the source of what comes with it.",
        ),
        sa.Column("environment", sa.Text(), nullable=False, comment="live or test."),
        sa.Column("secret_hash", sa.Text(), nullable=False, comment="SHA-256 of the key, in hex."),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False, comment="What it may do."),
        sa.Column("developer_id", sa.Text(), nullable=True, comment="Whose key it is."),
        sa.Column("organization_id", sa.Text(), nullable=True, comment="For which organization."),
        sa.Column(
            "requests_per_minute",
            sa.Integer(),
            server_default=sa.text("100"),
            nullable=False,
            comment="Requests a minute over all processes.",
        ),
        sa.Column(
            "allowed_origins",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
            comment="Origins whose pages may use it.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was made.",
        ),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="From when on it is refused.",
        ),
        sa.Column(
            "revoked_at", sa.DateTime(timezone=True), nullable=True, comment="When it was revoked."
        ),
        sa.Column("rotated_from", sa.Text(), nullable=True, comment="The key it replaces."),
        sa.CheckConstraint("environment in ('live', 'test')", name=op.f("ck_api_keys_environment")),
        sa.CheckConstraint("requests_per_minute > 0", name=op.f("ck_api_keys_requests_per_minute")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
        schema="ops",
        comment="Keys of the HTTP API.",
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("api_key_id", sa.Text(), nullable=False, comment="The key it came with."),
        sa.Column("idempotency_key", sa.Text(), nullable=False, comment="What the client sent."),
        sa.Column(
            "request_hash", sa.Text(), nullable=False, comment="SHA-256 of the request, in hex."
        ),
        sa.Column("status_code", sa.Integer(), nullable=False, comment="Status of the answer."),
        sa.Column("answer", sa.Text(), nullable=False, comment="The answer."),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was given.",
        ),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Until when it is given again.",
        ),
        sa.PrimaryKeyConstraint("api_key_id", "idempotency_key", name=op.f("pk_idempotency_keys")),
        schema="ops",
        comment="Answers given again to repeated requests.",
    )
    op.create_index(
        "ix_idempotency_keys_expires_at",
        "idempotency_keys",
        ["expires_at"],
        unique=False,
        schema="ops",
    )
    op.create_table(
        "rate_leases",
        sa.Column("key_id", sa.Text(), nullable=False, comment="The key."),
        sa.Column(
            "window_started_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Start of the minute that is counted.",
        ),
        sa.Column(
            "leased",
            sa.Integer(),
            nullable=False,
            comment="Requests handed out to processes in it.",
        ),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_rate_leases")),
        schema="ops",
        comment="Requests of the present minute, by key.",
    )
    op.create_table(
        "consent_ledger",
        sa.Column(
            "consent_id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Order of the decisions.",
        ),
        sa.Column("user_id", sa.Text(), nullable=False, comment="Who decided."),
        sa.Column("purpose", sa.Text(), nullable=False, comment="What for, such as insights."),
        sa.Column(
            "text_version",
            sa.Text(),
            nullable=False,
            comment="Version of the text that was agreed to.",
        ),
        sa.Column("decision", sa.Text(), nullable=False, comment="granted or withdrawn."),
        sa.Column(
            "decided_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the person decided.",
        ),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was recorded.",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="Who recorded it."),
        sa.Column("api_key_id", sa.Text(), nullable=True, comment="The key it came with."),
        sa.CheckConstraint(
            "decision in ('granted', 'withdrawn')", name=op.f("ck_consent_ledger_decision")
        ),
        sa.PrimaryKeyConstraint("consent_id", name=op.f("pk_consent_ledger")),
        schema="vault",
        comment="Every consent given or withdrawn; only grows.",
    )
    op.create_index(
        "ix_consent_ledger_user_id",
        "consent_ledger",
        ["user_id", "purpose"],
        unique=False,
        schema="vault",
    )
    op.add_column(
        "entries",
        sa.Column(
            "problem",
            sa.Text(),
            nullable=True,
            comment="code|message, where it could not be stored as sent.",
        ),
        schema="inbox",
    )
    op.alter_column(
        "entries",
        "event_id",
        existing_type=sa.UUID(),
        comment="Id of a valid event, for duplicate checks at the door.",
        existing_comment="Id of the payload, for duplicate checks at the door.",
        existing_nullable=True,
        schema="inbox",
    )
    op.create_index("uq_entries_event_id", "entries", ["event_id"], unique=True, schema="inbox")
    op.add_column(
        "rejected_events",
        sa.Column(
            "replay_requested_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When somebody asked to try it again.",
        ),
        schema="raw",
    )


def downgrade() -> None:
    raise RuntimeError("0002 records consent, which is not to be forgotten; restore a backup")
