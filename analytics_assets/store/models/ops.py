"""Zone ``ops``: ledgers of the platform's own work.

Invariant: no personal data and no count of fewer than 11 people that came from a person's data.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from analytics_assets.store.models.base import (
    metadata,
    moment,
    recorded_now,
    serial,
    text_column,
)


def _count(name: str, comment: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"), comment=comment)


event_schemas = Table(
    "event_schemas",
    metadata,
    text_column("event_type", "Name of the type.", primary_key=True),
    text_column("event_category", "Category = retention class."),
    Column("fields", JSONB, nullable=False, comment="Typed fields of event_data."),
    Column("required_fields", ARRAY(Text), nullable=False, comment="Fields that must be there."),
    Column("personal_fields", ARRAY(Text), nullable=False, comment="Fields that may be personal."),
    Column("retention_days", Integer, nullable=False, comment="Days a raw event is kept."),
    text_column("description", "What the event means."),
    text_column("catalogue_hash", "Fingerprint of the catalogue it came from."),
    recorded_now("updated_at", "When the row last changed."),
    schema="ops",
    comment="The event catalogue as loaded.",
)

dirty_days = Table(
    "dirty_days",
    metadata,
    serial("revision", "Order of the changes."),
    Column("day", Date, nullable=False, comment="UTC day whose tables are out of date."),
    text_column("reason", "late_data, replay, deletion, consent, history, failed_run or batch."),
    recorded_now("created_at", "When it became dirty."),
    moment("closed_at", "When a run rebuilt it.", nullable=True),
    text_column("closed_by", "The run that rebuilt it.", nullable=True),
    Index("ix_dirty_days_open", "revision", postgresql_where=text("closed_at is null")),
    schema="ops",
    comment="Days to rebuild; closed by the run that has rebuilt them.",
)

release_plan = Table(
    "release_plan",
    metadata,
    text_column("release_table", "Table released to.", primary_key=True),
    Column(
        "version",
        Integer,
        primary_key=True,
        autoincrement=False,
        comment="Counts up with each change.",
    ),
    Column(
        "entry",
        JSONB,
        nullable=False,
        comment="Columns, ladder, periods: what the release goes by.",
    ),
    Column("places", JSONB, nullable=False, comment="Where they stand in the plan's file."),
    recorded_now("applied_at", "From when on it held."),
    moment("retired_at", "Until when it held.", nullable=True),
    schema="ops",
    comment="Every version of the release plan; written by migrations alone.",
)

release_ledger = Table(
    "release_ledger",
    metadata,
    text_column("release_table", "Table released to.", primary_key=True),
    text_column("period_kind", "day, week or month.", primary_key=True),
    Column("period", Date, primary_key=True, comment="First day of the period."),
    text_column(
        "state", "closed; withheld; or superseded, where sums of a month stand for its rows."
    ),
    Column("released_classes", Integer, nullable=False, comment="Classes released."),
    Column("released_people", Integer, nullable=False, comment="Sum of the counts released."),
    text_column("plan_version", "Version of the table's plan."),
    recorded_now("closed_at", "When the period closed."),
    Column(
        "finest_share",
        Numeric,
        comment="Of the people released, the share told at the ladder's first step.",
    ),
    text_column("reason", "Why it was withheld.", nullable=True),
    text_column("rows_sha256", "SHA-256 of the rows released, in hex.", nullable=True),
    moment("closed_as_of", "The platform's clock when it closed.", nullable=True),
    CheckConstraint("state in ('closed', 'withheld', 'superseded')", name="state"),
    schema="ops",
    comment="Every period that has closed; a period is released once.",
)

load_log = Table(
    "load_log",
    metadata,
    serial("load_id", "Order of the loads."),
    text_column("source", "Source of the rows."),
    text_column("fingerprint", "Hash of the file's content and mapping."),
    Column("chunk", Integer, nullable=False, comment="Chunk of the file; -1 for the whole."),
    Column("lane", Integer, nullable=False, comment="Connection that loaded it."),
    text_column("location", "File name.", nullable=True),
    _count("rows_read", "Rows read."),
    _count("rows_loaded", "Rows new in raw."),
    _count("rows_rejected", "Rows sent to quarantine."),
    _count("rows_duplicate", "Rows that were there already."),
    _count("rows_expired", "Rows past their retention, not loaded."),
    _count("rows_suppressed", "Rows of erased people, left out."),
    Column(
        "finished", Boolean, nullable=False, server_default=false(), comment="File fully loaded."
    ),
    recorded_now("loaded_at", "When it was loaded."),
    UniqueConstraint("source", "fingerprint", "chunk", "lane"),
    schema="ops",
    comment="What was loaded, chunk by chunk, in the chunk's own transaction.",
)

retention_log = Table(
    "retention_log",
    metadata,
    serial("log_id", "Order of the drops."),
    text_column("event_category", "Retention class.", nullable=True),
    text_column("table_name", "Table pruned."),
    text_column("partition_name", "Partition dropped.", nullable=True),
    Column("day", Date, comment="UTC day of the partition."),
    _count("rows_dropped", "Rows dropped."),
    _count("survivors", "Rows past the cut-off that were left; must be 0."),
    Column("cutoff", Date, nullable=False, comment="First day kept."),
    Column("dry_run", Boolean, nullable=False, comment="Only said what it would drop."),
    recorded_now("executed_at", "When."),
    text_column("run_id", "The run.", nullable=True),
    schema="ops",
    comment="What retention dropped.",
)

retention_floor = Table(
    "retention_floor",
    metadata,
    text_column("event_category", "Retention class, or the table for others.", primary_key=True),
    Column("kept_from", Date, nullable=False, comment="First day whose raw rows may exist."),
    recorded_now("updated_at", "When it last moved."),
    schema="ops",
    comment="Up to where raw was pruned; marts never rebuild days below it.",
)

llm_call = Table(
    "llm_call",
    metadata,
    serial("call_id", "Order of the calls."),
    text_column("cache_key", "Key of the question."),
    text_column("stage", "Stage of the pipeline."),
    text_column("model", "Model asked."),
    text_column("state", "reserved, done, failed or poison."),
    Column("attempt", Integer, nullable=False, server_default=text("1"), comment="Attempt."),
    Column("input_tokens", BigInteger, comment="Tokens sent."),
    Column("output_tokens", BigInteger, comment="Tokens received."),
    Column("cached_tokens", BigInteger, comment="Tokens served from the vendor's cache."),
    Column("cost_micros", BigInteger, comment="Cost in millionths of a dollar."),
    text_column("error_class", "Class of the failure.", nullable=True),
    recorded_now("started_at", "When it was reserved."),
    moment("finished_at", "When it ended.", nullable=True),
    _count("reserved_micros", "The most it could cost, set aside before it was sent."),
    text_column("price_version", "Where its price stands.", nullable=True),
    text_column("batch_name", "Our name of the batch it was sent in.", nullable=True),
    CheckConstraint("state in ('reserved', 'done', 'failed', 'poison')", name="state"),
    Index("ix_llm_call_cache_key", "cache_key"),
    Index("ix_llm_call_started_at", "started_at"),
    Index("uq_llm_call_done", "cache_key", unique=True, postgresql_where=text("state = 'done'")),
    schema="ops",
    comment="Every question put to a model.",
)

run_durations = Table(
    "run_durations",
    metadata,
    text_column("run_id", "Dagster's run id.", primary_key=True),
    text_column("job_name", "The job."),
    text_column("status", "How it ended."),
    moment("started_at", "When it started.", nullable=True),
    moment("finished_at", "When it ended.", nullable=True),
    Column("seconds", Numeric, comment="How long it took."),
    Column("partition_start", Date, comment="First day of its window."),
    Column("partition_end", Date, comment="Last day of its window."),
    schema="ops",
    comment="How long runs took, kept beyond Dagster's own retention.",
)

platform_metrics_realtime = Table(
    "platform_metrics_realtime",
    metadata,
    text_column("metric_key", "Name of the metric.", primary_key=True),
    Column("metric_value", Numeric, nullable=False, comment="Its value."),
    recorded_now("calculated_at", "When it was calculated."),
    moment("expires_at", "When it is out of date."),
    schema="ops",
    comment="Realtime metrics with a time to live.",
)
