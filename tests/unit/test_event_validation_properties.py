"""For every shipped event type: whatever fits its schema passes, one mistake in it does not.

Batches of all types are checked in one statement, so that a run stays short.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from staged_events import connected, event, problems_of

from analytics_assets.events.catalogue import EventSchema, Field, load_catalogue
from analytics_assets.store.database import Database

CATALOGUE = load_catalogue()
OTHER_TYPES: dict[str, list[Any]] = {
    "string": [1, True, [], {}],
    "integer": ["1", False, [1], {}, 1.5],
    "number": ["1", True, [1], {}],
    "boolean": ["true", 0, [True], {}],
    "array": ["a", 1, {}, True],
    "object": ["a", 1, [{}], False],
}
RUN = settings(max_examples=15, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def connection(postgres_server: Database) -> Iterator[psycopg.Connection[Any]]:
    with connected(postgres_server, "test_event_validation_properties") as opened:
        yield opened


def texts(longest: int) -> st.SearchStrategy[str]:
    alphabet = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
    return st.text(alphabet, max_size=min(longest, 30))


ITEMS: dict[str, st.SearchStrategy[Any]] = {
    "string": texts(30),
    "integer": st.integers(-(10**6), 10**6),
    "number": st.floats(-1e6, 1e6),
    "boolean": st.booleans(),
    "object": st.dictionaries(texts(10), st.booleans(), max_size=2),
}


def values(field: Field) -> st.SearchStrategy[Any]:
    """Values the field allows."""
    if field.enum is not None:
        return st.sampled_from(field.enum)
    low = -(2**53 - 1) if field.minimum is None else field.minimum
    high = 2**53 - 1 if field.maximum is None else field.maximum
    if field.type == "integer":
        return st.integers(int(low), int(high))
    if field.type == "number":
        return st.floats(low, high) | st.integers(int(low), int(high))
    if field.type == "array":
        return st.lists(ITEMS[field.items or "string"], max_size=3)
    if field.type == "string":
        return texts(field.max_length or 30)
    return ITEMS[field.type]


def data_of(schema: EventSchema) -> st.SearchStrategy[dict[str, Any]]:
    """Required fields, any of the optional ones, some of them null."""
    return st.fixed_dictionaries(
        {name: values(field) for name, field in schema.fields.items() if field.required},
        optional={
            name: values(field) | st.none()
            for name, field in schema.fields.items()
            if not field.required
        },
    )


every_type = st.fixed_dictionaries(
    {name: data_of(schema) for name, schema in CATALOGUE.schemas.items()}
)


@RUN
@given(batch=every_type)
def test_any_event_that_fits_its_schema_passes(
    connection: psycopg.Connection[Any], batch: dict[str, dict[str, Any]]
) -> None:
    rows = [event(event_type, data) for event_type, data in batch.items()]
    found = problems_of(connection, CATALOGUE, rows)
    assert dict(zip(batch, found, strict=True)) == dict.fromkeys(batch)


def drop(data: dict[str, Any], name: str, _: Field, __: random.Random) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != name}


def nullify(data: dict[str, Any], name: str, _: Field, __: random.Random) -> dict[str, Any]:
    return {**data, name: None}


def retype(data: dict[str, Any], name: str, field: Field, rng: random.Random) -> dict[str, Any]:
    return {**data, name: rng.choice(OTHER_TYPES[field.type])}


def exceed(data: dict[str, Any], name: str, field: Field, rng: random.Random) -> dict[str, Any]:
    beyond = [] if field.minimum is None else [field.minimum - 1]
    beyond += [] if field.maximum is None else [field.maximum + 1]
    return {**data, name: rng.choice(beyond)}


def lengthen(data: dict[str, Any], name: str, field: Field, _: random.Random) -> dict[str, Any]:
    return {**data, name: "ж" * ((field.max_length or 0) + 1)}


def misitem(data: dict[str, Any], name: str, field: Field, rng: random.Random) -> dict[str, Any]:
    return {**data, name: ["x", rng.choice(OTHER_TYPES[field.items or "string"])]}


Mutation = Callable[[dict[str, Any], str, Field, random.Random], dict[str, Any]]
MUTATIONS: list[tuple[str, Mutation, Callable[[Field], bool]]] = [
    ("missing_field", drop, lambda field: field.required),
    ("missing_field", nullify, lambda field: field.required),
    ("wrong_type", retype, lambda field: bool(field.type)),
    ("out_of_range", exceed, lambda field: {field.minimum, field.maximum} != {None}),
    ("too_long", lengthen, lambda field: field.max_length is not None),
    ("wrong_type", misitem, lambda field: field.items is not None),
]


@RUN
@given(batch=every_type, seed=st.integers(0, 2**32))
def test_any_one_mistake_is_refused_for_its_own_reason(
    connection: psycopg.Connection[Any], batch: dict[str, dict[str, Any]], seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311
    rows, expected = [], []
    for event_type, data in batch.items():
        for name, field in CATALOGUE.schemas[event_type].fields.items():
            for code, mutate, applies in MUTATIONS:
                if applies(field):
                    rows.append(event(event_type, mutate(data, name, field, rng)))
                    expected.append((event_type, code, name))
    found = problems_of(connection, CATALOGUE, rows)
    for wanted, problem, row in zip(expected, found, rows, strict=True):
        event_type, code, name = wanted
        assert problem is not None, (wanted, row)
        assert problem[0] == code, (wanted, problem)
        assert f"event_data.{name} " in problem[1], (wanted, problem)


def test_every_mutation_applies_to_some_shipped_field() -> None:
    fields = [field for schema in CATALOGUE.schemas.values() for field in schema.fields.values()]
    for code, _, applies in MUTATIONS:
        assert any(applies(field) for field in fields), code
