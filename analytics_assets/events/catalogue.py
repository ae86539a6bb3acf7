"""The event catalogue: which types of event exist, their fields, and how long they are kept.

Belongs here: the model and ``load_catalogue``. Does not: reading YAML (``catalogue_files``) or
checking events (``validation``). Invariant: a ``Catalogue`` is valid and never changes; equal
content has an equal fingerprint. The shipped files are in the folder of the same name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, get_args

FieldType = Literal["string", "integer", "number", "boolean", "array", "object"]
ItemType = Literal["string", "integer", "number", "boolean", "object"]
FIELD_TYPES: Final[tuple[FieldType, ...]] = get_args(FieldType)
ITEM_TYPES: Final[tuple[ItemType, ...]] = get_args(ItemType)
SHIPPED_FOLDER: Final = Path(__file__).with_name("catalogue")


class CatalogueError(Exception):
    """The catalogue files are wrong; ``problems`` names each as ``file:line: where: what``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of ``event_data``. ``None`` means: no such limit. Limits are inclusive."""

    type: FieldType
    required: bool = False
    personal: bool = False
    description: str = ""
    items: ItemType | None = None
    enum: tuple[str | int | float, ...] | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    max_length: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The field as its file has it, without what is at its default."""
        optional: dict[str, Any] = {
            "description": self.description or None,
            "items": self.items,
            "enum": None if self.enum is None else list(self.enum),
            "minimum": self.minimum,
            "maximum": self.maximum,
            "max_length": self.max_length,
        }
        return {
            "type": self.type,
            "required": self.required,
            "personal": self.personal,
            **{key: value for key, value in optional.items() if value is not None},
        }


@dataclass(frozen=True, slots=True)
class EventSchema:
    """One event type; other fields than these may occur in ``event_data`` and are not checked."""

    event_type: str
    category: str
    description: str
    fields: Mapping[str, Field]

    @property
    def required_fields(self) -> list[str]:
        return [name for name, field in self.fields.items() if field.required]

    @property
    def personal_fields(self) -> list[str]:
        return [name for name, field in self.fields.items() if field.personal]

    def fields_as_json(self) -> dict[str, dict[str, Any]]:
        return {name: field.as_json() for name, field in self.fields.items()}


@dataclass(frozen=True, slots=True)
class Category:
    """A retention class; ``retention_days`` counts from the event's own day."""

    name: str
    retention_days: int
    description: str


@dataclass(frozen=True)
class Catalogue:
    """All categories by name and all event types by name, each sorted by name."""

    categories: Mapping[str, Category]
    schemas: Mapping[str, EventSchema]

    def retention_days(self, category: str) -> int:
        """Days an event of the category is kept. Raises KeyError for an unknown category."""
        return self.categories[category].retention_days

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the whole content, the same on every machine and Python."""
        content = {
            "categories": [
                [category.name, category.retention_days, category.description]
                for category in self.categories.values()
            ],
            "schemas": [
                [schema.event_type, schema.category, schema.description, schema.fields_as_json()]
                for schema in self.schemas.values()
            ],
        }
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def load_catalogue(extra_dirs: Sequence[Path] = ()) -> Catalogue:
    """The shipped catalogue together with the ``*.yaml`` and ``*.yml`` files of the given folders.

    A user's file adds a category, or adds types to one. Raises CatalogueError with every problem
    found, each with file and line.
    """
    # Here, because the reader needs the model: and YAML is only imported when it is read.
    from analytics_assets.events.catalogue_files import read_catalogue

    return read_catalogue([SHIPPED_FOLDER, *extra_dirs])
