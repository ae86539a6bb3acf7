"""Who was erased, receipts of it, and what searches for people in records and logs have read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "load_log",
        sa.Column(
            "rows_suppressed",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Rows of erased people, left out.",
        ),
        schema="ops",
    )
    op.alter_column(
        "consent_ledger",
        "user_id",
        existing_type=sa.Text(),
        existing_nullable=False,
        comment="Who decided; of the erased a code, erased:<HMAC>.",
        existing_comment="Who decided.",
        schema="vault",
    )
    _vault()
    _ops()


def _vault() -> None:
    op.create_table(
        "suppression_keys",
        sa.Column(
            "key_id", sa.Integer(), autoincrement=False, nullable=False, comment="There is one."
        ),
        sa.Column(
            "inner_pad", sa.LargeBinary(), nullable=False, comment="HMAC inner pad (RFC 2104)."
        ),
        sa.Column(
            "outer_pad", sa.LargeBinary(), nullable=False, comment="HMAC outer pad (RFC 2104)."
        ),
        sa.Column(
            "drawn_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was drawn.",
        ),
        sa.CheckConstraint("key_id = 1", name=op.f("ck_suppression_keys_only_one")),
        sa.CheckConstraint(
            "length(inner_pad) = 64 and length(outer_pad) = 64",
            name=op.f("ck_suppression_keys_pad_length"),
        ),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_suppression_keys")),
        schema="vault",
        comment="The random HMAC key the erased are known by.",
    )
    op.create_table(
        "suppressed",
        sa.Column("kind", sa.Text(), nullable=False, comment="person or conversation."),
        sa.Column("mac", sa.LargeBinary(), nullable=False, comment="HMAC of the name, 32 bytes."),
        sa.Column(
            "key_id",
            sa.Integer(),
            server_default=sa.text("1"),
            nullable=False,
            comment="The key of the HMAC.",
        ),
        sa.Column(
            "suppressed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="The platform's clock when rows began to be left out.",
        ),
        sa.Column(
            "readmitted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="From which time of their own rows are kept again.",
        ),
        sa.CheckConstraint("kind in ('person', 'conversation')", name=op.f("ck_suppressed_kind")),
        sa.CheckConstraint("length(mac) = 32", name=op.f("ck_suppressed_mac_length")),
        sa.ForeignKeyConstraint(
            ["key_id"], ["vault.suppression_keys.key_id"], name="fk_suppressed_key"
        ),
        sa.PrimaryKeyConstraint("kind", "mac", name=op.f("pk_suppressed")),
        schema="vault",
        comment="Who was erased: every load leaves their rows out.",
    )


def _ops() -> None:
    op.create_table(
        "erasure_receipts",
        sa.Column(
            "receipt_id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Order of the requests.",
        ),
        sa.Column("action", sa.Text(), nullable=False, comment="erased or readmitted."),
        sa.Column(
            "codes",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Whom: HMACs in hex, as in the vault.",
        ),
        sa.Column(
            "as_of",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="The platform's clock.",
        ),
        sa.Column(
            "began_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it began.",
        ),
        sa.Column(
            "finished_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it ended; empty where it was broken off.",
        ),
        sa.Column(
            "complete",
            sa.Boolean(),
            nullable=True,
            comment="Whether nothing was left when all was counted again.",
        ),
        sa.Column(
            "tables_checked",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
            comment="Tables that were counted again.",
        ),
        sa.CheckConstraint(
            "action in ('erased', 'readmitted')", name=op.f("ck_erasure_receipts_action")
        ),
        sa.PrimaryKeyConstraint("receipt_id", name=op.f("pk_erasure_receipts")),
        schema="ops",
        comment="Every erasure and readmission.",
    )
    op.create_table(
        "trace_scans",
        sa.Column(
            "place",
            sa.Text(),
            nullable=False,
            comment="What was read: a table of Dagster's, or a log file.",
        ),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="Up to which id or byte."),
        sa.Column(
            "version", sa.Text(), nullable=False, comment="Which file it was; empty for tables."
        ),
        sa.Column(
            "scanned_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When.",
        ),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_trace_scans")),
        schema="ops",
        comment="How far Dagster's records and the logs were searched for personal data.",
    )
    op.create_table(
        "trace_findings",
        sa.Column("place", sa.Text(), nullable=False, comment="What was read."),
        sa.Column(
            "position",
            sa.BigInteger(),
            nullable=False,
            comment="Id of the row, or byte of the file.",
        ),
        sa.Column(
            "location", sa.Text(), nullable=False, comment="Run, asset and metadata key, or file."
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="What kind of thing stands there."),
        sa.Column(
            "found_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was first found.",
        ),
        sa.PrimaryKeyConstraint(
            "place", "position", "location", "reason", name=op.f("pk_trace_findings")
        ),
        schema="ops",
        comment="Personal data found where none may be; where, never what. Gone when it is gone.",
    )


def downgrade() -> None:
    raise RuntimeError("0007 remembers who was erased, which is not to be forgotten")
