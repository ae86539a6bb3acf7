"""The zones: raw, vault, release, insights and ledgers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "analytics_events",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Random; derived from nobody.",
        ),
        sa.Column(
            "event_type",
            sa.Text(),
            nullable=False,
            comment="profile_analyzed, package_generated, or any.",
        ),
        sa.Column("archetype", sa.Text(), nullable=False, comment="Developer archetype, or any."),
        sa.Column(
            "activity_score_bucket",
            sa.Integer(),
            nullable=True,
            comment="0..100 in steps of 10; empty where generalised away.",
        ),
        sa.Column(
            "collab_score_bucket",
            sa.Integer(),
            nullable=True,
            comment="0..100 in steps of 10; empty where generalised away.",
        ),
        sa.Column(
            "diversity_score_bucket",
            sa.Integer(),
            nullable=True,
            comment="0..100 in steps of 10; empty where generalised away.",
        ),
        sa.Column(
            "ai_savviness_bucket",
            sa.Integer(),
            nullable=True,
            comment="0..100 in steps of 10; empty where generalised away.",
        ),
        sa.Column(
            "ai_percentage_bucket",
            sa.Integer(),
            nullable=True,
            comment="0..100 in steps of 5; empty where generalised away.",
        ),
        sa.Column(
            "top_languages",
            sa.Text(),
            nullable=False,
            comment="Most used language, its family, or any.",
        ),
        sa.Column("tools_detected", sa.Text(), nullable=False, comment="Most used tool, or any."),
        sa.Column(
            "template_used", sa.Text(), nullable=False, comment="Template of the package, or any."
        ),
        sa.Column("created_at", sa.Date(), nullable=False, comment="UTC day; no finer."),
        sa.CheckConstraint(
            "activity_score_bucket between 0 and 100 and mod(activity_score_bucket, 10) = 0",
            name=op.f("ck_analytics_events_activity_score_bucket"),
        ),
        sa.CheckConstraint(
            "ai_percentage_bucket between 0 and 100 and mod(ai_percentage_bucket, 5) = 0",
            name=op.f("ck_analytics_events_ai_percentage_bucket"),
        ),
        sa.CheckConstraint(
            "ai_savviness_bucket between 0 and 100 and mod(ai_savviness_bucket, 10) = 0",
            name=op.f("ck_analytics_events_ai_savviness_bucket"),
        ),
        sa.CheckConstraint(
            "collab_score_bucket between 0 and 100 and mod(collab_score_bucket, 10) = 0",
            name=op.f("ck_analytics_events_collab_score_bucket"),
        ),
        sa.CheckConstraint(
            "diversity_score_bucket between 0 and 100 and mod(diversity_score_bucket, 10) = 0",
            name=op.f("ck_analytics_events_diversity_score_bucket"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_analytics_events")),
        schema="anonymous",
        comment="One row per person and day, only in classes of more than 10 people.",
    )
    op.create_table(
        "entries",
        sa.Column(
            "seq",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Order of acceptance.",
        ),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="What the payload is: event, conversation, message, service_job, ...",
        ),
        sa.Column(
            "event_id",
            sa.Uuid(),
            nullable=True,
            comment="Id of the payload, for duplicate checks at the door.",
        ),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the collector accepted it.",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="Who sent it."),
        sa.Column("api_key_id", sa.Text(), nullable=True, comment="The key it came with."),
        sa.Column(
            "payload",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="The record as sent.",
        ),
        sa.CheckConstraint(
            "kind in ('event', 'conversation', 'message', 'service_job', 'user', 'server')",
            name=op.f("ck_entries_kind"),
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_entries")),
        schema="inbox",
        comment="Accepted records that no run has loaded yet.",
    )
    op.create_table(
        "analysis_cache",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Whom the insight is about."),
        sa.Column(
            "analysis_date", sa.Date(), nullable=False, comment="UTC day of the conversations."
        ),
        sa.Column(
            "insights",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="The validated answer.",
        ),
        sa.Column(
            "cache_key",
            sa.Text(),
            nullable=False,
            comment="Hash of everything that decides the answer.",
        ),
        sa.Column("model", sa.Text(), nullable=False, comment="The model that answered."),
        sa.Column("prompt_version", sa.Text(), nullable=False, comment="Version of the prompt."),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was answered.",
        ),
        sa.PrimaryKeyConstraint("user_id", "analysis_date", name=op.f("pk_analysis_cache")),
        schema="insights",
        comment="Per-user insights of a day, kept by content.",
    )
    op.create_index(
        "ix_analysis_cache_cache_key",
        "analysis_cache",
        ["cache_key"],
        unique=False,
        schema="insights",
    )
    op.create_table(
        "daily_summary",
        sa.Column("day", sa.Date(), nullable=False, comment="UTC day summed up."),
        sa.Column("markdown", sa.Text(), nullable=False, comment="The summary."),
        sa.Column(
            "missing",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="What is missing, and since when.",
        ),
        sa.Column(
            "content_hash",
            sa.Text(),
            nullable=False,
            comment="Hash of the summary, to post each text once.",
        ),
        sa.Column(
            "posted_at", sa.DateTime(timezone=True), nullable=True, comment="When it was posted."
        ),
        sa.Column("posted_hash", sa.Text(), nullable=True, comment="Hash of what was posted."),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it last changed.",
        ),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_daily_summary")),
        schema="insights",
        comment="One summary a day, for people.",
    )
    op.create_table(
        "dirty_days",
        sa.Column(
            "revision",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Order of the changes.",
        ),
        sa.Column(
            "day", sa.Date(), nullable=False, comment="UTC day whose tables are out of date."
        ),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=False,
            comment="late_data, replay, deletion, consent, history or failed_run.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it became dirty.",
        ),
        sa.Column(
            "closed_at", sa.DateTime(timezone=True), nullable=True, comment="When a run rebuilt it."
        ),
        sa.Column("closed_by", sa.Text(), nullable=True, comment="The run that rebuilt it."),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_dirty_days")),
        schema="ops",
        comment="Days to rebuild; closed by the run that has rebuilt them.",
    )
    op.create_index(
        "ix_dirty_days_open",
        "dirty_days",
        ["revision"],
        unique=False,
        schema="ops",
        postgresql_where=sa.text("closed_at is null"),
    )
    op.create_table(
        "event_schemas",
        sa.Column("event_type", sa.Text(), nullable=False, comment="Name of the type."),
        sa.Column(
            "event_category", sa.Text(), nullable=False, comment="Category = retention class."
        ),
        sa.Column(
            "fields",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Typed fields of event_data.",
        ),
        sa.Column(
            "required_fields",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Fields that must be there.",
        ),
        sa.Column(
            "personal_fields",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Fields that may be personal.",
        ),
        sa.Column(
            "retention_days", sa.Integer(), nullable=False, comment="Days a raw event is kept."
        ),
        sa.Column("description", sa.Text(), nullable=False, comment="What the event means."),
        sa.Column(
            "catalogue_hash",
            sa.Text(),
            nullable=False,
            comment="Fingerprint of the catalogue it came from.",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the row last changed.",
        ),
        sa.PrimaryKeyConstraint("event_type", name=op.f("pk_event_schemas")),
        schema="ops",
        comment="The event catalogue as loaded.",
    )
    op.create_table(
        "llm_call",
        sa.Column(
            "call_id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Order of the calls.",
        ),
        sa.Column("cache_key", sa.Text(), nullable=False, comment="Key of the question."),
        sa.Column("stage", sa.Text(), nullable=False, comment="Stage of the pipeline."),
        sa.Column("model", sa.Text(), nullable=False, comment="Model asked."),
        sa.Column("state", sa.Text(), nullable=False, comment="reserved, done, failed or poison."),
        sa.Column(
            "attempt", sa.Integer(), server_default=sa.text("1"), nullable=False, comment="Attempt."
        ),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True, comment="Tokens sent."),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True, comment="Tokens received."),
        sa.Column(
            "cached_tokens",
            sa.BigInteger(),
            nullable=True,
            comment="Tokens served from the vendor's cache.",
        ),
        sa.Column(
            "cost_micros", sa.BigInteger(), nullable=True, comment="Cost in millionths of a dollar."
        ),
        sa.Column("error_class", sa.Text(), nullable=True, comment="Class of the failure."),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was reserved.",
        ),
        sa.Column(
            "finished_at", sa.DateTime(timezone=True), nullable=True, comment="When it ended."
        ),
        sa.CheckConstraint(
            "state in ('reserved', 'done', 'failed', 'poison')", name=op.f("ck_llm_call_state")
        ),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_llm_call")),
        schema="ops",
        comment="Every question put to a model.",
    )
    op.create_index("ix_llm_call_cache_key", "llm_call", ["cache_key"], unique=False, schema="ops")
    op.create_index(
        "uq_llm_call_done",
        "llm_call",
        ["cache_key"],
        unique=True,
        schema="ops",
        postgresql_where=sa.text("state = 'done'"),
    )
    op.create_table(
        "load_log",
        sa.Column(
            "load_id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Order of the loads.",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="Source of the rows."),
        sa.Column(
            "fingerprint",
            sa.Text(),
            nullable=False,
            comment="Hash of the file's content and mapping.",
        ),
        sa.Column(
            "chunk", sa.Integer(), nullable=False, comment="Chunk of the file; -1 for the whole."
        ),
        sa.Column("lane", sa.Integer(), nullable=False, comment="Connection that loaded it."),
        sa.Column("location", sa.Text(), nullable=True, comment="File name."),
        sa.Column(
            "rows_read",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Rows read.",
        ),
        sa.Column(
            "rows_loaded",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Rows new in raw.",
        ),
        sa.Column(
            "rows_rejected",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Rows sent to quarantine.",
        ),
        sa.Column(
            "rows_duplicate",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Rows that were there already.",
        ),
        sa.Column(
            "rows_expired",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Rows past their retention, not loaded.",
        ),
        sa.Column(
            "finished",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="File fully loaded.",
        ),
        sa.Column(
            "loaded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was loaded.",
        ),
        sa.PrimaryKeyConstraint("load_id", name=op.f("pk_load_log")),
        sa.UniqueConstraint(
            "source",
            "fingerprint",
            "chunk",
            "lane",
            name=op.f("uq_load_log_source_fingerprint_chunk_lane"),
        ),
        schema="ops",
        comment="What was loaded, chunk by chunk, in the chunk's own transaction.",
    )
    op.create_table(
        "platform_metrics_realtime",
        sa.Column("metric_key", sa.Text(), nullable=False, comment="Name of the metric."),
        sa.Column("metric_value", sa.Numeric(), nullable=False, comment="Its value."),
        sa.Column(
            "calculated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was calculated.",
        ),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it is out of date.",
        ),
        sa.PrimaryKeyConstraint("metric_key", name=op.f("pk_platform_metrics_realtime")),
        schema="ops",
        comment="Realtime metrics with a time to live.",
    )
    op.create_table(
        "release_ledger",
        sa.Column("release_table", sa.Text(), nullable=False, comment="Table released to."),
        sa.Column("period_kind", sa.Text(), nullable=False, comment="day, week or month."),
        sa.Column("period", sa.Date(), nullable=False, comment="First day of the period."),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="closed, or withheld where no class was large enough.",
        ),
        sa.Column("released_classes", sa.Integer(), nullable=False, comment="Classes released."),
        sa.Column(
            "released_people", sa.Integer(), nullable=False, comment="People in released classes."
        ),
        sa.Column(
            "held_back_share",
            sa.Numeric(),
            nullable=True,
            comment="Upper bound of the share held back, in steps of 11 people; empty below 22.",
        ),
        sa.Column(
            "plan_version", sa.Text(), nullable=False, comment="Version of the release rules."
        ),
        sa.Column(
            "closed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the period closed.",
        ),
        sa.CheckConstraint("state in ('closed', 'withheld')", name=op.f("ck_release_ledger_state")),
        sa.PrimaryKeyConstraint(
            "release_table", "period_kind", "period", name=op.f("pk_release_ledger")
        ),
        schema="ops",
        comment="Every period that has closed; a period is released once.",
    )
    op.create_table(
        "retention_floor",
        sa.Column(
            "event_category",
            sa.Text(),
            nullable=False,
            comment="Retention class, or the table for others.",
        ),
        sa.Column(
            "kept_from", sa.Date(), nullable=False, comment="First day whose raw rows may exist."
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it last moved.",
        ),
        sa.PrimaryKeyConstraint("event_category", name=op.f("pk_retention_floor")),
        schema="ops",
        comment="Up to where raw was pruned; marts never rebuild days below it.",
    )
    op.create_table(
        "retention_log",
        sa.Column(
            "log_id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Order of the drops.",
        ),
        sa.Column("event_category", sa.Text(), nullable=True, comment="Retention class."),
        sa.Column("table_name", sa.Text(), nullable=False, comment="Table pruned."),
        sa.Column("partition_name", sa.Text(), nullable=True, comment="Partition dropped."),
        sa.Column("day", sa.Date(), nullable=True, comment="UTC day of the partition."),
        sa.Column(
            "rows_dropped",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Rows dropped.",
        ),
        sa.Column(
            "survivors",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Rows past the cut-off that were left; must be 0.",
        ),
        sa.Column("cutoff", sa.Date(), nullable=False, comment="First day kept."),
        sa.Column("dry_run", sa.Boolean(), nullable=False, comment="Only said what it would drop."),
        sa.Column(
            "executed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When.",
        ),
        sa.Column("run_id", sa.Text(), nullable=True, comment="The run."),
        sa.PrimaryKeyConstraint("log_id", name=op.f("pk_retention_log")),
        schema="ops",
        comment="What retention dropped.",
    )
    op.create_table(
        "run_durations",
        sa.Column("run_id", sa.Text(), nullable=False, comment="Dagster's run id."),
        sa.Column("job_name", sa.Text(), nullable=False, comment="The job."),
        sa.Column("status", sa.Text(), nullable=False, comment="How it ended."),
        sa.Column(
            "started_at", sa.DateTime(timezone=True), nullable=True, comment="When it started."
        ),
        sa.Column(
            "finished_at", sa.DateTime(timezone=True), nullable=True, comment="When it ended."
        ),
        sa.Column("seconds", sa.Numeric(), nullable=True, comment="How long it took."),
        sa.Column("partition_start", sa.Date(), nullable=True, comment="First day of its window."),
        sa.Column("partition_end", sa.Date(), nullable=True, comment="Last day of its window."),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_durations")),
        schema="ops",
        comment="How long runs took, kept beyond Dagster's own retention.",
    )
    op.create_table(
        "ai_usage_trends",
        sa.Column("week", sa.Date(), nullable=False, comment="Monday of the ISO week."),
        sa.Column(
            "avg_ai_percentage",
            sa.Numeric(),
            nullable=False,
            comment="Mean of people's 5-% buckets.",
        ),
        sa.Column(
            "analyses_count", sa.Integer(), nullable=False, comment="People analysed in the week."
        ),
        sa.CheckConstraint("analyses_count > 10", name=op.f("ck_ai_usage_trends_floor")),
        sa.PrimaryKeyConstraint("week", name=op.f("pk_ai_usage_trends")),
        schema="published",
        comment="Weekly AI share of the people analysed.",
    )
    op.create_table(
        "archetype_distribution",
        sa.Column("period", sa.Date(), nullable=False, comment="First day of the month."),
        sa.Column("archetype", sa.Text(), nullable=False, comment="Archetype, or any."),
        sa.Column(
            "count", sa.Integer(), nullable=False, comment="People of the archetype in the month."
        ),
        sa.Column(
            "avg_ai_score",
            sa.Numeric(),
            nullable=False,
            comment="Mean of people's 10-point buckets.",
        ),
        sa.CheckConstraint("count > 10", name=op.f("ck_archetype_distribution_floor")),
        sa.PrimaryKeyConstraint("period", "archetype", name=op.f("pk_archetype_distribution")),
        schema="published",
        comment="Monthly archetypes of the people analysed.",
    )
    op.create_table(
        "event_trends",
        sa.Column("period", sa.Date(), nullable=False, comment="First day of the period."),
        sa.Column("period_kind", sa.Text(), nullable=False, comment="day, week or month."),
        sa.Column(
            "event_category",
            sa.Text(),
            nullable=False,
            comment="Category of the person's most frequent event type, or any.",
        ),
        sa.Column(
            "event_type",
            sa.Text(),
            nullable=False,
            comment="The person's most frequent event type, or any.",
        ),
        sa.Column(
            "n_people", sa.Integer(), nullable=False, comment="Distinct people in the period."
        ),
        sa.CheckConstraint(
            "period_kind in ('day', 'week', 'month')", name=op.f("ck_event_trends_period_kind")
        ),
        sa.CheckConstraint("n_people > 10", name=op.f("ck_event_trends_floor")),
        sa.PrimaryKeyConstraint(
            "period", "period_kind", "event_category", "event_type", name=op.f("pk_event_trends")
        ),
        schema="published",
        comment="People by what they did most in the period.",
    )
    op.create_table(
        "install_trends",
        sa.Column("period", sa.Date(), nullable=False, comment="First day of the period."),
        sa.Column("period_kind", sa.Text(), nullable=False, comment="day, week or month."),
        sa.Column("server_id", sa.Text(), nullable=False, comment="The server, or any."),
        sa.Column(
            "n_people", sa.Integer(), nullable=False, comment="Distinct people in the period."
        ),
        sa.CheckConstraint(
            "period_kind in ('day', 'week', 'month')", name=op.f("ck_install_trends_period_kind")
        ),
        sa.CheckConstraint("n_people > 10", name=op.f("ck_install_trends_floor")),
        sa.PrimaryKeyConstraint(
            "period", "period_kind", "server_id", name=op.f("pk_install_trends")
        ),
        schema="published",
        comment="People by the server they installed most in the period.",
    )
    op.create_table(
        "search_trends",
        sa.Column("period", sa.Date(), nullable=False, comment="First day of the period."),
        sa.Column("period_kind", sa.Text(), nullable=False, comment="day, week or month."),
        sa.Column("query", sa.Text(), nullable=False, comment="The normalised query, or any."),
        sa.Column(
            "n_people", sa.Integer(), nullable=False, comment="Distinct people in the period."
        ),
        sa.CheckConstraint(
            "period_kind in ('day', 'week', 'month')", name=op.f("ck_search_trends_period_kind")
        ),
        sa.CheckConstraint("n_people > 10", name=op.f("ck_search_trends_floor")),
        sa.PrimaryKeyConstraint("period", "period_kind", "query", name=op.f("pk_search_trends")),
        schema="published",
        comment="People by what they searched most in the period.",
    )
    op.create_table(
        "conversations",
        sa.Column(
            "day", sa.Date(), nullable=False, comment="UTC date of started_at; the partition key."
        ),
        sa.Column("conversation_id", sa.Text(), nullable=False, comment="The application's id."),
        sa.Column("user_id", sa.Text(), nullable=True, comment="Whose conversation it is."),
        sa.Column(
            "subject",
            sa.Text(),
            nullable=True,
            comment="The person behind the row: the source's stable subject.",
        ),
        sa.Column(
            "started_at", sa.DateTime(timezone=True), nullable=False, comment="When it began."
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True, comment="When it ended."),
        sa.Column("title", sa.Text(), nullable=True, comment="Its title, personal."),
        sa.Column("channel", sa.Text(), nullable=True, comment="Where it took place."),
        sa.Column(
            "metadata",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Anything else the application keeps.",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="Where the row came from."),
        sa.Column(
            "ingested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was loaded.",
        ),
        sa.CheckConstraint(
            "day = (\"started_at\" at time zone 'UTC')::date", name=op.f("ck_conversations_day")
        ),
        sa.PrimaryKeyConstraint("day", "conversation_id", name=op.f("pk_conversations")),
        schema="raw",
        comment="Conversations of the application's users.",
        postgresql_partition_by="range (day)",
    )
    op.create_table(
        "messages",
        sa.Column(
            "day", sa.Date(), nullable=False, comment="UTC date of created_at; the partition key."
        ),
        sa.Column("message_id", sa.Text(), nullable=False, comment="The application's id."),
        sa.Column(
            "conversation_id", sa.Text(), nullable=False, comment="The conversation it belongs to."
        ),
        sa.Column("user_id", sa.Text(), nullable=True, comment="Whose conversation it is."),
        sa.Column(
            "subject",
            sa.Text(),
            nullable=True,
            comment="The person behind the row: the source's stable subject.",
        ),
        sa.Column("role", sa.Text(), nullable=False, comment="user, assistant, tool or system."),
        sa.Column("content", sa.Text(), nullable=False, comment="The text, personal."),
        sa.Column("tool_name", sa.Text(), nullable=True, comment="The tool, where one spoke."),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), nullable=False, comment="When it was sent."
        ),
        sa.Column(
            "metadata",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Anything else the application keeps.",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="Where the row came from."),
        sa.Column(
            "ingested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was loaded.",
        ),
        sa.CheckConstraint(
            "role in ('user', 'assistant', 'tool', 'system')", name=op.f("ck_messages_role")
        ),
        sa.CheckConstraint(
            "day = (\"created_at\" at time zone 'UTC')::date", name=op.f("ck_messages_day")
        ),
        sa.PrimaryKeyConstraint("day", "message_id", name=op.f("pk_messages")),
        schema="raw",
        comment="Messages of conversations.",
        postgresql_partition_by="range (day)",
    )
    op.create_table(
        "platform_events",
        sa.Column(
            "event_category", sa.Text(), nullable=False, comment="Category = retention class."
        ),
        sa.Column(
            "day", sa.Date(), nullable=False, comment="UTC date of timestamp; the partition key."
        ),
        sa.Column(
            "event_id", sa.Uuid(), nullable=False, comment="The sender's id, or one of the content."
        ),
        sa.Column(
            "event_type",
            sa.Text(),
            nullable=False,
            comment="What happened; a type of the catalogue.",
        ),
        sa.Column(
            "timestamp",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it happened, as the client says.",
        ),
        sa.Column("user_id", sa.Text(), nullable=True, comment="Who did it."),
        sa.Column("user_role", sa.Text(), nullable=True, comment="The user's role at that time."),
        sa.Column(
            "user_tenure_days",
            sa.Integer(),
            nullable=True,
            comment="Whole days since sign-up at that time.",
        ),
        sa.Column(
            "subject",
            sa.Text(),
            nullable=True,
            comment="The person behind the row: the source's stable subject.",
        ),
        sa.Column("session_id", sa.Text(), nullable=True, comment="The session it belongs to."),
        sa.Column("entity_type", sa.Text(), nullable=True, comment="Kind of thing acted on."),
        sa.Column("entity_id", sa.Text(), nullable=True, comment="The thing acted on."),
        sa.Column(
            "event_data",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Fields of the event type.",
        ),
        sa.Column(
            "metadata",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Anything else the sender added.",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="Where the row came from."),
        sa.Column(
            "geo_location",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="{country, region, city}",
        ),
        sa.Column(
            "device_info",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="{device_type, browser, os}",
        ),
        sa.Column(
            "ingested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was loaded.",
        ),
        sa.CheckConstraint(
            "day = (\"timestamp\" at time zone 'UTC')::date", name=op.f("ck_platform_events_day")
        ),
        sa.PrimaryKeyConstraint(
            "event_category", "day", "event_id", name=op.f("pk_platform_events")
        ),
        schema="raw",
        comment="Every accepted platform event, one row each.",
        postgresql_partition_by="list (event_category)",
    )
    op.create_index(
        "ix_platform_events_user_id_timestamp",
        "platform_events",
        ["user_id", "timestamp"],
        unique=False,
        schema="raw",
    )
    op.create_table(
        "rejected_events",
        sa.Column(
            "received_day", sa.Date(), nullable=False, comment="UTC date of receipt; partition key."
        ),
        sa.Column(
            "rejected_id", sa.Uuid(), nullable=False, comment="Derived from source and position."
        ),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was received.",
        ),
        sa.Column("kind", sa.Text(), nullable=False, comment="What the record was meant to be."),
        sa.Column("source", sa.Text(), nullable=False, comment="Where it came from."),
        sa.Column("location", sa.Text(), nullable=True, comment="File and line, or inbox number."),
        sa.Column(
            "payload",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="The record, where it could be read as JSON.",
        ),
        sa.Column(
            "raw_text", sa.Text(), nullable=True, comment="The record, where it could not; escaped."
        ),
        sa.Column("event_type", sa.Text(), nullable=True, comment="The type it claimed."),
        sa.Column(
            "processing_status",
            sa.Text(),
            nullable=False,
            comment="rejected, replayed or discarded.",
        ),
        sa.Column("error_code", sa.Text(), nullable=False, comment="Stable code of the reason."),
        sa.Column(
            "error_message", sa.Text(), nullable=False, comment="The reason, and what to do."
        ),
        sa.Column(
            "retry_count",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Replays.",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the row last changed.",
        ),
        sa.CheckConstraint(
            "processing_status in ('rejected', 'replayed', 'discarded')",
            name=op.f("ck_rejected_events_processing_status"),
        ),
        sa.PrimaryKeyConstraint("received_day", "rejected_id", name=op.f("pk_rejected_events")),
        schema="raw",
        comment="Quarantine: records that failed a check, kept to be mended and replayed.",
        postgresql_partition_by="range (received_day)",
    )
    op.create_table(
        "servers",
        sa.Column("server_id", sa.Text(), nullable=False, comment="The registry's id."),
        sa.Column(
            "valid_from",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Since when this holds.",
        ),
        sa.Column(
            "valid_to",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Until when; empty while it holds.",
        ),
        sa.Column("name", sa.Text(), nullable=False, comment="Its name."),
        sa.Column("category", sa.Text(), nullable=True, comment="Its category."),
        sa.Column("status", sa.Text(), nullable=True, comment="active, deprecated or removed."),
        sa.Column(
            "metadata",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Anything else the registry keeps.",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="Where the row came from."),
        sa.Column(
            "ingested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was loaded.",
        ),
        sa.PrimaryKeyConstraint("server_id", "valid_from", name=op.f("pk_servers")),
        schema="raw",
        comment="History of the registry's servers.",
    )
    op.create_table(
        "service_jobs",
        sa.Column(
            "day", sa.Date(), nullable=False, comment="UTC date of created_at; the partition key."
        ),
        sa.Column("job_id", sa.Text(), nullable=False, comment="The application's id."),
        sa.Column("user_id", sa.Text(), nullable=True, comment="Who asked for it."),
        sa.Column(
            "subject",
            sa.Text(),
            nullable=True,
            comment="The person behind the row: the source's stable subject.",
        ),
        sa.Column(
            "conversation_id", sa.Text(), nullable=True, comment="The conversation it came from."
        ),
        sa.Column("job_type", sa.Text(), nullable=False, comment="What was asked for."),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="pending, running, succeeded, failed or cancelled.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was asked for.",
        ),
        sa.Column(
            "finished_at", sa.DateTime(timezone=True), nullable=True, comment="When it ended."
        ),
        sa.Column("credits", sa.Numeric(), nullable=True, comment="Credits it cost."),
        sa.Column(
            "metadata",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Anything else the application keeps.",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="Where the row came from."),
        sa.Column(
            "ingested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was loaded.",
        ),
        sa.CheckConstraint(
            "status in ('pending', 'running', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_service_jobs_status"),
        ),
        sa.CheckConstraint(
            "day = (\"created_at\" at time zone 'UTC')::date", name=op.f("ck_service_jobs_day")
        ),
        sa.PrimaryKeyConstraint("day", "job_id", name=op.f("pk_service_jobs")),
        schema="raw",
        comment="Jobs users had the service do.",
        postgresql_partition_by="range (day)",
    )
    op.create_table(
        "users",
        sa.Column("user_id", sa.Text(), nullable=False, comment="The application's id."),
        sa.Column(
            "valid_from",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Since when this holds.",
        ),
        sa.Column(
            "valid_to",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Until when; empty while it holds.",
        ),
        sa.Column("role", sa.Text(), nullable=True, comment="Role in the application."),
        sa.Column(
            "signup_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the account was opened.",
        ),
        sa.Column(
            "insights_consent",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="Agreed to LLM insights.",
        ),
        sa.Column(
            "is_internal",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="Staff, bot or test account: never counted towards k.",
        ),
        sa.Column(
            "subject",
            sa.Text(),
            nullable=True,
            comment="The person behind the row: the source's stable subject.",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="Where the row came from."),
        sa.Column(
            "ingested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was loaded.",
        ),
        sa.PrimaryKeyConstraint("user_id", "valid_from", name=op.f("pk_users")),
        schema="raw",
        comment="History of users: one row per span of time in which nothing changed.",
    )
    op.create_table(
        "known_identifiers",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Whose identifier it is."),
        sa.Column("kind", sa.Text(), nullable=False, comment="name, email, handle, ..."),
        sa.Column("value", sa.Text(), nullable=False, comment="The identifier."),
        sa.PrimaryKeyConstraint("user_id", "kind", "value", name=op.f("pk_known_identifiers")),
        schema="vault",
        comment="Identifiers that must never leave: the scrubber's dictionary.",
    )
    op.create_table(
        "period_keys",
        sa.Column("period_kind", sa.Text(), nullable=False, comment="day, week or month."),
        sa.Column("period", sa.Date(), nullable=False, comment="First day of the period."),
        sa.Column(
            "inner_pad", sa.LargeBinary(), nullable=False, comment="HMAC inner pad (RFC 2104)."
        ),
        sa.Column(
            "outer_pad", sa.LargeBinary(), nullable=False, comment="HMAC outer pad (RFC 2104)."
        ),
        sa.CheckConstraint(
            "length(inner_pad) = 64 and length(outer_pad) = 64",
            name=op.f("ck_period_keys_pad_length"),
        ),
        sa.PrimaryKeyConstraint("period_kind", "period", name=op.f("pk_period_keys")),
        schema="vault",
        comment="Random HMAC key of each open period; deleted when the period closes.",
    )
    op.create_table(
        "release_counts",
        sa.Column(
            "release_table", sa.Text(), nullable=False, comment="The table a class is released to."
        ),
        sa.Column("period_kind", sa.Text(), nullable=False, comment="day, week or month."),
        sa.Column("period", sa.Date(), nullable=False, comment="First day of the period."),
        sa.Column(
            "dimensions",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="The class: its quasi-identifiers.",
        ),
        sa.Column(
            "n_people", sa.Integer(), nullable=False, comment="Exact number of distinct people."
        ),
        sa.Column(
            "measures",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Aggregates released with the class.",
        ),
        sa.CheckConstraint("n_people > 10", name=op.f("ck_release_counts_floor")),
        sa.PrimaryKeyConstraint(
            "release_table", "period_kind", "period", "dimensions", name=op.f("pk_release_counts")
        ),
        schema="vault",
        comment="Exact counts of classes about to be released; emptied in the same transaction.",
    )

    owners = {
        "analytics_pipeline": {
            "inbox": ["entries"],
            "raw": [
                "platform_events",
                "rejected_events",
                "conversations",
                "messages",
                "service_jobs",
                "users",
                "servers",
            ],
            "insights": ["analysis_cache", "daily_summary"],
        },
        "release_owner": {
            "anonymous": ["analytics_events"],
            "published": [
                "ai_usage_trends",
                "archetype_distribution",
                "event_trends",
                "install_trends",
                "search_trends",
            ],
        },
    }
    for owner, schemas in owners.items():
        for schema, tables in schemas.items():
            for table in tables:
                op.execute(f"alter table {schema}.{table} owner to {owner}")


def downgrade() -> None:
    raise RuntimeError("0001 creates the platform; to undo it, drop the database")
