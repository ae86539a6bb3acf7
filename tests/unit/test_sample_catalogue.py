"""The sample's events against the shipped catalogue of event types, read as plain YAML.

Belongs here: field names, types and limits of ``event_data``. Does not: how the platform validates
(its own tests do). Invariant: a type or field on one side only fails.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics_assets.sources.sample import SampleManifest, generate_sample
from analytics_assets.sources.sample.eventtypes import EVENT_TYPES

CATALOGUE = Path(__file__).resolve().parents[2] / "analytics_assets" / "events" / "catalogue"
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,),
    "array": (list,), "object": (dict,),
}  # fmt: skip


@pytest.fixture(scope="module")
def catalogue() -> dict[str, dict[str, Any]]:
    """Fields by event type."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(CATALOGUE.glob("*.yaml")):
        for name, definition in yaml.safe_load(path.read_text("utf-8"))["events"].items():
            found[name] = definition.get("fields", {})
    return found


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleManifest:
    return generate_sample(tmp_path_factory.mktemp("sample"), users=200, days=14, events=20_000)


def problem(field: dict[str, Any], value: Any) -> str | None:
    """Why a value does not fit its field, or None."""
    kind = field["type"]
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return f"{value!r} is no {kind}"
    if isinstance(value, str) and len(value) > field.get("max_length", 10**9):
        return "too long"
    if isinstance(value, int | float) and not (
        field.get("minimum", value) <= value <= field.get("maximum", value)
    ):
        return f"{value} is out of range"
    if isinstance(value, list) and not all(isinstance(one, TYPES[field["items"]]) for one in value):
        return "wrong items"
    return None


def test_the_company_does_everything_the_catalogue_knows_and_nothing_else(
    catalogue: dict[str, dict[str, Any]],
) -> None:
    assert {kind.name for kind in EVENT_TYPES} == set(catalogue)


def test_valid_events_satisfy_their_fields(
    sample: SampleManifest, catalogue: dict[str, dict[str, Any]]
) -> None:
    days = (sample.parameters.start_day.isoformat(), sample.parameters.end_day.isoformat())
    good = bad = 0
    seen: dict[str, set[str]] = defaultdict(set)
    for raw in sample.event_files[0].read_bytes().splitlines():
        event: dict[str, Any] | None
        try:
            event = json.loads(raw)
        except ValueError:
            event = None
        if (
            event is None
            or len(raw) > 32 * 1024
            or not days[0] <= (event["timestamp"] or "") < days[1]
            or event["event_type"] not in catalogue
            or "\\u0000" in raw.decode()
        ):
            bad += 1
            continue
        fields, data = catalogue[event["event_type"]], event["event_data"]
        faults = [
            name for name, field in fields.items() if field.get("required") and name not in data
        ]
        faults += [name for name in data if name not in fields]
        faults += [f"{name}: {why}" for name, one in data.items()
                   if (why := problem(fields.get(name, {"type": "object"}), one))]  # fmt: skip
        bad += bool(faults)
        if not faults:
            good += 1
            seen[event["event_type"]] |= set(data)
    assert good == sample.events + sample.duplicates
    assert bad == sample.malformed
    optional = {"message_id"}
    assert {name: set(fields) - optional for name, fields in catalogue.items()} == seen
