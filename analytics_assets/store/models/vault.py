"""Zone ``vault``: keys, known identifiers, consent, the erased, and exact counts awaiting release.

Invariant: nothing here is readable by any role but the pipeline, and keys people are known by by
none at all.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from analytics_assets.store.models.base import (
    metadata,
    moment,
    recorded_now,
    serial,
    text_column,
)

known_identifiers = Table(
    "known_identifiers",
    metadata,
    text_column("user_id", "Whose identifier it is.", primary_key=True),
    text_column("kind", "name, email, handle, ...", primary_key=True),
    text_column("value", "The identifier.", primary_key=True),
    schema="vault",
    comment="Identifiers that must never leave: the scrubber's dictionary.",
)

period_keys = Table(
    "period_keys",
    metadata,
    text_column(
        "period_kind",
        "day, week or month; noise for the key of a quarter's noise.",
        primary_key=True,
    ),
    Column("period", Date, primary_key=True, comment="First day of the period."),
    Column("inner_pad", LargeBinary, nullable=False, comment="HMAC inner pad (RFC 2104)."),
    Column("outer_pad", LargeBinary, nullable=False, comment="HMAC outer pad (RFC 2104)."),
    CheckConstraint("length(inner_pad) = 64 and length(outer_pad) = 64", name="pad_length"),
    schema="vault",
    comment="Random HMAC keys of open periods; deleted when they close.",
)

release_counts = Table(
    "release_counts",
    metadata,
    text_column("release_table", "The table a class is released to.", primary_key=True),
    text_column("period_kind", "day, week or month.", primary_key=True),
    Column("period", Date, primary_key=True, comment="First day of the period."),
    Column("dimensions", JSONB, primary_key=True, comment="The class: its quasi-identifiers."),
    Column("n_people", Integer, nullable=False, comment="Exact number of distinct people."),
    Column("measures", JSONB, nullable=False, comment="Aggregates released with the class."),
    Column("n_published", Integer, nullable=False, comment="The count to release."),
    CheckConstraint("n_people > 10", name="floor"),
    CheckConstraint("n_published > 10", name="published_floor"),
    schema="vault",
    comment="Exact counts of classes about to be released; emptied in the same transaction.",
)

noise_table = Table(
    "noise_table",
    metadata,
    Column("noise", Integer, primary_key=True, autoincrement=False, comment="People."),
    Column("weight", Integer, nullable=False, comment="Parts of 4,096."),
    schema="vault",
    comment="How often a released count is off by how much.",
)

laplace_noise = Table(
    "laplace_noise",
    metadata,
    text_column("release_table", "Table it is for.", primary_key=True),
    Column("period", Date, primary_key=True, comment="Monday of the week."),
    Column(
        "bucket",
        Integer,
        primary_key=True,
        autoincrement=False,
        comment="Lower border of the bucket.",
    ),
    Column("noise", Integer, nullable=False, comment="People, drawn once."),
    schema="vault",
    comment="Noise drawn for open weeks of tables with an epsilon; deleted when they close.",
)

consent_ledger = Table(
    "consent_ledger",
    metadata,
    serial("consent_id", "Order of the decisions."),
    text_column("user_id", "Who decided; of the erased a code, erased:<HMAC>."),
    text_column("purpose", "What for, such as insights."),
    text_column("text_version", "Version of the text that was agreed to."),
    text_column("decision", "granted or withdrawn."),
    moment("decided_at", "When the person decided."),
    recorded_now("recorded_at", "When it was recorded."),
    text_column("source", "Who recorded it."),
    text_column("api_key_id", "The key it came with.", nullable=True),
    CheckConstraint("decision in ('granted', 'withdrawn')", name="decision"),
    Index("ix_consent_ledger_user_id", "user_id", "purpose"),
    schema="vault",
    comment="Every consent given or withdrawn; only grows.",
)

answer_keys = Table(
    "answer_keys",
    metadata,
    text_column("user_id", "Whose key it is.", primary_key=True),
    Column("key", LargeBinary, nullable=False, comment="Random HMAC key of the user's questions."),
    recorded_now("created_at", "When it was drawn."),
    CheckConstraint("length(key) = 32", name="key_length"),
    schema="vault",
    comment="Key of each user whose words a model read; deleted with the consent or the person.",
)

suppression_keys = Table(
    "suppression_keys",
    metadata,
    Column("key_id", Integer, primary_key=True, autoincrement=False, comment="There is one."),
    Column("inner_pad", LargeBinary, nullable=False, comment="HMAC inner pad (RFC 2104)."),
    Column("outer_pad", LargeBinary, nullable=False, comment="HMAC outer pad (RFC 2104)."),
    recorded_now("drawn_at", "When it was drawn."),
    CheckConstraint("key_id = 1", name="only_one"),
    CheckConstraint("length(inner_pad) = 64 and length(outer_pad) = 64", name="pad_length"),
    schema="vault",
    comment="The random HMAC key the erased are known by.",
)

suppressed = Table(
    "suppressed",
    metadata,
    text_column("kind", "person or conversation.", primary_key=True),
    Column("mac", LargeBinary, primary_key=True, comment="HMAC of the name, 32 bytes."),
    # Without its key nobody would be known again, so it cannot go while there is anybody.
    Column(
        "key_id",
        Integer,
        ForeignKey("vault.suppression_keys.key_id", name="fk_suppressed_key"),
        nullable=False,
        server_default=text("1"),
        comment="The key of the HMAC.",
    ),
    moment("suppressed_at", "The platform's clock when rows began to be left out."),
    moment("readmitted_at", "From which time of their own rows are kept again.", nullable=True),
    CheckConstraint("kind in ('person', 'conversation')", name="kind"),
    CheckConstraint("length(mac) = 32", name="mac_length"),
    schema="vault",
    comment="Who was erased: every load leaves their rows out.",
)

batch_items = Table(
    "batch_items",
    metadata,
    Column(
        "call_id",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="The call in ops.llm_call.",
    ),
    text_column("batch_name", "Our name of the batch."),
    text_column("item_key", "What the vendor calls the question."),
    Column("day", Date, nullable=False, comment="UTC day the question is about."),
    text_column(
        "job", "The vendor's name of the batch; empty until it has said so.", nullable=True
    ),
    schema="vault",
    comment="Questions under way in batches; a row goes when its question is settled.",
)
