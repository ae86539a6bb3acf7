"""Groups of users: vectors, clusters, segments, and the tables that hold what passed the gate."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

GROUP_TABLES = {
    "use_cases": (
        "Most frequent topic (Topic in insights/taxonomy.py).",
        "What groups of users try to do; passed the gate.",
    ),
    "feature_requests": (
        "Most frequent area (FeatureRequest).",
        "What groups of users ask the product to have; passed the gate.",
    ),
    "friction_points": (
        "Most frequent friction (Friction).",
        "Where groups of users get stuck; passed the gate.",
    ),
}
PERSONAL = ("facet_vectors", "clusters", "group_answers", "segments", "reading_plans")
GATED = (*GROUP_TABLES, "personas")


def upgrade() -> None:
    _personal()
    for table, (value, comment) in GROUP_TABLES.items():
        op.create_table(
            table,
            _day("as_of_day", "Last of the 28 days it is made of."),
            _text("label", "What they have in common, in a few words."),
            _text("description", "The same in a sentence; empty where nobody wrote one."),
            _text("value", value),
            _integer("n_people", "Distinct people; more than 10."),
            _integer("n_conversations", "Conversations; 20 or more."),
            _number("top_share", "Of the busiest person; to 0.2."),
            _number("share", "Of all people read, estimated."),
            _number("share_low", "Lower end, 95 %."),
            _number("share_high", "Upper end, 95 %."),
            _text("label_source", "model, terms (words of many) or taxonomy (closed lists)."),
            _score("The auditor's, 4 or 5."),
            *_floor(table),
            sa.PrimaryKeyConstraint("as_of_day", "label", name=op.f(f"pk_{table}")),
            schema="insights",
            comment=comment,
        )
    op.create_table(
        "personas",
        _day("month", "First day of the month."),
        _text("persona", "A topic, mixed or occasional."),
        _text("description", "Who they are, in one sentence."),
        _integer("n_people", "Distinct people; more than 10."),
        _integer("n_conversations", "Conversations; 20 or more."),
        _number("top_share", "Of the busiest person; to 0.2."),
        sa.Column(
            "features",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Shares and means over all of them.",
        ),
        _text("label_source", "model or rules."),
        _score("The auditor's, 4 or 5."),
        *_floor("personas"),
        sa.PrimaryKeyConstraint("month", "persona", name=op.f("pk_personas")),
        schema="insights",
        comment="Kinds of users by what they come for; passed the gate.",
    )
    # The pipeline owns its zone; analysts read what passed the gate.
    for table in (*PERSONAL, *GATED):
        op.execute(f"alter table insights.{table} owner to analytics_pipeline")
    for table in GATED:
        op.execute(f"grant select on insights.{table} to analytics_analyst")


def downgrade() -> None:
    for table in (*GATED, *PERSONAL):
        op.drop_table(table, schema="insights")


def _personal() -> None:
    op.create_table(
        "facet_vectors",
        _text("user_id", "Whose words."),
        _text("text_digest", "HMAC of the text under the user's key."),
        _text("embedder", "What made the vector."),
        _bytes("vector", "384 float16, little-endian."),
        _day("day", "UTC day of the words it was made for."),
        sa.PrimaryKeyConstraint(
            "user_id", "text_digest", "embedder", name=op.f("pk_facet_vectors")
        ),
        schema="insights",
        comment="Vectors of what users were about; personal, deleted with the consent.",
    )
    op.create_table(
        "clusters",
        _text("kind", "use_case, feature_request or friction_point."),
        _day("as_of_day", "Last of the 28 days they were made of."),
        _text("level", "cluster, or group: one or several that stand."),
        sa.Column(
            "number",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Kept from run to run.",
        ),
        _bytes("centroid", "Mean direction: 384 float32."),
        _text("embedder", "What made the vectors."),
        _text("label", "Name of a group.", nullable=True),
        _text("description", "One sentence about a group.", nullable=True),
        _text("label_source", "Who named it.", nullable=True),
        sa.Column("score", sa.SmallInteger(), nullable=True, comment="The auditor's, 1 to 5."),
        _text("prompt_version", "Instructions it was named by.", nullable=True),
        sa.CheckConstraint("level in ('cluster', 'group')", name=op.f("ck_clusters_level")),
        sa.PrimaryKeyConstraint("kind", "as_of_day", "level", "number", name=op.f("pk_clusters")),
        schema="insights",
        comment="Clusters of the last runs, for the next to keep their numbers and names.",
    )
    op.create_table(
        "group_answers",
        _text("answer_key", "Hash of everything that decides the answer."),
        _text("stage", "What was asked."),
        sa.Column(
            "answer",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="The validated answer, before the gate.",
        ),
        _text("model", "The model that answered."),
        _day("used_on", "Last day whose groups used it."),
        sa.PrimaryKeyConstraint("answer_key", name=op.f("pk_group_answers")),
        schema="insights",
        comment="What models said about groups, kept by content; not for reading, see the gate.",
    )
    op.create_table(
        "reading_plans",
        _day("day", "UTC day that was read."),
        sa.Column(
            "tier", sa.SmallInteger(), nullable=False, comment="1 to 4, by users of 28 days."
        ),
        _integer("users", "Consenting users who wrote in 28 days."),
        _integer("conversations", "Conversations of the day."),
        _integer("drawn", "Those a model may read."),
        sa.Column(
            "strata",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Stratum to its conversations and those drawn.",
        ),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_reading_plans")),
        schema="insights",
        comment="How much of each day a model reads, and what a conversation read stands for.",
    )
    op.create_table(
        "segments",
        _text("user_id", "The user."),
        _day("month", "First day of the month."),
        _text("segment", "How active: new, regular, occasional, fading (Segment)."),
        _text("persona", "What for: a topic, mixed or occasional (personas.py)."),
        _integer("conversations", "Conversations read."),
        _integer("active_days", "Days with a conversation."),
        sa.CheckConstraint(
            "conversations > 0 and active_days > 0", name=op.f("ck_segments_counts")
        ),
        sa.PrimaryKeyConstraint("user_id", "month", name=op.f("pk_segments")),
        schema="insights",
        comment="Each consenting user's month in one word each; personal.",
    )


def _text(name: str, comment: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable, comment=comment)


def _day(name: str, comment: str) -> sa.Column[date]:
    return sa.Column(name, sa.Date(), nullable=False, comment=comment)


def _integer(name: str, comment: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, comment=comment)


def _number(name: str, comment: str) -> sa.Column[Decimal]:
    return sa.Column(name, sa.Numeric(), nullable=False, comment=comment)


def _bytes(name: str, comment: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False, comment=comment)


def _score(comment: str) -> sa.Column[int]:
    return sa.Column("score", sa.SmallInteger(), nullable=False, comment=comment)


def _floor(table: str) -> list[sa.CheckConstraint]:
    return [
        sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))
        for name, rule in (
            ("people", "n_people > 10"),
            ("conversations", "n_conversations >= 20"),
            ("top_share", "top_share <= 0.2"),
            ("score", "score >= 4"),
        )
    ]
