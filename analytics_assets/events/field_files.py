"""Reading one field of a catalogue file: its type and its limits.

Belongs here: which limits fit which type. Does not: files, categories and event types
(``catalogue_files``). Invariant: a ``Field`` is returned only when nothing about it is wrong, so
that its limits can be compiled into SQL unchecked.
"""

from __future__ import annotations

import math
from typing import Final, cast

import yaml

from analytics_assets.events.catalogue import FIELD_TYPES, ITEM_TYPES, Field, FieldType, ItemType
from analytics_assets.events.yaml_nodes import Spot, kind_of, suggestion, value_of

KEYS: Final = (
    "type", "required", "personal", "description", "items", "enum", "minimum", "maximum",
    "max_length",
)  # fmt: skip
NUMERIC: Final = ("integer", "number")
# Which limits a type may have; the other keys fit every type.
LIMITS: Final[dict[str, tuple[str, ...]]] = {
    "items": ("array",),
    "enum": ("string", *NUMERIC),
    "minimum": NUMERIC,
    "maximum": NUMERIC,
    "max_length": ("string",),
}
LONGEST_TEXT: Final = 32_768  # as long as a whole event may be

Entries = dict[str, tuple[Spot, yaml.Node]]


def read_field(spot: Spot, node: yaml.Node) -> Field | None:
    """The field at this spot; ``None`` where something is wrong with it."""
    before = len(spot.problems)
    entries = spot.entries(node, known=KEYS, holds="type, required, personal, description")
    if entries is None:
        return None
    field_type = _one_of(entries, "type", FIELD_TYPES)
    if "type" not in entries:
        spot.problem(f"'type' is missing; it is one of {', '.join(FIELD_TYPES)}")
    if field_type is not None:
        _refuse_unfit_limits(entries, field_type)
    if field_type == "array" and "items" not in entries:
        spot.problem(f"'items' is missing; an array's items are {', '.join(ITEM_TYPES)}")
    minimum, maximum = _number(entries, "minimum"), _number(entries, "maximum")
    if minimum is not None and maximum is not None and minimum > maximum:
        entries["maximum"][0].problem(f"{maximum} is below the minimum, {minimum}")
    description = entries.get("description")
    field = Field(
        type=cast("FieldType", field_type),
        required=_flag(entries, "required"),
        personal=_flag(entries, "personal"),
        description=(description[0].text(description[1]) or "") if description else "",
        items=cast("ItemType | None", _one_of(entries, "items", ITEM_TYPES)),
        enum=_enum(entries, field_type),
        minimum=minimum,
        maximum=maximum,
        max_length=_length(entries),
    )
    return field if len(spot.problems) == before else None


def _one_of(entries: Entries, key: str, known: tuple[str, ...]) -> str | None:
    if key not in entries:
        return None
    spot, node = entries[key]
    text = spot.text(node)
    if text is None or text in known:
        return text
    spot.problem(f"{text!r} is not one of {', '.join(known)}{suggestion(text, known)}")
    return None


def _refuse_unfit_limits(entries: Entries, field_type: str) -> None:
    for key, types in LIMITS.items():
        if key in entries and field_type not in types:
            allowed = " or ".join(types)
            entries[key][0].problem(f"does not fit type {field_type!r}, only {allowed}")


def _flag(entries: Entries, key: str) -> bool:
    if key not in entries:
        return False
    spot, node = entries[key]
    value = value_of(node) if isinstance(node, yaml.ScalarNode) else None
    if isinstance(value, bool):
        return value
    spot.problem(f"must be true or false, not {kind_of(node)}")
    return False


def _number(entries: Entries, key: str) -> int | float | None:
    if key not in entries:
        return None
    spot, node = entries[key]
    value = value_of(node) if isinstance(node, yaml.ScalarNode) else None
    if _is_number(value):
        return cast("int | float", value)
    spot.problem(f"must be a number, not {kind_of(node)}")
    return None


def _length(entries: Entries) -> int | None:
    value = _number(entries, "max_length")
    if value is None or (isinstance(value, int) and 1 <= value <= LONGEST_TEXT):
        return value
    entries["max_length"][0].problem(f"must be a whole number of 1 to {LONGEST_TEXT}, not {value}")
    return None


def _enum(entries: Entries, field_type: str | None) -> tuple[str | int | float, ...] | None:
    if "enum" not in entries or field_type not in LIMITS["enum"]:
        return None
    spot, node = entries["enum"]
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        spot.problem(f"must be a list of the allowed values, not {kind_of(node)}")
        return None
    values: list[str | int | float] = []
    for item in node.value:
        line = item.start_mark.line + 1
        value = value_of(item) if isinstance(item, yaml.ScalarNode) else None
        fits = {
            "string": isinstance(value, str),
            "integer": _is_number(value) and isinstance(value, int),
            "number": _is_number(value),
        }[field_type]
        if not fits:
            spot.problem(f"a value must be of type {field_type}, not {kind_of(item)}", line=line)
        elif value in values:
            spot.problem(f"{item.value!r} is here twice", line=line)
        else:
            values.append(cast("str | int | float", value))
    return tuple(values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
