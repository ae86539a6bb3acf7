"""Zone ``ops``, erasure: receipts, and what was found of people where nobody should be named.

Invariant: a receipt knows people by their code alone, a finding says where something stands and
never what.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from analytics_assets.store.models.base import metadata, moment, recorded_now, serial, text_column

erasure_receipts = Table(
    "erasure_receipts",
    metadata,
    serial("receipt_id", "Order of the requests."),
    text_column("action", "erased or readmitted."),
    Column("codes", ARRAY(Text), nullable=False, comment="Whom: HMACs in hex, as in the vault."),
    moment("as_of", "The platform's clock."),
    recorded_now("began_at", "When it began."),
    moment("finished_at", "When it ended; empty where it was broken off.", nullable=True),
    Column("complete", Boolean, comment="Whether nothing was left when all was counted again."),
    Column(
        "tables_checked",
        ARRAY(Text),
        nullable=False,
        server_default=text("'{}'::text[]"),
        comment="Tables that were counted again.",
    ),
    CheckConstraint("action in ('erased', 'readmitted')", name="action"),
    schema="ops",
    comment="Every erasure and readmission.",
)

trace_scans = Table(
    "trace_scans",
    metadata,
    text_column("place", "What was read: a table of Dagster's, or a log file.", primary_key=True),
    Column("position", BigInteger, nullable=False, comment="Up to which id or byte."),
    text_column("version", "Which file it was; empty for tables."),
    recorded_now("scanned_at", "When."),
    schema="ops",
    comment="How far Dagster's records and the logs were searched for personal data.",
)

trace_findings = Table(
    "trace_findings",
    metadata,
    text_column("place", "What was read.", primary_key=True),
    Column("position", BigInteger, primary_key=True, comment="Id of the row, or byte of the file."),
    text_column("location", "Run, asset and metadata key, or file.", primary_key=True),
    text_column("reason", "What kind of thing stands there.", primary_key=True),
    recorded_now("found_at", "When it was first found."),
    schema="ops",
    comment="Personal data found where none may be; where, never what. Gone when it is gone.",
)
