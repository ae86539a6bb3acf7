"""The metadata all models share, its naming rules and the column shapes they have in common.

Invariant: constraint and index names are derived, so that migrations can address them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Identity, MetaData, Text, text
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def text_column(name: str, comment: str, **options: Any) -> Column[str]:
    return Column(name, Text, comment=comment, **{"nullable": False, **options})


def moment(name: str, comment: str, **options: Any) -> Column[Any]:
    """A ``timestamptz`` column, required unless said otherwise."""
    return Column(name, DateTime(timezone=True), comment=comment, **{"nullable": False, **options})


def recorded_now(name: str, comment: str) -> Column[Any]:
    return moment(name, comment, server_default=text("now()"))


def json_object(name: str, comment: str, **options: Any) -> Column[Any]:
    """A required ``jsonb`` column, an empty object by default."""
    return Column(
        name, JSONB, comment=comment, nullable=False, server_default=text("'{}'::jsonb"), **options
    )


def serial(name: str, comment: str) -> Column[int]:
    return Column(name, BigInteger, Identity(always=True), primary_key=True, comment=comment)
