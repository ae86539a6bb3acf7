"""Zone ``insights``: what was read or reckoned about users, and the answers made of it.

Invariant: tables with a ``user_id`` are personal (admins and the user concerned); the others say
nothing about fewer than 11 people, but for the owner's own rows, which analysts are not shown.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

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
    text_column(
        "stratum",
        "Of a day that was sampled: what it was drawn from; empty where not drawn.",
        nullable=True,
    ),
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
    text_column("slack_message", "Channel and time stamp of the message.", nullable=True),
    recorded_now("updated_at", "When it last changed."),
    schema="insights",
    comment="One summary a day, for people.",
)

return_predictions = Table(
    "return_predictions",
    metadata,
    Column(
        "as_of_day", Date, primary_key=True, comment="A Monday; only days before it were looked at."
    ),
    text_column("user_id", "Whom it is about; consents and is not internal.", primary_key=True),
    Column("horizon_days", SmallInteger, nullable=False, comment="Days from as_of_day on."),
    Column(
        "probability",
        Numeric(5, 4),
        nullable=False,
        comment="Of being active on any of those days.",
    ),
    Column(
        "calibrated",
        Boolean,
        nullable=False,
        comment="Whether it held as a share on weeks the model had not seen.",
    ),
    Column(
        "reasons",
        ARRAY(Text),
        nullable=False,
        comment="What moved it most (insights/returns/reasons.py); empty where nothing stands out.",
    ),
    text_column("model_version", "Version and kind of the model."),
    CheckConstraint("probability between 0 and 1", name="probability"),
    CheckConstraint("extract(isodow from as_of_day) = 1", name="monday"),
    Index("ix_return_predictions_user_id", "user_id"),
    schema="insights",
    comment="Who will probably be active in the week from a Monday on; personal, never published.",
)

return_models = Table(
    "return_models",
    metadata,
    Column("as_of_day", Date, primary_key=True, comment="The Monday of its predictions."),
    text_column("model_version", "Version and kind of the model; empty where there is none."),
    Column("trained_rows", Integer, nullable=False, comment="User-weeks it learned from."),
    Column("tested_rows", Integer, nullable=False, comment="User-weeks it was tried on, unseen."),
    Column("auc", Numeric(5, 4), comment="Of ten thousand pairs, how many are in order."),
    Column("baseline_auc", Numeric(5, 4), comment="The same of recency and frequency alone."),
    Column("ece", Numeric(5, 4), comment="Mean distance of probability and share, in ten bins."),
    Column("brier", Numeric(6, 5), comment="Mean squared error of the probability."),
    Column("baseline_brier", Numeric(6, 5), comment="The same of recency and frequency alone."),
    text_column("why_none", "Why nothing was predicted; empty where it was."),
    schema="insights",
    comment="How the model behind a Monday's predictions did on weeks it had not seen.",
)

payment_signals = Table(
    "payment_signals",
    metadata,
    Column("day", Date, primary_key=True, comment="UTC day on which credits ran out."),
    text_column("user_id", "Whose; internal users are left out.", primary_key=True),
    Column("credit_limits", Integer, nullable=False, comment="How often on that day."),
    Column(
        "returned", Boolean, comment="Active in the seven days after; empty while they are open."
    ),
    Column("days_until_return", SmallInteger, comment="Days until the first active one, 1 to 7."),
    Column("conversations_after", Integer, nullable=False, comment="In the seven days after."),
    Column("jobs_after", Integer, nullable=False, comment="In the seven days after."),
    Column("downloads_after", Integer, nullable=False, comment="In the seven days after."),
    Column("shares_after", Integer, nullable=False, comment="In the seven days after."),
    CheckConstraint("credit_limits > 0", name="credit_limits"),
    Index("ix_payment_signals_user_id", "user_id"),
    schema="insights",
    comment="What users did after their credits ran out; personal, never published.",
)

metric_anomalies = Table(
    "metric_anomalies",
    metadata,
    Column("day", Date, primary_key=True, comment="UTC day, complete."),
    text_column("metric_name", "As in marts.daily_metrics.", primary_key=True),
    Column("value", Numeric, nullable=False, comment="What it was."),
    Column("expected", Numeric, nullable=False, comment="Median of the same weekday before."),
    Column("low", Numeric, nullable=False, comment="Lowest value that would not stand out."),
    Column("high", Numeric, nullable=False, comment="Highest value that would not stand out."),
    Column("score", Numeric(8, 2), nullable=False, comment="Robust z: above 3.5 either way."),
    Column(
        "same_weekdays", SmallInteger, nullable=False, comment="Days the expectation stands on."
    ),
    schema="insights",
    comment="Days on which a daily metric stood out from its weekly rhythm.",
)

success_metrics = Table(
    "success_metrics",
    metadata,
    Column("week", Date, primary_key=True, comment="Monday of the week the figures end with."),
    text_column("question", "Which question it answers (success_questions.py).", primary_key=True),
    text_column("metric", "What is measured.", primary_key=True),
    text_column("label", "Of what, where a metric has several; else empty.", primary_key=True),
    Column("rank", SmallInteger, nullable=False, comment="Place within its question."),
    text_column("unit", "share, mean, count or text."),
    Column("value", Numeric, comment="Empty where too few people stand behind it."),
    Column("low", Numeric, comment="Lower end of the interval of 95 %."),
    Column("high", Numeric, comment="Upper end."),
    Column("people", Integer, nullable=False, comment="People it stands on, to the 5 below."),
    Column(
        "conversations",
        Integer,
        nullable=False,
        comment="Conversations it stands on, to the 5 below; 0 where it needs none.",
    ),
    text_column("confidence", "high, medium, low or none."),
    Column(
        "individual", Boolean, nullable=False, comment="About the owner alone, who asked for it."
    ),
    text_column("note", "What to know about it, or what is missing."),
    CheckConstraint("unit in ('share', 'mean', 'count', 'text')", name="unit"),
    CheckConstraint("confidence in ('high', 'medium', 'low', 'none')", name="confidence"),
    CheckConstraint("individual or value is null or people >= 11", name="floor"),
    schema="insights",
    comment="Answers about product-market fit, of the 28 days that end with a week.",
)
