"""Zone ``insights``: what the LLM said per user, and the daily summary.

Invariant: ``analysis_cache`` is personal (admins and the user concerned); ``daily_summary`` says
nothing about fewer than 11 people.
"""

from __future__ import annotations

from sqlalchemy import Column, Date, Index, Table
from sqlalchemy.dialects.postgresql import JSONB

from analytics_assets.store.models.base import (
    json_object,
    metadata,
    moment,
    recorded_now,
    text_column,
)

analysis_cache = Table(
    "analysis_cache",
    metadata,
    text_column("user_id", "Whom the insight is about.", primary_key=True),
    Column("analysis_date", Date, primary_key=True, comment="UTC day of the conversations."),
    Column("insights", JSONB, nullable=False, comment="The validated answer."),
    text_column("cache_key", "Hash of everything that decides the answer."),
    text_column("model", "The model that answered."),
    text_column("prompt_version", "Version of the prompt."),
    recorded_now("created_at", "When it was answered."),
    Index("ix_analysis_cache_cache_key", "cache_key"),
    schema="insights",
    comment="Per-user insights of a day, kept by content.",
)

daily_summary = Table(
    "daily_summary",
    metadata,
    Column("day", Date, primary_key=True, comment="UTC day summed up."),
    text_column("markdown", "The summary."),
    json_object("missing", "What is missing, and since when."),
    text_column("content_hash", "Hash of the summary, to post each text once."),
    moment("posted_at", "When it was posted.", nullable=True),
    text_column("posted_hash", "Hash of what was posted.", nullable=True),
    recorded_now("updated_at", "When it last changed."),
    schema="insights",
    comment="One summary a day, for people.",
)
