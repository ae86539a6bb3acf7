"""Zone ``ops``, what an officer asks for: privacy reports as they were made, budgets as spent.

Invariant: no number in a report is about 10 people or fewer; the ledger only grows.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Date, Integer, Numeric, Table
from sqlalchemy.dialects.postgresql import JSONB

from analytics_assets.store.models.base import metadata, moment, recorded_now, text_column

privacy_reports = Table(
    "privacy_reports",
    metadata,
    moment("as_of", "The clock it is of.", primary_key=True),
    Column(
        "report",
        JSONB,
        nullable=False,
        comment="The report; no number in it is about 10 people or fewer.",
    ),
    recorded_now("made_at", "When it was made."),
    schema="ops",
    comment="Privacy reports, one for each time one was made.",
)

dp_ledger = Table(
    "dp_ledger",
    metadata,
    text_column("release_table", "Table released to.", primary_key=True),
    Column("period", Date, primary_key=True, comment="Monday of the week."),
    text_column("unit", "Whose privacy: a person-week."),
    Column("epsilon", Numeric, nullable=False, comment="What the table spent."),
    Column("delta", Numeric, nullable=False, comment="Chance that the floor gives somebody away."),
    text_column("mechanism", "discrete Laplace."),
    Column("scale", Numeric, nullable=False, comment="Of the noise: 1 / epsilon."),
    Column("l0", Integer, nullable=False, comment="Buckets a person stands in."),
    Column("linf", Integer, nullable=False, comment="How often in each."),
    recorded_now("spent_at", "When it was spent."),
    CheckConstraint("epsilon > 0 and delta >= 0", name="positive"),
    schema="ops",
    comment="Differential privacy spent, by table and week; only grows.",
)
