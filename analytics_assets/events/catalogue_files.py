"""Reading catalogue files: YAML in, ``Catalogue`` out, every mistake with file and line.

Belongs here: the shape of the files and what is wrong with one. Does not: the model
(``catalogue``). Invariant: a file is never half taken; all problems of all files are reported
together. Nodes are walked rather than built into objects, because only nodes know their lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import yaml

from analytics_assets.events.catalogue import (
    SHIPPED_FOLDER,
    Catalogue,
    CatalogueError,
    Category,
    EventSchema,
    Field,
)
from analytics_assets.events.field_files import read_field
from analytics_assets.events.yaml_nodes import Problem, Spot, compose_file, is_empty

CATEGORY_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
# A day partition is named <category>_<yyyymmdd>: such a category would take another's name.
DAY_SUFFIX: Final = re.compile(r".*_[0-9]{8}")
EVENT_TYPE: Final = re.compile(r"[a-z][a-z0-9_.]{0,63}")
FIELD_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]{0,62}")
RETENTION: Final = re.compile(r"([0-9]{1,6}) (days?|years?)")
DAYS_PER_YEAR: Final = 365
LONGEST_RETENTION_DAYS: Final = 100 * DAYS_PER_YEAR
FILE_KEYS: Final = ("category", "retention", "description", "events")
EVENT_KEYS: Final = ("description", "fields")


class _Retention(NamedTuple):
    days: int
    text: str
    spot: Spot


@dataclass
class _CategoryFile:
    """What one file says; what is wrong in it is left out here and named in the problems."""

    top: Spot
    category: str | None = None
    retention: _Retention | None = None
    states_retention: bool = False
    description: str = ""
    events: list[tuple[EventSchema, Spot]] = field(default_factory=list)


def read_catalogue(folders: Sequence[Path]) -> Catalogue:
    """The catalogue of all files of the folders. Raises CatalogueError with every problem."""
    problems: list[Problem] = []
    files = [
        _read_file(path, Spot(problems, label))
        for folder in folders
        for path, label in _files_of(folder, problems)
    ]
    categories = _merge_categories(files)
    schemas = _merge_events(files)
    if problems:
        order = {file.top.file: number for number, file in enumerate(files)}
        problems.sort(key=lambda problem: (order.get(problem.file, -1), problem.line))
        raise CatalogueError([str(problem) for problem in problems])
    return Catalogue(
        categories=MappingProxyType(dict(sorted(categories.items()))),
        schemas=MappingProxyType(dict(sorted(schemas.items()))),
    )


def _files_of(folder: Path, problems: list[Problem]) -> Iterator[tuple[Path, str]]:
    """Files, and what messages call them: the shipped ones by name, the user's by path."""
    if not folder.is_dir():
        Spot(problems, str(folder), line=0).problem("there is no such folder of catalogue files")
        return
    for path in sorted(folder.iterdir()):
        if path.suffix in {".yaml", ".yml"} and not path.name.startswith("."):
            yield path, path.name if folder == SHIPPED_FOLDER else str(path)


def _read_file(path: Path, top: Spot) -> _CategoryFile:
    file = _CategoryFile(top)
    root = compose_file(path, top)
    entries = root and top.entries(root, known=FILE_KEYS, holds="category, retention, events")
    if not entries:
        return file
    if "description" in entries:
        spot, node = entries["description"]
        file.description = spot.text(node) or ""
    if "category" in entries:
        file.category = _category_name(*entries["category"])
    else:
        top.problem("'category' is missing")
    if "retention" in entries:
        file.retention = _retention(*entries["retention"])
    file.states_retention = "retention" in entries
    if "events" not in entries:
        top.problem("'events' is missing; it holds the event types")
        return file
    spot, node = entries["events"]
    for name, (event_spot, event_node) in (spot.entries(node, holds="event types") or {}).items():
        if EVENT_TYPE.fullmatch(name):
            schema = _event(name, file.category or "", event_spot, event_node)
            file.events.append((schema, event_spot))
        else:
            event_spot.problem(
                f"{name!r} is not an event type's name: a lower-case letter, then up to 63 "
                "lower-case letters, digits, '_' or '.'"
            )
    return file


def _category_name(spot: Spot, node: yaml.Node) -> str | None:
    name = spot.text(node)
    if name is None:
        return None
    if not CATEGORY_NAME.fullmatch(name) or DAY_SUFFIX.fullmatch(name):
        spot.problem(
            f"{name!r} is not a category's name: a lower-case letter, then up to 30 lower-case "
            "letters, digits or '_', not ending like a date (_20260131)"
        )
        return None
    return name


def _retention(spot: Spot, node: yaml.Node) -> _Retention | None:
    text = spot.text(node)
    if text is None:
        return None
    match = RETENTION.fullmatch(text)
    days = 0
    if match:
        days = int(match[1]) * (DAYS_PER_YEAR if match[2].startswith("year") else 1)
    if not 1 <= days <= LONGEST_RETENTION_DAYS:
        spot.problem(f"{text!r} is not a time such as '45 days' or '7 years', at most 100 years")
        return None
    return _Retention(days, text, spot)


def _event(name: str, category: str, spot: Spot, node: yaml.Node) -> EventSchema:
    """The event type; a type without fields may be left empty."""
    schema = EventSchema(name, category, "", MappingProxyType({}))
    if is_empty(node):
        return schema
    entries = spot.entries(node, known=EVENT_KEYS, holds="description, fields")
    if entries is None:
        return schema
    if "description" in entries:
        description_spot, description_node = entries["description"]
        schema = replace(schema, description=description_spot.text(description_node) or "")
    fields: dict[str, Field] = {}
    if "fields" in entries and not is_empty(entries["fields"][1]):
        fields_spot, fields_node = entries["fields"]
        for field_name, (field_spot, field_node) in (
            fields_spot.entries(fields_node, holds="fields") or {}
        ).items():
            if not FIELD_NAME.fullmatch(field_name):
                field_spot.problem(
                    f"{field_name!r} is not a field's name: a letter, '_' or '$', then up to 62 "
                    "letters, digits, '_', '$' or '-'"
                )
                continue
            read = read_field(field_spot, field_node)
            if read is not None:
                fields[field_name] = read
    return replace(schema, fields=MappingProxyType(fields))


def _merge_categories(files: Sequence[_CategoryFile]) -> dict[str, Category]:
    """One category per name: several files may add types to it, one says how long it is kept."""
    merged: dict[str, Category] = {}
    stated: dict[str, _Retention] = {}
    for file in files:
        if file.category is None or file.retention is None:
            continue
        first = stated.setdefault(file.category, file.retention)
        merged.setdefault(file.category, Category(file.category, first.days, file.description))
        if first.days != file.retention.days:
            file.retention.spot.problem(
                f"{first.spot.place} keeps category {file.category!r} for {first.text!r}; leave "
                "this line out to add event types to it, or name a category of your own"
            )
    for file in files:
        if file.category and file.category not in stated and not file.states_retention:
            file.top.problem(
                f"'retention' is missing, and no other file says how long {file.category!r} is kept"
            )
    return merged


def _merge_events(files: Sequence[_CategoryFile]) -> dict[str, EventSchema]:
    merged: dict[str, EventSchema] = {}
    places: dict[str, str] = {}
    for schema, spot in (event for file in files for event in file.events):
        if schema.event_type in merged:
            spot.problem(f"this event type is already in {places[schema.event_type]}")
        else:
            merged[schema.event_type] = schema
            places[schema.event_type] = spot.place
    return merged
