"""Zone ``vault``: person keys, known identifiers and exact counts awaiting release.

Invariant: nothing here is readable by any role but the pipeline, and period keys by none at all.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, Index, Integer, LargeBinary, Table
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

consent_ledger = Table(
    "consent_ledger",
    metadata,
    serial("consent_id", "Order of the decisions."),
    text_column("user_id", "Who decided."),
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
