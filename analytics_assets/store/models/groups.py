"""Zone ``insights``: groups of people and what they have in common.

Invariant: vectors, clusters, answers and segments are personal or made before the gate, and read by
the pipeline alone; the other tables hold what passed the gate, and the floor stands in the table.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from analytics_assets.store.models.base import metadata, text_column

facet_vectors = Table(
    "facet_vectors",
    metadata,
    text_column("user_id", "Whose words.", primary_key=True),
    text_column("text_digest", "HMAC of the text under the user's key.", primary_key=True),
    text_column("embedder", "What made the vector.", primary_key=True),
    Column("vector", LargeBinary, nullable=False, comment="384 float16, little-endian."),
    Column("day", Date, nullable=False, comment="UTC day of the words it was made for."),
    schema="insights",
    comment="Vectors of what users were about; personal, deleted with the consent.",
)

clusters = Table(
    "clusters",
    metadata,
    text_column("kind", "use_case, feature_request or friction_point.", primary_key=True),
    Column("as_of_day", Date, primary_key=True, comment="Last of the 28 days they were made of."),
    text_column("level", "cluster, or group: one or several that stand.", primary_key=True),
    Column(
        "number",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="Kept from run to run.",
    ),
    Column("centroid", LargeBinary, nullable=False, comment="Mean direction: 384 float32."),
    text_column("embedder", "What made the vectors."),
    text_column("label", "Name of a group.", nullable=True),
    text_column("description", "One sentence about a group.", nullable=True),
    text_column("label_source", "Who named it.", nullable=True),
    Column("score", SmallInteger, comment="The auditor's, 1 to 5."),
    text_column("prompt_version", "Instructions it was named by.", nullable=True),
    Column(
        "far",
        Numeric,
        comment="Of clusters: distance from its centroid that 1 % of the run's rows exceed.",
    ),
    CheckConstraint("level in ('cluster', 'group')", name="level"),
    schema="insights",
    comment="Clusters of the last runs, for the next to keep their numbers and names.",
)

group_answers = Table(
    "group_answers",
    metadata,
    text_column("answer_key", "Hash of everything that decides the answer.", primary_key=True),
    text_column("stage", "What was asked."),
    Column("answer", JSONB, nullable=False, comment="The validated answer, before the gate."),
    text_column("model", "The model that answered."),
    Column("used_on", Date, nullable=False, comment="Last day whose groups used it."),
    schema="insights",
    comment="What models said about groups, kept by content; not for reading, see the gate.",
)

segments = Table(
    "segments",
    metadata,
    text_column("user_id", "The user.", primary_key=True),
    Column("month", Date, primary_key=True, comment="First day of the month."),
    text_column("segment", "How active: new, regular, occasional, fading (Segment)."),
    text_column("persona", "What for: a topic, mixed or occasional (personas.py)."),
    Column("conversations", Integer, nullable=False, comment="Conversations read."),
    Column("active_days", Integer, nullable=False, comment="Days with a conversation."),
    CheckConstraint("conversations > 0 and active_days > 0", name="counts"),
    schema="insights",
    comment="Each consenting user's month in one word each; personal.",
)


reading_plans = Table(
    "reading_plans",
    metadata,
    Column("day", Date, primary_key=True, comment="UTC day that was read."),
    Column("tier", SmallInteger, nullable=False, comment="1 to 4, by users of 28 days."),
    Column("users", Integer, nullable=False, comment="Consenting users who wrote in 28 days."),
    Column("conversations", Integer, nullable=False, comment="Conversations of the day."),
    Column("drawn", Integer, nullable=False, comment="Those a model may read."),
    Column(
        "strata", JSONB, nullable=False, comment="Stratum to its conversations and those drawn."
    ),
    schema="insights",
    comment="How much of each day a model reads, and what a conversation read stands for.",
)


def _floor() -> list[CheckConstraint]:
    return [
        CheckConstraint("n_people > 10", name="people"),
        CheckConstraint("n_conversations >= 20", name="conversations"),
        CheckConstraint("top_share <= 0.2", name="top_share"),
        CheckConstraint("score >= 4", name="score"),
    ]


def _group_table(name: str, value: str, comment: str) -> Table:
    return Table(
        name,
        metadata,
        Column("as_of_day", Date, primary_key=True, comment="Last of the 28 days it is made of."),
        text_column("label", "What they have in common, in a few words.", primary_key=True),
        text_column("description", "The same in a sentence; empty where nobody wrote one."),
        text_column("value", value),
        Column("n_people", Integer, nullable=False, comment="Distinct people; more than 10."),
        Column("n_conversations", Integer, nullable=False, comment="Conversations; 20 or more."),
        Column("top_share", Numeric, nullable=False, comment="Of the busiest person; to 0.2."),
        Column("share", Numeric, nullable=False, comment="Of what share_of says, estimated."),
        Column("share_low", Numeric, nullable=False, comment="Lower end, 95 %."),
        Column("share_high", Numeric, nullable=False, comment="Upper end, 95 %."),
        text_column("label_source", "model, terms (words of many) or taxonomy (closed lists)."),
        Column("score", SmallInteger, nullable=False, comment="The auditor's, 4 or 5."),
        text_column(
            "share_of",
            "people: all who were read; conversations: of days that were sampled.",
            server_default=text("'people'"),
        ),
        *_floor(),
        CheckConstraint("share_of in ('people', 'conversations')", name="share_of"),
        schema="insights",
        comment=comment,
    )


use_cases = _group_table(
    "use_cases",
    "Most frequent topic (Topic in insights/taxonomy.py).",
    "What groups of users try to do; passed the gate.",
)
feature_requests = _group_table(
    "feature_requests",
    "Most frequent area (FeatureRequest).",
    "What groups of users ask the product to have; passed the gate.",
)
friction_points = _group_table(
    "friction_points",
    "Most frequent friction (Friction).",
    "Where groups of users get stuck; passed the gate.",
)

personas = Table(
    "personas",
    metadata,
    Column("month", Date, primary_key=True, comment="First day of the month."),
    text_column("persona", "A topic, mixed or occasional.", primary_key=True),
    text_column("description", "Who they are, in one sentence."),
    Column("n_people", Integer, nullable=False, comment="Distinct people; more than 10."),
    Column("n_conversations", Integer, nullable=False, comment="Conversations; 20 or more."),
    Column("top_share", Numeric, nullable=False, comment="Of the busiest person; to 0.2."),
    Column("features", JSONB, nullable=False, comment="Shares and means over all of them."),
    text_column("label_source", "model or rules."),
    Column("score", SmallInteger, nullable=False, comment="The auditor's, 4 or 5."),
    *_floor(),
    schema="insights",
    comment="Kinds of users by what they come for; passed the gate.",
)
