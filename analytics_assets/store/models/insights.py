"""Zone ``insights``: what the LLM said per user, and the daily summary.

Invariant: ``analysis_cache`` is personal (admins and the user concerned); ``daily_summary`` says
nothing about fewer than 11 people.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Date, Index, Integer, SmallInteger, Table
from sqlalchemy.dialects.postgresql import JSONB

from analytics_assets.store.models.base import (
    json_object,
    metadata,
    moment,
    recorded_now,
    text_column,
)

conversation_facets = Table(
    "conversation_facets",
    metadata,
    Column("day", Date, primary_key=True, comment="UTC day of the messages read."),
    text_column("conversation_id", "The conversation.", primary_key=True),
    text_column("user_id", "Who talked; only this user's words were read.", primary_key=True),
    text_column("task", "What the user wanted done (Task in insights/taxonomy.py)."),
    text_column("topic", "The field it belongs to (Topic)."),
    text_column("outcome", "achieved, partly, not_achieved or unclear (Outcome)."),
    text_column("friction", "What stood most in the way; none where nothing did (Friction)."),
    Column(
        "sentiment", SmallInteger, nullable=False, comment="Mood, 1 very negative to 5; 3 none."
    ),
    text_column("feature_request", "Area of a wish to the product; none (FeatureRequest)."),
    text_column("summary", "What the user tried to do: at most 140 characters, names nobody."),
    text_column("wish", "What the user asked the product to have; empty without a wish."),
    Column(
        "user_messages", Integer, nullable=False, comment="Messages the user wrote in it that day."
    ),
    text_column("source", "model, or rules where no model read it."),
    Column(
        "behind_since",
        Date,
        comment="Since when rules stand in, or the model has not read the newest words.",
    ),
    text_column("text_digest", "HMAC of the scrubbed words under the user's key."),
    text_column("cache_key", "Hash of everything that decides the answer."),
    text_column("model", "The model, or the version of the rules."),
    text_column("prompt_version", "Version of the instructions."),
    recorded_now("created_at", "When it was last written."),
    CheckConstraint("source in ('model', 'rules')", name="source"),
    CheckConstraint("source = 'model' or behind_since is not null", name="rules_since"),
    CheckConstraint("sentiment between 1 and 5", name="sentiment"),
    CheckConstraint("user_messages > 0", name="user_messages"),
    CheckConstraint("length(summary) <= 200 and length(wish) <= 200", name="short"),
    Index("ix_conversation_facets_cache_key", "cache_key"),
    Index("ix_conversation_facets_user_id", "user_id", "day"),
    schema="insights",
    comment="What a consenting user's conversation of a day was about; personal, never published.",
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
