"""Zone ``ops``, what the audit keeps: privacy reports as they were made.

Invariant: no number in a report is about 10 people or fewer.
"""

from __future__ import annotations

from sqlalchemy import Column, Table
from sqlalchemy.dialects.postgresql import JSONB

from analytics_assets.store.models.base import metadata, moment, recorded_now

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
