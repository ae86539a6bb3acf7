"""SQLAlchemy models of every table Alembic creates, one module per zone.

Tables that dbt builds (``marts``, ``insights.user_activity``) are not here: their contract is their
YAML in ``dbt/``. Invariant: ``metadata`` equals what the migrations build (tested).
"""

from analytics_assets.store.models import (
    audit,
    doors,
    erasure,
    groups,
    inbox,
    insights,
    ops,
    raw,
    release,
    vault,
)
from analytics_assets.store.models.base import metadata

__all__ = [
    "audit",
    "doors",
    "erasure",
    "groups",
    "inbox",
    "insights",
    "metadata",
    "ops",
    "raw",
    "release",
    "vault",
]
