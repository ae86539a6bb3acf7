"""Zones ``anonymous`` and ``published``: what may leave the platform.

The tables that are shipped; a plan may add more, which privacy/plan_store.py makes. Owned by
``release_owner``; the pipeline may insert and nothing else. Invariant: a class holds more than 10
people, counted exactly in ``vault`` in the transaction that inserts it.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Date, Integer, Numeric, Table, Uuid, text

from analytics_assets.store.models.base import metadata, text_column


def _bucket(name: str, step: int) -> Column[int]:
    return Column(
        name, Integer, comment=f"0..100 in steps of {step}; empty where generalised away."
    )


analytics_events = Table(
    "analytics_events",
    metadata,
    Column(
        "id",
        Uuid,
        primary_key=True,
        server_default=text("gen_random_uuid()"),
        comment="Random; derived from nobody.",
    ),
    text_column("event_type", "profile_analyzed, package_generated, or any."),
    text_column("archetype", "Developer archetype, or any."),
    _bucket("activity_score_bucket", 10),
    _bucket("collab_score_bucket", 10),
    _bucket("diversity_score_bucket", 10),
    _bucket("ai_savviness_bucket", 10),
    _bucket("ai_percentage_bucket", 5),
    text_column("top_languages", "Most used language, its family, or any."),
    text_column("tools_detected", "Most used tool, or any."),
    text_column("template_used", "Template of the package, or any."),
    Column("created_at", Date, nullable=False, comment="UTC day; no finer."),
    schema="anonymous",
    comment="One row per person and day, only in classes of more than 10 people.",
)

ai_usage_trends = Table(
    "ai_usage_trends",
    metadata,
    Column("week", Date, primary_key=True, comment="Monday of the ISO week."),
    Column(
        "avg_ai_percentage",
        Numeric,
        comment="Mean of people's 5-% buckets, from released counts; "
        "empty where all are generalised.",
    ),
    Column("analyses_count", Integer, nullable=False, comment="People analysed in the week."),
    CheckConstraint("analyses_count > 10", name="floor"),
    schema="published",
    comment="Weekly AI share of the people analysed.",
)

archetype_distribution = Table(
    "archetype_distribution",
    metadata,
    Column("period", Date, primary_key=True, comment="First day of the month."),
    text_column("archetype", "Archetype, or any.", primary_key=True),
    Column("count", Integer, nullable=False, comment="People of the archetype in the month."),
    Column(
        "avg_ai_score",
        Numeric,
        comment="Mean of people's 10-point buckets, from released counts; "
        "empty where all are generalised.",
    ),
    CheckConstraint("count > 10", name="floor"),
    schema="published",
    comment="Monthly archetypes of the people analysed.",
)


def _trend(name: str, comment: str, *dimensions: tuple[str, str]) -> Table:
    return Table(
        name,
        metadata,
        Column("period", Date, primary_key=True, comment="First day of the period."),
        text_column("period_kind", "day, week or month.", primary_key=True),
        *(text_column(column, what, primary_key=True) for column, what in dimensions),
        Column("n_people", Integer, nullable=False, comment="Distinct people in the period."),
        CheckConstraint("n_people > 10", name="floor"),
        CheckConstraint("period_kind in ('day', 'week', 'month')", name="period_kind"),
        schema="published",
        comment=comment,
    )


event_trends = _trend(
    "event_trends",
    "People by what they did most in the period.",
    ("event_category", "Category of the person's most frequent event type, or any."),
    ("event_type", "The person's most frequent event type, or any."),
)
install_trends = _trend(
    "install_trends",
    "People by the server they installed most in the period.",
    ("server_id", "The server, or any."),
)
search_trends = _trend(
    "search_trends",
    "People by what they searched most in the period.",
    ("query", "The normalised query, or any."),
)
